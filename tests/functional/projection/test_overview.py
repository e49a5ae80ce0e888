"""Which layout stands where in the overview, and what is written above it."""

import numpy as np
import pytest

from lightning_cnnviz.functional.drawing.scatter import scatter_grid
from lightning_cnnviz.functional.projection.layout import Layout
from lightning_cnnviz.functional.projection.overview import projection_overview
from lightning_cnnviz.functional.projection.quality import LayoutQuality

pytestmark = pytest.mark.usefixtures("no_warnings")

LABELS = np.arange(40) % 2


def some(layers, methods=("pca", "tsne")):
    rng = np.random.default_rng(0)
    return {
        (layer, method): Layout(rng.normal(size=(40, 2)).astype(np.float32), 13.0 if method == "tsne" else None)
        for layer in layers
        for method in methods
    }


def same(layouts):
    return dict.fromkeys(layouts, LayoutQuality(0.75, -0.25, 0.5, 1.5, 0.125, 10))


WORDS = "10-NN accuracy 75.0% · silhouette -0.25\ntrustworthiness 0.500 · KL divergence 1.5 · moved 0.125 σ"


def test_a_row_for_each_method_and_a_column_for_each_layer():
    layouts = some(["conv1", "conv2", "fc1"])
    picture = projection_overview(layouts, LABELS, ["a", "b"], numbers=same(layouts), title="epoch 1")
    panels = {
        (row, column): (f"{layer}\n{WORDS}", layouts[layer, method].points)
        for row, method in enumerate(["pca", "tsne"])
        for column, layer in enumerate(["conv1", "conv2", "fc1"])
    }
    rows = ["PCA", "t-SNE (perplexity 13)"]
    assert np.array_equal(picture, scatter_grid(panels, rows, LABELS, ["a", "b"], title="epoch 1"))
    assert picture.shape == (830, 1080, 3)


@pytest.mark.parametrize(
    ("layers", "methods", "columns", "rows"), [(5, 2, 5, 2), (6, 1, 3, 2), (7, 2, 4, 4), (1, 2, 1, 2), (11, 1, 4, 3)]
)
def test_more_than_five_layers_go_on_in_further_rows(layers, methods, columns, rows):
    layouts = some([f"layer{number}" for number in range(layers)], ["tsne", "pca"][:methods])
    picture = projection_overview(layouts, LABELS, ["a", "b"], numbers=same(layouts))
    assert picture.shape == (50 + 390 * rows, 30 + 350 * columns, 3)


def test_layers_that_go_on_in_further_rows_keep_their_order():
    layouts = some("abcdef", ["pca"])
    picture = projection_overview(layouts, LABELS, ["a", "b"], numbers=same(layouts))
    panels = {divmod(i, 3): (f"{name}\n{WORDS}", layouts[name, "pca"].points) for i, name in enumerate("abcdef")}
    assert np.array_equal(picture, scatter_grid(panels, ["PCA", "PCA"], LABELS, ["a", "b"], title=""))


def test_a_layout_that_was_begun_anew_says_so_in_its_panel():
    layouts = some(["conv1", "conv2"], ["tsne"])
    layouts["conv2", "tsne"] = layouts["conv2", "tsne"]._replace(origin="anew")
    picture = projection_overview(layouts, LABELS, ["a", "b"], numbers=same(layouts))
    words = {"conv1": "conv1", "conv2": "conv2 · begun anew"}
    panels = {(0, i): (f"{words[name]}\n{WORDS}", layouts[name, "tsne"].points) for i, name in enumerate(words)}
    assert np.array_equal(picture, scatter_grid(panels, ["t-SNE (perplexity 13)"], LABELS, ["a", "b"], title=""))


def test_numbers_are_computed_where_they_are_not_given():
    layouts = some(["conv1", "conv2"])
    own = projection_overview(layouts, LABELS, ["a", "b"])
    assert not np.array_equal(own, projection_overview(layouts, LABELS, ["a", "b"], numbers=same(layouts)))


def test_of_a_long_name_the_end_is_kept():
    def head(name):
        layouts = some([name], ["pca"])
        return projection_overview(layouts, LABELS, ["a", "b"], numbers=same(layouts), title="epoch 1")[:60]

    long = "features." * 8
    assert not np.array_equal(head(long + "conv1"), head(long + "conv2"))
    assert np.array_equal(head(long + "conv1"), head("other." + long + "conv1"))
    assert (head(long + "conv1")[:, -8:] == 255).all()


def test_unknown_classes_leave_only_the_layers_name():
    layouts = some(["conv1", "conv2"], ["pca"])
    picture = projection_overview(layouts, np.full(40, -1), [])
    panels = {(0, column): (name, layouts[name, "pca"].points) for column, name in enumerate(["conv1", "conv2"])}
    assert np.array_equal(picture, scatter_grid(panels, ["PCA"], np.full(40, -1), [], title=""))
