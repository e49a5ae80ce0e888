"""The numbers agree with brute force and with scikit-learn."""

import numpy as np
import pytest
from helpers.brute_force import nearest_agree
from sklearn.metrics import silhouette_score
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from lightning_cnnviz.functional.projection.class_separation import knn_accuracy, silhouette

nan, inf = np.nan, np.inf


pytestmark = pytest.mark.usefixtures("no_warnings")


def overlapping(classes, samples=80, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    return rng.normal(size=(samples, 2)) + labels[:, None] * 0.7, labels


# ---- k-NN accuracy


@pytest.mark.parametrize("k", [1, 2, 3, 10])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_knn_accuracy_agrees_with_brute_force(k, classes):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 80)
    points = rng.normal(size=(80, 2)) + labels[:, None] * 0.7
    expected = nearest_agree(points, labels, k)
    assert 0 < expected < 1
    assert knn_accuracy(points, labels, k) == pytest.approx(expected)


def test_a_sample_is_no_neighbour_of_itself():
    points, labels = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 1, 0, 1])
    assert knn_accuracy(points, labels, k=1) == 0


def test_samples_that_coincide_are_neighbours_but_never_their_own():
    assert knn_accuracy(np.zeros((2, 2)), np.array([0, 1]), k=1) == 0
    assert knn_accuracy(np.zeros((6, 2)), np.zeros(6, dtype=int), k=3) == 1


def test_of_equally_frequent_classes_the_lowest_wins():
    points = np.array([[0.0], [1.0], [-1.1]])
    assert knn_accuracy(points, np.array([0, 0, 1]), k=2) == pytest.approx(2 / 3)
    assert knn_accuracy(points, np.array([1, 1, 0]), k=2) == 0


def test_unknown_classes_and_missing_places_take_no_part():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    points = rng.normal(size=(60, 2)) + labels[:, None]
    expected = nearest_agree(points, labels, 5)
    more = np.concatenate([points, rng.normal(size=(20, 2)), np.full((4, 2), nan)])
    assert knn_accuracy(more, np.concatenate([labels, [-1] * 20, [0, 1, 2, 0]]), 5) == pytest.approx(expected)


def test_the_number_of_neighbours_is_lowered_to_what_is_there():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(6, 2)), np.array([0, 0, 0, 0, 1, 1])
    assert knn_accuracy(points, labels, k=100) == pytest.approx(nearest_agree(points, labels, 5))


@pytest.mark.parametrize("samples", [0, 1])
def test_accuracy_of_fewer_than_two_samples_is_unknown(samples):
    assert np.isnan(knn_accuracy(np.zeros((samples, 2)), np.zeros(samples, dtype=int)))
    assert np.isnan(knn_accuracy(np.zeros((5, 2)), np.full(5, -1)))


def test_large_class_numbers_cost_no_memory():
    points, labels = np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([2**40, 2**40, 3, 3])
    assert knn_accuracy(points, labels, k=1) == 1


@pytest.mark.parametrize("classes", [2, 10])
def test_knn_accuracy_is_that_of_scikit_learns_classifier_left_one_out(classes):
    points, labels = overlapping(classes)
    classifier = KNeighborsClassifier(10, algorithm="brute")
    expected = cross_val_score(classifier, points, labels, cv=LeaveOneOut()).mean()
    assert knn_accuracy(points, labels) == pytest.approx(expected)


# ---- silhouette


def by_definition(points, labels):
    scores = []
    for index, label in enumerate(labels):
        distances = np.sqrt(((points - points[index]) ** 2).sum(axis=1))
        own = (labels == label) & (np.arange(len(labels)) != index)
        if not own.any():
            scores.append(0.0)
            continue
        a = distances[own].mean()
        b = min(distances[labels == other].mean() for other in set(labels.tolist()) - {label})
        scores.append((b - a) / max(a, b))
    return np.mean(scores)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_silhouette_is_as_defined_and_that_of_scikit_learn(classes):
    points, labels = overlapping(classes)
    labels[labels == 0] = 77  # any numbers will do
    labels[0] = 5000  # alone in its class
    assert silhouette(points, labels) == pytest.approx(by_definition(points, labels))
    assert silhouette(points, labels) == pytest.approx(silhouette_score(points, labels))


def test_silhouette_leaves_out_unknown_classes_and_missing_places():
    points, labels = overlapping(3)
    expected = by_definition(points, labels)
    more = np.concatenate([points, np.zeros((20, 2)), [[nan, 0], [inf, inf], [0, -inf]]])
    assert silhouette(more, np.concatenate([labels, [-1] * 20, [0, 1, 2]])) == pytest.approx(expected)


@pytest.mark.parametrize(
    "labels", [[], [0], [0, 0, 0], [0, 1, 2], [-1, -1, -1], [0, -1, 0]], ids=lambda labels: str(labels)
)
def test_silhouette_is_unknown_without_two_classes_that_could_be_apart(labels):
    points = np.arange(2.0 * len(labels)).reshape(-1, 2)
    assert np.isnan(silhouette(points, np.array(labels, dtype=int)))


def test_silhouette_of_many_samples_is_near_that_of_all_and_always_the_same():
    points, labels = overlapping(3, samples=6000)
    state = np.random.get_state()[1].copy()
    estimate = silhouette(points, labels)
    assert estimate == silhouette(points, labels)
    assert estimate == pytest.approx(silhouette_score(points, labels), abs=0.01)
    assert np.array_equal(np.random.get_state()[1], state)


def test_classes_apart_and_classes_mixed_have_numbers_at_both_ends():
    labels = np.arange(60) % 2
    apart, mixed = labels[:, None] * 100.0 + np.arange(60)[:, None] / 60, np.random.default_rng(0).normal(size=(60, 2))
    assert knn_accuracy(apart, labels) == 1
    assert silhouette(apart, labels) > 0.98
    assert knn_accuracy(mixed, labels) < 0.7
    assert abs(silhouette(mixed, labels)) < 0.1
