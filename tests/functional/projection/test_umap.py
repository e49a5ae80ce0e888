"""UMAP, where it is installed, and what is said where it is not."""

import numpy as np
import pytest
from helpers.brute_force import nearest_agree
from sklearn.manifold import trustworthiness

from lightning_cnnviz.functional.projection import umap as umap_layout
from lightning_cnnviz.functional.projection.layout import project
from lightning_cnnviz.functional.projection.procrustes import movement


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
