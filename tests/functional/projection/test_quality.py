"""The numbers of a layout, known and unknown."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

from lightning_cnnviz.functional.projection.layout import Layout
from lightning_cnnviz.functional.projection.quality import LayoutQuality, measure


def test_every_number_is_that_of_the_layout():
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=(60, 6)), np.arange(60) % 3
    points = values[:, :2] + labels[:, None]
    numbers = measure(Layout(points, 9.0, 0.75), labels, values=values, last=points + np.array([3, 4]))
    assert numbers.silhouette == pytest.approx(silhouette_score(points, labels))
    assert numbers.trustworthiness == pytest.approx(trustworthiness(values, points))
    assert numbers.divergence == 0.75
    assert numbers.movement == pytest.approx(5 / np.sqrt(points.var(axis=0).mean()))
    assert numbers.known() == numbers._asdict()


def test_what_cannot_be_known_is_neither_written_nor_logged():
    points = np.random.default_rng(0).normal(size=(20, 2))
    unknown = measure(Layout(points, None), np.full(20, -1))
    assert unknown.known() == {}
    assert unknown.in_words() == ("", "")
    one_class = measure(Layout(points, None), np.zeros(20, dtype=int), last=np.full((20, 2), np.nan))
    assert one_class.known() == {"knn_accuracy": 1.0}
    assert LayoutQuality(divergence=1.0, movement=0.5).in_words() == ("", "KL divergence 1 · moved 0.500 σ")
