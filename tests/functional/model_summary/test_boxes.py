"""Boxes have the size they are said to have, no word covers another, and lines go where they are told to."""

import numpy as np
import pytest
from helpers.reading import written
from scipy import ndimage

from lightning_cnnviz.functional.drawing.caption import text_width
from lightning_cnnviz.functional.model_summary.boxes import (
    DEPTH_RIGHT,
    DEPTH_UP,
    LINE_HEIGHT,
    MAX_LABEL_WIDTH,
    Block,
    Cuboid,
    Drawing,
    Frame,
    Line,
    Stand,
    draw_boxes,
)

BLUE, RED = (63, 144, 218), (189, 31, 1)
GREY = 120


def block(height=60.0, depth=40.0, thickness=20.0, colour=BLUE, number="6", size="8×8", names=("conv",)):
    return Block((Cuboid(height, depth, thickness, colour),), number, size, tuple(names))


def alone(one, reads=False, feeds=False):
    """A picture of one block in the middle."""
    return draw_boxes(Drawing([Stand(100, 150, one, reads, feeds)], [], []), 400, 400)


def fronts(picture, colour=BLUE):
    """Rows and columns of the areas of exactly this colour, from the left."""
    areas, _ = ndimage.label((picture == colour).all(-1))
    found = [places for places in ndimage.find_objects(areas) if places[0].stop - places[0].start > 3]
    return sorted(found, key=lambda places: places[1].start)


@pytest.mark.parametrize(("height", "thickness"), [(60, 20), (150, 5), (12, 80), (225, 40)])
def test_the_front_is_as_high_and_thick_as_asked_for(height, thickness):
    (front,) = fronts(alone(block(height=height, thickness=thickness)))
    size = front[0].stop - front[0].start, front[1].stop - front[1].start
    assert size == (pytest.approx(height, abs=3), pytest.approx(thickness, abs=3))  # without the edges


def test_depth_shows_at_the_top_and_at_the_side():
    flat, deep = (alone(block(depth=depth, number="", size="", names=[""])) for depth in (0, 100))
    (rows, columns), (deep_rows, deep_columns) = (
        [np.flatnonzero((picture != 255).any(-1).any(axis)) for axis in (1, 0)] for picture in (flat, deep)
    )
    assert np.ptp(deep_columns) - np.ptp(columns) == pytest.approx(100 * DEPTH_RIGHT, abs=1)
    assert np.ptp(deep_rows) - np.ptp(rows) == pytest.approx(100 * DEPTH_UP, abs=2)
    lighter = [round(part + 0.4 * (255 - part)) for part in BLUE]
    darker = [round(0.78 * part) for part in BLUE]
    assert (deep == lighter).all(-1).sum() == pytest.approx(24 * 20, rel=0.25)
    assert (deep == darker).all(-1).sum() == pytest.approx(30 * 60, rel=0.25)
    assert not (flat == lighter).all(-1).any()


def test_boxes_of_a_block_touch_and_stand_in_order():
    both = Block((Cuboid(60, 40, 20, BLUE), Cuboid(60, 40, 8, RED)), "6", "8×8", ("conv", "relu"))
    picture = alone(both)
    (first,), (second,) = fronts(picture), fronts(picture, RED)
    assert 0 < second[1].start - first[1].stop <= 3  # the edge between them


def test_what_is_written_stands_there_and_within_the_space_of_the_block():
    one = block(number="512", size="14×14", names=["conv5_3", "bn5_3", "a_long_name_of_a_layer_that_nobody_can_read"])
    picture = alone(one)
    assert written(picture, "512", rows=400)
    assert written(picture, "14×14", rows=400, faint=True)
    assert written(picture, "conv5_3", rows=400)
    assert written(picture, "bn5_3", rows=400, faint=True)
    assert not written(picture, "conv5_4", rows=400)
    cell = one.cell()
    assert cell.width <= MAX_LABEL_WIDTH
    rows, columns = (np.flatnonzero((picture != 255).any(-1).any(axis)) for axis in (1, 0))
    assert (columns[0], columns[-1]) >= (100, 0)
    assert columns[-1] <= 100 + cell.width + 1
    assert rows[0] >= 150 - cell.above - 1
    assert rows[-1] <= 150 + cell.below


@pytest.mark.parametrize("size", ["", "8×8"])
def test_the_space_of_a_block_has_room_for_its_boxes_and_lines(size):
    one = Block((Cuboid(60, 100, 20, BLUE), Cuboid(200, 40, 8, RED)), "6", size, ("conv", "relu"))
    assert one.thickness == 28
    assert one.reach == 100 * DEPTH_RIGHT / 2
    assert one.half_height == (200 + 40 * DEPTH_UP) / 2
    lines = 3 + bool(size)
    assert one.cell() == (max(28 + 100 * DEPTH_RIGHT, text_width("conv")), 104.8, 104.8 + 2 + lines * LINE_HEIGHT)


def grey(picture):
    return (picture == GREY).all(-1)


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("feeds", [True, False])
def test_edges_reach_a_box_that_is_narrower_than_its_name(reads, feeds):
    one = block(names=("a_name_of_some_length",), number="", size="")
    row = grey(alone(one, reads, feeds)[149:152]).any(0)
    (box,) = fronts(alone(one))
    assert row[101 : box[1].start - 3].all() == reads
    assert row[101 : box[1].start - 3].any() == reads
    right = int(100 + one.cell().width)
    assert row[box[1].stop + 16 : right - 1].all() == feeds
    assert row[box[1].stop + 16 : right - 1].any() == feeds


def test_a_line_bends_where_its_points_differ_in_height_and_has_an_arrow_if_asked_for():
    for arrow in (True, False):
        line = Line(((10, 20), (40, 20), (60, 80), (100, 80)), arrow)
        picture = draw_boxes(Drawing([], [line], []), 120, 100)
        dark = picture[..., 0] < 200
        assert dark[19:22, 11:40].any(0).all()
        assert dark[79:82, 60:99].any(0).all()
        assert dark[48:53, 48:53].any(), "half-way in the middle"
        assert not dark[:18].any()
        assert not dark[84:].any()
        assert (dark[76:85, 95:98].sum() > 9) == arrow


def test_a_frame_is_drawn_around_and_bears_its_name():
    picture = draw_boxes(
        Drawing([], [], [Frame(10, 10, 180, 80, "layer1"), Frame(200, 10, 60, 80, "m" * 50)]), 300, 120
    )
    assert written(picture, "layer1", faint=True)
    inked = (picture != 255).any(-1)
    assert inked[10:12, 20:180].any(0).all()
    assert inked[20:80, 9:12].any(1).all()
    assert inked[20:80, 187:191].any(1).all()
    assert not inked[30:80, 20:180].any()
    assert not inked[:, 262:].any(), "too long a name is shortened"
