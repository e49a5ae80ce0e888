"""What a chart of a layout says and shows."""

import numpy as np
import pytest

from lightning_cnnviz.functional.projection.chart import chart_words, projection_chart
from lightning_cnnviz.functional.projection.layout import Layout
from lightning_cnnviz.functional.projection.quality import LayoutQuality

nan = np.nan


pytestmark = pytest.mark.usefixtures("no_warnings")


@pytest.mark.parametrize(
    ("layout", "labels", "names", "method"),
    [
        (Layout(np.eye(6, 2, dtype=np.float32), None), np.arange(6) % 2, ["cat", "dog"], "pca"),
        (Layout(np.eye(6, 2, dtype=np.float32), 4 / 3), np.full(6, -1), [], "tsne"),
        (Layout(np.full((6, 2), nan, dtype=np.float32), 2.0), np.zeros(6, dtype=int), ["cat"], "tsne"),
        (Layout(np.zeros((6, 2), dtype=np.float32), None), np.zeros(6, dtype=int), ["cat"], "pca"),
    ],
)
def test_a_layout_is_drawn_without_a_warning(layout, labels, names, method):
    picture = projection_chart(layout, labels, names, method=method, title="fc1")
    assert picture.shape == (700, 750, 3)
    assert picture.dtype == np.uint8


def test_method_perplexity_and_accuracy_are_written():
    points = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    labels = np.repeat([0, 1], 15)

    def chart(perplexity, method, labels=labels):
        return projection_chart(Layout(points, perplexity), labels, ["a", "b"], method=method)[:60]

    heads = [chart(5.0, "tsne"), chart(6.0, "tsne"), chart(None, "pca"), chart(5.0, "tsne", np.tile([0, 1], 15))]
    for one in range(4):
        for other in range(one):
            assert not np.array_equal(heads[one], heads[other])


def test_the_chart_shows_classes_apart():
    labels = np.repeat(np.arange(4), 25)
    layout = Layout(np.random.default_rng(0).normal(size=(100, 2)) + 9 * np.eye(4, 2)[labels], None)
    named = projection_chart(layout, labels, ["a", "b", "c", "d"], method="pca")
    unknown = projection_chart(layout, np.full(100, -1), [], method="pca")
    colourful = [(picture.max(-1).astype(int) - picture.min(-1) > 60).sum() for picture in (named, unknown)]
    assert colourful[0] > 50  # the names cover some
    assert colourful[1] == 0


def test_numbers_that_are_known_are_written_and_not_computed_again():
    points, labels = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32), np.repeat([0, 1], 15)

    def head(numbers):
        return projection_chart(Layout(points, None), labels, ["a", "b"], method="pca", numbers=numbers)[:40]

    own = head(None)
    assert not np.array_equal(own, head(LayoutQuality(0.25, 0.5)))
    assert np.array_equal(head(LayoutQuality(0.25, nan)), head(LayoutQuality(0.25, nan)))
    assert not np.array_equal(head(LayoutQuality(0.25, nan)), head(LayoutQuality(0.25, 0.5)))


def test_the_words_say_what_is_known_and_leave_out_what_is_not():
    layout = Layout(np.array([[0, 1], [1, 0], [nan, nan], [2, 2]], dtype=np.float32), 12.0, 0.5, "anew")
    everything = LayoutQuality(0.5, -0.25, 0.99, 0.5, 0.0125, 10)
    assert chart_words(layout, everything, method="tsne", title="fc1").splitlines() == [
        "fc1",
        "t-SNE (perplexity 12) · 3 samples · 10-NN accuracy 50.0% · silhouette -0.25",
        "trustworthiness 0.990 · KL divergence 0.5 · moved 0.013 σ · begun anew · "
        "1 samples with non-finite activations left out",
    ]
    later = layout._replace(origin="continued")
    assert "moved 0.013 σ · continued · 1 samples" in chart_words(later, everything, method="tsne", title="")
    first = chart_words(layout._replace(origin="first"), everything, method="tsne", title="")
    assert "moved 0.013 σ · 1 samples" in first
    nothing = Layout(layout.points[:2], None)
    assert chart_words(nothing, LayoutQuality(), method="umap", title="") == "UMAP · 2 samples"
