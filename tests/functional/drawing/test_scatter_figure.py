import numpy as np
import pytest
from matplotlib.collections import PathCollection

from lightning_cnnviz.functional.drawing.figure import render_figure
from lightning_cnnviz.functional.drawing.scatter_figure import MARKERS, scatter_figure


def collections(figure):
    return {one.get_label(): one for one in figure.axes[0].collections if isinstance(one, PathCollection)}


def test_each_class_has_its_points_and_those_without_a_class_and_place_are_known():
    points = np.random.default_rng(0).normal(size=(7, 2))
    points[2] = np.nan
    found = collections(scatter_figure(points, np.array([0, 1, 1, 1, -1, 5, 0]), ["$a$", "b"], title="t"))
    np.testing.assert_array_equal(found[r"\$a\$"].get_offsets(), points[[0, 6]])
    np.testing.assert_array_equal(found["b"].get_offsets(), points[[1, 3]])
    np.testing.assert_array_equal(found["no class"].get_offsets(), points[[4, 5]])


@pytest.mark.parametrize("classes", [10, 40, 100])
def test_classes_differ_in_colour_or_marker(classes):
    figure = scatter_figure(np.eye(classes)[:, :2], np.arange(classes), [str(k) for k in range(classes)], title="")
    looks = {(*one.get_facecolor()[0], one.get_paths()[0].vertices.tobytes()) for one in collections(figure).values()}
    assert len(looks) == classes
    assert len(set(MARKERS)) == 10
    assert render_figure(figure).shape == (600, 700, 3)


def test_no_points_give_an_empty_chart():
    figure = scatter_figure(np.full((3, 2), np.nan), np.zeros(3, int), ["a"], title="none")
    assert not collections(figure)
    assert render_figure(figure).shape == (600, 700, 3)
