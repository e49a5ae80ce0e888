"""UMAP, where it is installed, and what is said where it is not."""

import importlib
from importlib.metadata import version

import numpy as np
import pytest
from helpers.brute_force import nearest_agree
from helpers.internals import broken_by
from sklearn.manifold import trustworthiness

from lightning_cnnviz.functional.projection import umap as umap_layout
from lightning_cnnviz.functional.projection.layout import project
from lightning_cnnviz.functional.projection.procrustes import movement

LIBRARY = "umap-learn"


def blobs():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    return (rng.normal(size=(4, 20)) * 8)[labels] + rng.normal(size=(200, 20)), labels


def test_where_it_is_missing_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(umap_layout, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "lightning-cnnviz\[umap\]"'):
        umap_layout.require_umap()
    with pytest.raises(ImportError, match="umap-learn"):
        project(blobs()[0], method="umap")


def test_classes_lie_apart_as_in_umap_learn_and_stay_where_they_are():
    umap = pytest.importorskip("umap", reason="umap-learn is not installed")
    values, labels = blobs()
    first = project(values, method="umap")
    assert first.perplexity is None
    assert first.divergence is None
    assert nearest_agree(first.points, labels, 5) == 1
    theirs = umap.UMAP(random_state=0, n_jobs=1).fit_transform(values)
    assert trustworthiness(values, first.points) > trustworthiness(values, theirs) - 0.02
    assert np.array_equal(first.points, project(values, method="umap").points)
    second = project(values, method="umap", init=first.points)
    third = project(values, method="umap", init=second.points)
    moved = movement(second.points, first.points), movement(third.points, second.points)
    assert 0 < max(moved) < 0.08
    assert nearest_agree(third.points, labels, 5) == 1


def test_few_and_equal_samples_have_a_place():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    values = np.random.default_rng(0).normal(size=(6, 4)).repeat(2, axis=0)
    points = project(values, method="umap").points
    assert np.isfinite(points).all()
    assert np.isfinite(project(values, method="umap", init=points).points).all()


# ---- parts of umap-learn that its documentation does not have, each against its definition


@pytest.fixture
def parts():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    return importlib.import_module("umap.umap_"), importlib.import_module("umap.layouts")


def test_a_and_b_fit_the_curve_that_umap_is_defined_by(parts):
    a, b = parts[0].find_ab_params(spread=1.0, min_dist=0.1)
    distances = np.linspace(0, 3, 300)
    wanted = np.where(distances < 0.1, 1.0, np.exp(-(distances - 0.1)))
    assert np.abs(1 / (1 + a * distances ** (2 * b)) - wanted).max() < 0.07, broken_by(LIBRARY, "find_ab_params")


def test_epochs_per_sample_are_inverse_to_the_weights(parts):
    weights = np.array([1.0, 0.5, 0.1, 0.25])
    every = parts[0].make_epochs_per_sample(weights, 100)
    np.testing.assert_allclose(every, [1, 2, 10, 4], err_msg=broken_by(LIBRARY, "make_epochs_per_sample"))


@pytest.mark.xfail(version("umap-learn") == "0.5.7", reason="1 % of the strengths differ; the cause is not known")
def test_the_graph_has_the_membership_strengths_of_the_definition(parts):
    message = broken_by(LIBRARY, "fuzzy_simplicial_set")
    values = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    count = 8
    apart = np.linalg.norm(values[:, None] - values, axis=-1)
    indices = np.argsort(apart, axis=1, kind="stable")[:, :count].astype(np.int32)
    distances = np.take_along_axis(apart, indices, axis=1).astype(np.float32)
    random = np.random.RandomState(0)
    found = parts[0].fuzzy_simplicial_set(
        values, count, random, "euclidean", knn_indices=indices, knn_dists=distances
    )[0]
    directed = np.zeros((40, 40))
    for row in range(40):
        beyond = np.maximum(distances[row, 1:] - distances[row, 1], 0)  # of the nearest neighbour nothing
        low, high = 1e-6, 1e3
        for _ in range(100):
            middle = np.sqrt(low * high)
            low, high = (middle, high) if np.exp(-beyond / middle).sum() < np.log2(count) else (low, middle)
        directed[row, indices[row, 1:]] = np.exp(-beyond / middle)
    expected = directed + directed.T - directed * directed.T
    np.testing.assert_allclose(found.toarray(), expected, atol=2e-3, err_msg=message)


def test_the_optimisation_draws_neighbours_together_and_pushes_others_apart(parts):
    message = broken_by(LIBRARY, "umap.layouts.optimize_layout_euclidean")
    groups = np.arange(20) % 2
    head, tail = (part.astype(np.int32) for part in np.nonzero(groups[:, None] == groups))
    points = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    every, state = np.ones(len(head)), np.array([1, 2, 3], dtype=np.int64)
    moved = parts[1].optimize_layout_euclidean(
        points, points, head, tail, 100, 20, every, 1.577, 0.895, state, initial_alpha=1.0, move_other=True
    )
    apart = np.linalg.norm(np.asarray(moved)[:, None] - moved, axis=-1)
    same = groups[:, None] == groups
    assert np.isfinite(moved).all(), message
    assert apart[same].mean() < 0.5 * apart[~same].mean(), message
