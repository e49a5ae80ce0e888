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
    assert numbers.knn_neighbours == 10
    assert numbers.known() == {name: value for name, value in numbers._asdict().items() if name != "knn_left_out"}


def test_what_cannot_be_known_is_neither_written_nor_logged():
    points = np.random.default_rng(0).normal(size=(20, 2))
    unknown = measure(Layout(points, None), np.full(20, -1))
    assert unknown.known() == {}
    assert unknown.in_words() == ("", "")
    one_class = measure(Layout(points, None), np.zeros(20, dtype=int), last=np.full((20, 2), np.nan))
    assert one_class.known() == {"knn_accuracy": 1.0, "knn_neighbours": 10}
    assert LayoutQuality(divergence=1.0, movement=0.5).in_words() == ("", "KL divergence 1 · moved 0.500 σ")


def test_the_neighbours_and_the_samples_left_out_are_those_of_the_accuracy_and_stand_beside_it():
    points = np.repeat(np.eye(10, 2) * 50 + np.arange(10)[:, None], 4, axis=0) + np.random.default_rng(0).random(
        (40, 2)
    )
    labels = np.repeat(np.arange(10), 4)
    separate = measure(Layout(points, None), labels)
    assert (separate.knn_accuracy, separate.knn_neighbours) == (1, 3)
    assert separate.in_words()[0].startswith("3-NN accuracy 100.0% · silhouette ")
    labels[[0, 39]] = 77, 78
    lone = measure(Layout(points, None), labels)
    assert (lone.knn_accuracy, lone.knn_neighbours, lone.knn_left_out) == (1, 2, 2)
    assert lone.in_words()[0].startswith("2-NN accuracy 100.0% without 2 classes of one sample · ")
    nobody = measure(Layout(points, None), np.arange(40))
    assert nobody.known() == {}
    assert nobody.in_words() == ("", "")
