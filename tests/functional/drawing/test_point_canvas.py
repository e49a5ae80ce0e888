"""Points in few colours: at their places, as large as asked for, none covered by another's edge."""

import numpy as np
import pytest

from lightning_cnnviz.functional.drawing.point_canvas import (
    FRAME_SHADE,
    INK_SHADES,
    POINT_SHADES,
    PlotArea,
    draw_frame,
    draw_name,
    draw_points,
    draw_text,
    name_size,
    palette,
    view_of,
)

BOX = PlotArea(20, 10, 220, 110)


def blank(height=120, width=240):
    return np.zeros((height, width), dtype=np.uint16)


def strengths(canvas, number):
    """How strong a class's colour is in each pixel, 0…1."""
    shade = canvas.astype(int) - INK_SHADES - POINT_SHADES * number + 1
    return np.where((shade >= 1) & (shade <= POINT_SHADES), shade, 0) / POINT_SHADES


# ---- colours


@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_the_palette_goes_from_white_to_ink_and_to_each_classes_colour_and_grey(count):
    colours = np.random.default_rng(0).integers(0, 256, (count, 3), dtype=np.uint8)
    found = palette(colours)
    assert found.shape == (INK_SHADES + POINT_SHADES * (count + 1), 3)
    assert found[0].tolist() == [255] * 3
    assert (np.diff(found[:INK_SHADES].astype(int), axis=0) < 0).all()
    full = found[INK_SHADES + POINT_SHADES - 1 :: POINT_SHADES]
    np.testing.assert_array_equal(full[:count], colours)
    assert len(set(full[count].tolist())) == 1
    quarter = found[INK_SHADES::POINT_SHADES][:count]
    assert np.abs(quarter - (255 + (colours.astype(float) - 255) / POINT_SHADES)).max(initial=0) <= 0.5


# ---- places


@pytest.mark.parametrize("spread", [(1, 1), (1000, 1), (1, 1000), (1e-9, 1e-9), (1e12, 1e10)])
def test_all_points_are_seen_undistorted_in_the_middle_of_the_box(spread):
    points = np.random.default_rng(0).normal(size=(50, 2)) * spread + 7
    view = view_of(points, BOX)
    pixels = view.pixels(points)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    assert (low >= BOX[:2]).all()
    assert (high <= BOX[2:]).all()
    np.testing.assert_allclose((low + high) / 2, [120, 60], atol=1e-3)
    share = (high - low) / [200, 100]
    assert share.max() == pytest.approx(0.92)
    expected = (points - points.mean(axis=0)) * [1, -1] * view.scale
    np.testing.assert_allclose(pixels - pixels.mean(axis=0), expected, atol=1e-3)


def test_points_that_are_not_finite_do_not_count():
    points = np.array([[0.0, 0.0], [1.0, 2.0], [np.nan, 5.0], [np.inf, -np.inf]])
    view = view_of(points, BOX)
    assert view.scale == view_of(points[:2], BOX).scale
    assert np.array_equal(view.centre, [0.5, 1.0])


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.full((3, 2), np.nan), np.full((4, 2), 5.0)])
def test_without_any_extent_points_lie_in_the_middle(points):
    view = view_of(points, BOX)
    assert np.isfinite(view.scale)
    there = points[np.isfinite(points).all(axis=1)]
    np.testing.assert_allclose(view.pixels(there), np.tile([120.0, 60.0], (len(there), 1)))


# ---- points


@pytest.mark.parametrize("radius", [1.5, 2.0, 3.5, 6.0])
@pytest.mark.parametrize("place", [(100.0, 50.0), (100.5, 50.25), (101.99, 49.01)])
def test_a_point_is_a_disc_of_its_area_at_its_place(place, radius):
    canvas = blank()
    draw_points(canvas, np.array([place]), np.array([0]), radius)
    covered = strengths(canvas, 0)
    assert (canvas[covered == 0] == 0).all()
    assert covered.sum() == pytest.approx(np.pi * radius**2, rel=0.12)
    rows, columns = np.indices(canvas.shape) + 0.5
    middle = (covered * columns).sum() / covered.sum(), (covered * rows).sum() / covered.sum()
    np.testing.assert_allclose(middle, place, atol=0.25)


