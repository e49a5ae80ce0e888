"""The parts of a chart stand where they belong, and what lies beyond an edge is cut there."""

import numpy as np
import pytest

from lightning_cnnviz.functional.drawing.plot import Key, draw_axis, draw_line, draw_ring, headed, paste, tick_pixels
from lightning_cnnviz.functional.drawing.point_canvas import PlotArea
from lightning_cnnviz.functional.drawing.ticks import Axis

BLUE = (63, 144, 218)
BOX = PlotArea(50, 20, 151, 121)


def white(height=160, width=200):
    return np.full((height, width, 3), 255, dtype=np.uint8)


@pytest.mark.parametrize("top", [-30, -2, 0, 5, 18, 40])
@pytest.mark.parametrize("left", [-30, -2, 0, 5, 28, 40])
def test_what_lies_beyond_an_edge_is_cut_there(top, left):
    large, part = np.zeros((120, 130, 3), dtype=np.uint8), np.full((6, 7, 3), 9, dtype=np.uint8)
    large[50 + top : 56 + top, 50 + left : 57 + left] = part
    picture = np.zeros((20, 30, 3), dtype=np.uint8)
    paste(picture, part, top, left)
    np.testing.assert_array_equal(picture, large[50:70, 50:80])


def test_ticks_lie_from_end_to_end():
    axis = Axis(0.0, 10.0, [0.0, 5.0, 10.0], ["0", "5", "10"])
    assert tick_pixels(axis, BOX, "bottom").tolist() == [50, 100, 150]
    assert tick_pixels(axis, BOX, "left").tolist() == [120, 70, 20]
    picture = white()
    draw_axis(picture, BOX, axis, "bottom", grid=True)
    assert np.flatnonzero((picture[122] == 120).all(-1)).tolist() == [50, 100, 150]
    assert np.flatnonzero((picture[60] == 225).all(-1)).tolist() == [50, 100, 150]


@pytest.mark.parametrize(("start", "end"), [((10, 10), (90, 10)), ((10, 10), (10, 90)), ((10, 90), (90, 10))])
def test_a_line_goes_from_point_to_point_and_nowhere_else(start, end):
    picture = white(100, 100)
    draw_line(picture, np.array([start, end], dtype=float), BLUE, marked=False)
    rows, columns = np.nonzero((picture != 255).any(-1))
    centres = np.stack([columns, rows], axis=1) + 0.5
    along = np.subtract(end, start) / np.linalg.norm(np.subtract(end, start))
    offsets = centres - start
    distance = np.abs(offsets @ [-along[1], along[0]])
    assert distance.max() < 2.25 / 2 + 1
    places = offsets @ along
    assert places.min() == pytest.approx(0, abs=2)
    assert places.max() == pytest.approx(np.linalg.norm(np.subtract(end, start)), abs=2)
    assert (picture == BLUE).all(-1).sum() > 0.9 * places.max()


def test_a_line_that_crosses_another_leaves_no_light_edge_on_it():
    picture = white(60, 60)
    picture[20:40] = BLUE
    draw_line(picture, np.array([[5.0, 5.0], [55.0, 55.0]]), (255, 169, 14), marked=False)
    crossed = np.unique(picture[22:38].reshape(-1, 3), axis=0)
    for colour in crossed:  # ours, or nearer to the line's own colour than to white
        assert (colour == BLUE).all() or colour[2] < 128


@pytest.mark.parametrize(("column", "row"), [(50.0, 50.0), (0.0, 0.0), (99.0, 30.5)])
def test_a_ring_is_around_its_point_and_empty(column, row):
    picture = white(100, 100)
    draw_ring(picture, column, row)
    rows, columns = np.nonzero((picture < 200).all(-1))
    distance = np.hypot(rows + 0.5 - row, columns + 0.5 - column)
    assert distance.min() > 4
    assert distance.max() < 8


def test_a_legend_shows_each_colour_before_its_name():
    keys = [Key("first", BLUE, "box"), Key("second", (255, 169, 14), "line")]
    picture, top = headed(300, 100, "title", keys)
    assert picture.shape == (100, 300, 3)
    columns = [np.flatnonzero((picture[:top] == key.colour).all(-1).any(axis=0)) for key in keys]
    assert columns[0].max() < columns[1].min()
    assert not (picture[top:] != 255).any()
