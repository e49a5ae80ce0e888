"""Colours of the pictures: what they were made from, and that they can be told apart."""

import json
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from lightning_cnnviz.functional.drawing import colours
from lightning_cnnviz.functional.drawing.colours import class_colours


def distance(one, other):
    return np.linalg.norm(one.astype(float) - other.astype(float), axis=-1)


def map_colours(name, count):
    return np.round(matplotlib.colormaps[name](np.linspace(0, 1, count))[:, :3] * 255)


@pytest.mark.parametrize("table", ["DIVERGING", "SEQUENTIAL", "CLASSES", "RAINBOW"])
def test_tables_are_rgb_of_whole_numbers(table):
    values = getattr(colours, table)
    assert values.dtype == np.uint8
    assert values.shape[1:] == (3,)


@pytest.mark.parametrize(("table", "name"), [("SEQUENTIAL", "viridis"), ("RAINBOW", "turbo"), ("DIVERGING", "RdBu_r")])
def test_colour_maps_are_those_of_matplotlib(table, name):
    values = getattr(colours, table)
    off = distance(values, map_colours(name, len(values)))
    middle = len(values) // 2
    if table == "DIVERGING":  # but for a middle without a hue
        off = np.delete(off, middle)
        assert len(set(values[middle].tolist())) == 1
        assert len(values) % 2 == 1
    assert off.max() <= 2


def test_brightness_of_the_sequential_map_rises_and_that_of_the_diverging_one_falls_away_from_zero():
    luma = np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(colours.SEQUENTIAL @ luma) > -0.75).all()
    side = len(colours.DIVERGING) // 2
    brightness = colours.DIVERGING @ luma
    assert (np.diff(brightness[: side + 1]) > -0.75).all()
    assert (np.diff(brightness[side:]) < 0.75).all()


def test_what_is_not_finite_has_a_colour_of_no_map():
    for table in (colours.DIVERGING, colours.SEQUENTIAL, colours.CLASSES, colours.RAINBOW):
        assert distance(table, colours.NON_FINITE).min() > 60


def test_the_tab_reads_the_same_tables():
    file = Path(colours.__file__).with_name("colours.json")
    tables = json.loads(file.read_text(encoding="utf-8"))
    assert np.array_equal(tables["sequential"], colours.SEQUENTIAL)
    assert np.array_equal(tables["no_class"], colours.NO_CLASS)


@pytest.mark.parametrize("count", [0, 1, 2, 9, 10])
def test_up_to_ten_classes_keep_their_colours_whatever_their_number(count):
    found = class_colours(count)
    assert len(found) == count
    np.testing.assert_array_equal(found, class_colours(10)[:count])


@pytest.mark.parametrize("count", [11, 20, 100])
def test_more_classes_are_spread_over_a_rainbow(count):
    found = class_colours(count)
    assert found.shape == (count, 3)
    assert len(np.unique(found, axis=0)) == count
    assert found.dtype == np.uint8


def test_more_classes_than_colours_have_one_each_nevertheless():
    assert class_colours(1000).shape == (1000, 3)


def test_ten_classes_can_be_told_apart():
    apart = distance(class_colours(10)[:, None], class_colours(10)[None])
    assert apart[~np.eye(10, dtype=bool)].min() > 30


@pytest.mark.xfail(reason="the ninth class is a grey that is hardly another than that of no class", strict=True)
def test_no_class_has_the_grey_of_points_without_a_class():
    assert distance(class_colours(10), colours.NO_CLASS).min() > 30