def test_later_points_lie_over_earlier_ones_but_their_edges_cover_none():
    canvas, pixels = blank(), np.array([[100.0, 50.0], [104.0, 50.0]])
    draw_points(canvas, pixels, np.array([0, 1]), 3.0)
    alone = blank()
    draw_points(alone, pixels[1:], np.array([1]), 3.0)
    strong = strengths(alone, 1) > 0.5
    assert (strengths(canvas, 1)[strong] > 0.5).all()
    first = blank()
    draw_points(first, pixels[:1], np.array([0]), 3.0)
    faint = (strengths(alone, 1) > 0) & ~strong & (strengths(first, 0) > 0.5)
    assert faint.any()
    assert (strengths(canvas, 0)[faint] > 0.5).all()


def test_the_order_of_points_that_do_not_touch_does_not_matter():
    rng = np.random.default_rng(0)
    pixels = np.stack(np.meshgrid(np.arange(20, 220, 12), np.arange(15, 110, 12)), axis=-1).reshape(-1, 2) + 0.3
    classes, order = rng.integers(0, 5, len(pixels)), rng.permutation(len(pixels))
    one, other = blank(), blank()
    draw_points(one, pixels, classes, 3.0)
    draw_points(other, pixels[order], classes[order], 3.0)
    np.testing.assert_array_equal(one, other)


def test_points_that_are_not_finite_are_left_out():
    canvas = blank()
    draw_points(canvas, np.array([[np.nan, 5.0], [np.inf, 5.0]]), np.array([0, 0]), 3.0)
    assert not canvas.any()
    draw_points(canvas, np.zeros((0, 2)), np.zeros(0, dtype=int), 3.0)
    assert not canvas.any()


# ---- lines and words


def test_the_frame_is_the_edge_of_the_box_and_nothing_else():
    canvas = blank()
    draw_frame(canvas, BOX)
    inside = canvas[BOX.top : BOX.bottom, BOX.left : BOX.right]
    assert (inside[[0, -1]] == FRAME_SHADE).all()
    assert (inside[:, [0, -1]] == FRAME_SHADE).all()
    assert not inside[1:-1, 1:-1].any()
    assert (canvas == FRAME_SHADE).sum() == (inside == FRAME_SHADE).sum()


def test_upright_words_are_the_same_words_turned():
    flat, upright = blank(150, 150), blank(150, 150)
    draw_text(flat, "neurons", 5, 7, 12)
    draw_text(upright, "neurons", 7, 5, 12, upright=True)
    rows, columns = np.nonzero(flat)
    word = flat[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    rows, columns = np.nonzero(upright)
    turned = upright[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    np.testing.assert_array_equal(np.rot90(word), turned)
    assert word.max() == INK_SHADES - 1


def test_a_name_has_a_white_outline_that_stands_out_from_points():
    canvas = np.full((60, 200), INK_SHADES + POINT_SHADES - 1, dtype=np.uint16)
    draw_name(canvas, "trouser", (100, 30), 14)
    rows, columns = np.nonzero(canvas != INK_SHADES + POINT_SHADES - 1)
    width, height = name_size("trouser", 14)
    assert columns.max() - columns.min() < width
    assert rows.max() - rows.min() < height
    assert columns.mean() == pytest.approx(100, abs=3)
    assert (canvas == 0).sum() > 50
    assert (canvas == INK_SHADES - 1).sum() > 50
    ink = (canvas > 0) & (canvas < INK_SHADES)
    around = np.pad(ink, 1)
    beside = around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:]
    assert (canvas[beside & ~ink] == 0).all()


@pytest.mark.parametrize(("left", "top"), [(-40, 5), (230, 5), (5, -10), (5, 118), (-500, 5), (500, 5), (5, 500)])
def test_words_that_reach_beyond_the_canvas_are_cut_there(left, top):
    canvas, larger = blank(), blank(120 + 1200, 240 + 1200)
    draw_text(canvas, "words", left, top, 12)
    draw_text(larger, "words", left + 600, top + 600, 12)
    np.testing.assert_array_equal(canvas, larger[600:720, 600:840])


def test_a_text_of_several_lines_becomes_one():
    one, other = blank(), blank()
    draw_text(one, "two\nlines", 5, 5, 12)
    draw_text(other, "two lines", 5, 5, 12)
    np.testing.assert_array_equal(one, other)
