"""The heat map of deviations, in which what is dead is seen, and the words behind layers' names."""

import matplotlib
import numpy as np
import pytest
from helpers.reading import written

from lightning_cnnviz.functional.activations.activation_stats import (
    ActivationStatistics,
    activation_heat_map,
    activation_tab_data,
    row_notes,
)
from lightning_cnnviz.functional.activations.histogram import Histogram

nan = np.nan
VIRIDIS = np.round(np.array(matplotlib.colormaps["viridis"].colors) * 255)

pytestmark = pytest.mark.usefixtures("no_warnings")


def statistics(**changes):
    histogram = Histogram(np.array([1.0, 3.0]), -1.0, 1.0, 4, 1.0, 2.0)
    return ActivationStatistics(0.5, 0.25, nan, nan, 0, 0, histogram)._replace(**changes)


def area(picture, rows, columns, row, column):
    """The pixels of a cell, without its edges, of a map whose first row has the highest value in its first column."""
    yellow = (picture == VIRIDIS[-1]).all(-1)
    yellow[:, 780:] = False  # the colour scale
    top, left = (np.flatnonzero(yellow.any(axis=1 - axis))[0] for axis in (0, 1))
    height, width = (
        np.flatnonzero(yellow.any(axis=1 - axis))[-1] + 1 - start for axis, start in ((0, top), (1, left))
    )
    y, x = top + row * height, left + column * width
    return picture[y + 2 : y + height - 2, x + 2 : x + width - 2]


def test_layers_that_give_one_value_are_hatched_and_the_legend_says_so():
    deviations = np.array([[1.0, 0.1], [0.5, 0.0], [nan, 0.2]])
    picture = activation_heat_map(["conv1", "relu1", "fc"], [10, 20], deviations, title="activations")
    assert written(picture, "the same value everywhere")
    assert written(picture, "activations · grey: not measured", size=15)
    dead = area(picture, 3, 2, 1, 1)
    shades = {tuple(colour) for colour in dead.reshape(-1, 3).tolist()}
    assert shades == {(34, 34, 34), (255, 255, 255)}
    for row, column in ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1)):
        assert len(np.unique(area(picture, 3, 2, row, column).reshape(-1, 3), axis=0)) == 1
    assert (area(picture, 3, 2, 2, 0) == 221).all()


def test_without_such_layers_the_legend_is_left_out():
    picture = activation_heat_map(["conv1"], [10], np.array([[1.0]]))
    assert not written(picture, "the same value everywhere")


def test_what_is_wrong_stands_behind_the_name():
    picture = activation_heat_map(["conv1", "relu1"], [10], np.ones((2, 1)), notes={"relu1": "25 % dead"})
    assert written(picture, "relu1 · 25 % dead", rows=200)
    assert written(picture, "conv1", rows=200)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"dead": 0.0, "saturated": 0.0}, None),
        ({"dead": 1.0}, "100 % dead"),
        ({"dead": 0.999}, "99 % dead"),
        ({"dead": 0.001}, "< 1 % dead"),
        ({"dead": 0.25, "saturated": 0.5}, "25 % dead, 50 % saturated"),
        ({"non_finite": 3}, "3 not finite"),
    ],
)
def test_words_say_what_is_wrong_and_never_none_or_all_of_what_is_not_quite(changes, words):
    assert row_notes({"fc": statistics(**changes)}).get("fc") == words


def test_what_is_not_measured_is_left_out_of_the_scalars_and_unknown_in_the_tab():
    row = statistics(dead=0.0)
    assert row.known() == {"mean": 0.5, "std": 0.25, "dead": 0.0}
    header, _ = activation_tab_data("fc", row, "validation", 40).packed()
    assert b'"dead": 0.0, "saturated": null' in header


def test_of_a_layer_without_finite_values_the_tab_gets_no_bins():
    row = statistics(mean=nan, std=nan, non_finite=9, histogram=None)
    data = activation_tab_data("fc", row, "training", 40)
    assert len(data.arrays["counts"]) == 0
    assert "low" not in data.info
