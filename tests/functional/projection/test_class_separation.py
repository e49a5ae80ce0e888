"""The numbers agree with brute force and with scikit-learn."""

import numpy as np
import pytest
from helpers.brute_force import nearest_agree
from sklearn.metrics import silhouette_score
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from lightning_cnnviz.functional.projection.class_separation import knn_accuracy, knn_vote, silhouette

nan, inf = np.nan, np.inf


pytestmark = pytest.mark.usefixtures("no_warnings")


def overlapping(classes, samples=80, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    return rng.normal(size=(samples, 2)) + labels[:, None] * 0.7, labels


# ---- k-NN accuracy


def by_votes(points, labels, k):
    """Accuracy, neighbours and samples left out, by brute force from the definition."""
    counts = {label: labels.tolist().count(label) for label in labels.tolist()}
    kept = [index for index, label in enumerate(labels.tolist()) if counts[label] > 1]
    k = min([k, *(count - 1 for count in counts.values() if count > 1)])
    return nearest_agree(points[kept], labels[kept], k), k, len(labels) - len(kept)


@pytest.mark.parametrize("k", [1, 2, 3, 10])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_knn_accuracy_agrees_with_brute_force(k, classes):
    rng = np.random.default_rng(classes)
    labels = rng.permutation(np.arange(12 * classes) % classes)
    points = rng.normal(size=(len(labels), 2)) + labels[:, None] * 0.7
    expected = nearest_agree(points, labels, k)
    assert 0 < expected < 1
    assert knn_accuracy(points, labels, k) == pytest.approx(expected)
    assert knn_vote(points, labels, k) == (pytest.approx(expected), k, 0)


@pytest.mark.parametrize("seed", range(5))
def test_the_neighbours_are_at_most_as_many_as_the_smallest_class_has(seed):
    points, labels = overlapping(10, seed=seed)
    labels[:3] = [50, 51, 52]  # alone in their class
    expected = by_votes(points, labels, 10)
    assert 1 <= expected[1] < 10
    assert expected[2] >= 3
    assert knn_vote(points, labels) == (pytest.approx(expected[0]), *expected[1:])
    assert knn_accuracy(points, labels) == pytest.approx(expected[0])


@pytest.mark.parametrize("each", [2, 3, 4, 10, 11, 30])
def test_classes_that_are_perfectly_apart_have_an_accuracy_of_one_however_small_they_are(each):
    rng = np.random.default_rng(each)
    labels = np.repeat(np.arange(10), each)
    points = 100 * np.stack([np.cos(labels * np.pi / 5), np.sin(labels * np.pi / 5)], axis=1)
    assert knn_vote(points + rng.normal(size=points.shape), labels) == (1, min(10, each - 1), 0)


def test_a_sample_alone_in_its_class_neither_counts_nor_votes():
    points, labels = np.array([[0.0], [0.1], [0.2], [5.0], [5.1]]), np.array([0, 2, 0, 1, 1])
    assert knn_vote(points, labels) == (1, 1, 1)  # the nearest of the first and the third is alone in its class
    assert knn_vote(points[:3], np.arange(3)) == (pytest.approx(nan, nan_ok=True), 0, 3)


def test_a_sample_is_no_neighbour_of_itself():
    points, labels = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 1, 0, 1])
    assert knn_accuracy(points, labels, k=1) == 0


def test_samples_that_coincide_are_neighbours_but_never_their_own():
    assert knn_accuracy(np.zeros((6, 2)), np.zeros(6, dtype=int), k=3) == 1
    points, labels = np.repeat([0.0, 9.0], 2)[:, None], np.array([0, 1, 0, 1])
    assert knn_accuracy(points, labels, k=1) == 0


def test_of_equally_frequent_classes_the_lowest_wins():
    points = np.array([[0.0], [1.0], [1.1], [9.0], [9.5], [9.6]])
    assert knn_accuracy(points, np.array([0, 0, 0, 1, 1, 1]), k=2) == 1
    points = np.array([[0.0], [1.0], [2.0], [0.1], [1.1], [2.1]])  # the nearest two of each are one of each class
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert knn_accuracy(points, labels, k=2) == pytest.approx(nearest_agree(points, labels, 2))
    assert knn_accuracy(points, 1 - labels, k=2) == pytest.approx(nearest_agree(points, 1 - labels, 2))


def test_unknown_classes_and_missing_places_take_no_part():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    points = rng.normal(size=(60, 2)) + labels[:, None]
    expected = nearest_agree(points, labels, 5)
    more = np.concatenate([points, rng.normal(size=(20, 2)), np.full((4, 2), nan)])
    assert knn_accuracy(more, np.concatenate([labels, [-1] * 20, [0, 1, 2, 0]]), 5) == pytest.approx(expected)


@pytest.mark.parametrize("samples", [0, 1])
def test_accuracy_of_fewer_than_two_samples_is_unknown(samples):
    assert np.isnan(knn_accuracy(np.zeros((samples, 2)), np.zeros(samples, dtype=int)))
    assert np.isnan(knn_accuracy(np.zeros((5, 2)), np.full(5, -1)))


def test_large_class_numbers_cost_no_memory():
    points, labels = np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([2**40, 2**40, 3, 3])
    assert knn_accuracy(points, labels, k=1) == 1


@pytest.mark.parametrize("classes", [2, 5])
def test_knn_accuracy_is_that_of_scikit_learns_classifier_left_one_out(classes):
    points, _ = overlapping(classes)
    labels = np.arange(80) % classes
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
