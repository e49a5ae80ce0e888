"""Single panels: a layer's space, the plane in the colours of its cells, and data over them."""

import itertools

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from lightning_cnnviz.functional.drawing.colours import class_colours
from lightning_cnnviz.functional.drawing.figure import render_figure
from lightning_cnnviz.functional.input_partition import panels as partition_panels
from lightning_cnnviz.functional.input_partition.panels import (
    Points,
    Space,
    border_lines,
    coloured_space,
    data_points,
    dress,
    hyperplane,
    line_of,
    paint_cells,
    panels,
    pattern_colours,
    probability_colours,
    signed_colours,
)

RASTER = 160
"""Pixels per side of a space that is filled."""


def test_a_plane_in_three_dimensions_holds_the_points_where_the_unit_is_zero(monkeypatch):
    generator = np.random.default_rng(0)
    space = Space(generator.uniform(-1, 1, (500, 3)))
    weight, offset = np.array([0.3, -1.0, 0.5]), 0.2
    _, (axes,) = panels(1, 1, "", [True])
    drawn = []
    polygons = partition_panels.Poly3DCollection
    monkeypatch.setattr(partition_panels, "Poly3DCollection", lambda c, **look: drawn.append(c) or polygons(c, **look))
    hyperplane(axes, space, weight, offset)
    ((corners,),) = drawn
    np.testing.assert_allclose(corners @ weight + offset, 0, atol=1e-9)
    low, high = np.array(space.box()).T
    assert ((corners > low - 1e-9) & (corners < high + 1e-9)).all()
    assert (np.isclose(corners, low) | np.isclose(corners, high)).sum(axis=1).min() == 2  # on the box's edges


def test_neighbours_that_differ_in_one_unit_differ_in_colour():
    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 2, (1, 200)).astype(np.int16)
    flipped = np.abs(patterns - np.eye(200, dtype=np.int16))
    assert (np.abs(pattern_colours(flipped) - pattern_colours(patterns)).max(axis=1) > 0.05).all()


def test_few_patterns_share_a_colour():
    every = np.array(list(itertools.product([0, 1], repeat=8)), dtype=np.int16)
    assert len(np.unique(pattern_colours(every).round(3), axis=0)) == 256


def test_probabilities_are_white_where_undecided_and_the_classes_colour_where_sure():
    colours = probability_colours(np.array([[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]]))
    np.testing.assert_allclose(colours[0], 1)
    np.testing.assert_allclose(colours[1:], 1 - 0.9 * (1 - class_colours(2)[::-1] / 255))


def space(dimensions, count=500):
    return Space(np.random.default_rng(0).uniform(-1, 1, (count, dimensions)))


def one_axes(deep=False):
    _, (axes,) = panels(1, 1, "", [deep])
    return axes


@pytest.mark.parametrize(("dimensions", "shown", "whole"), [(1, 1, True), (2, 2, True), (3, 3, True), (4, 2, False)])
def test_up_to_three_dimensions_are_drawn_and_of_more_the_first_two(dimensions, shown, whole):
    one = space(dimensions)
    assert (one.dimensions, one.whole) == (shown, whole)
    box = np.array(one.box())
    assert box.shape == (shown, 2)
    assert (box[:, 0] < one.points[:, :shown].min(axis=0)).all()
    assert (box[:, 1] > one.points[:, :shown].max(axis=0)).all()
    assert np.ptp(box, axis=1) == pytest.approx(1.16 * np.ptp(one.points[:, :shown], axis=0))


def test_a_space_without_extent_has_a_box_nevertheless():
    box = np.array(Space(np.ones((4, 2))).box())
    assert (np.ptp(box, axis=1) > 0).all()


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_raster_fills_the_box(dimensions):
    one = space(dimensions)
    points, box = one.raster(), np.array(one.box())
    assert points.shape == (RASTER**dimensions, dimensions)
    assert (points.min(axis=0) >= box[:, 0]).all()
    assert (points.max(axis=0) <= box[:, 1]).all()
    assert (np.ptp(points, axis=0) > 0.98 * np.ptp(box, axis=1)).all()


def test_a_grid_of_panels_is_a_figure_with_as_many_axes_row_by_row():
    figure, axes = panels(2, 3, "costs $5", [False, True, False, False, False, True])
    assert isinstance(figure, Figure)
    assert [one.name for one in axes] == ["rectilinear", "3d", "rectilinear", "rectilinear", "rectilinear", "3d"]
    assert figure.get_suptitle() == r"costs \$5"
    assert axes[3].get_subplotspec().rowspan.start == 1


@pytest.mark.parametrize("limit", [0.0, 2.0])
def test_signed_values_are_blue_white_and_red(limit):
    low, zero, high = signed_colours(np.array([-2.0, 0.0, 2.0]), limit)
    np.testing.assert_allclose(zero, np.full(3, zero[0]), atol=0.02)
    assert low[2] > low[0]
    assert high[0] > high[2]


def test_probabilities_get_whiter_the_less_certain():
    shares = np.linspace(1 / 3, 1, 5)
    away = 1 - probability_colours(np.stack([shares, (1 - shares) / 2, (1 - shares) / 2], axis=1))
    certain = (shares - 1 / 3) / (2 / 3)
    np.testing.assert_allclose(away, certain[:, None] * away[-1], atol=1e-9)
    assert away[-1].max() > 0.3


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_axes_have_the_limits_of_the_space_and_say_what_they_are(dimensions):
    one, axes = space(dimensions), one_axes(deep=dimensions == 3)
    dress(axes, one, "costs $5")
    box = one.box()
    assert axes.get_title() == r"costs \$5"
    assert axes.get_xlim() == pytest.approx(box[0])
    if dimensions > 1:
        assert axes.get_ylim() == pytest.approx(box[1])
    if dimensions == 3:
        assert axes.get_zlim() == pytest.approx(box[2])
        assert axes.get_zlabel() == "dimension 3"
    expected = "dimensions 1 and 2 of 5" if dimensions == 5 else "dimension 1"
    assert axes.get_xlabel() == expected


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_without_a_raster_each_point_lies_at_its_place_in_its_colour(dimensions):
    one, axes = space(dimensions, 30), one_axes(deep=dimensions == 3)
    colours = np.random.default_rng(1).uniform(size=(30, 3))
    coloured_space(axes, one, colours)
    (drawn,) = axes.collections
    shown = one.points[:, : min(one.dimensions, 2)]
    if dimensions == 3:
        np.testing.assert_allclose(np.stack(drawn._offsets3d, axis=1), one.points)
        seen = drawn.get_facecolor()[:, None, :3]  # in the order of their distance, those in view
        assert (np.abs(seen - colours).max(axis=-1).min(axis=1) < 1e-9).all()
    else:
        places = np.asarray(drawn.get_offsets())
        np.testing.assert_allclose(places[:, : shown.shape[1]], shown)
        np.testing.assert_allclose(drawn.get_facecolor()[:, :3], colours)


def test_a_filled_plane_has_each_colour_at_its_place():
    one, axes = space(2), one_axes()
    points = one.raster()
    colours = np.stack([points[:, 0] > 0.2, points[:, 1] > -0.3, np.zeros(len(points))], axis=1).astype(float)
    coloured_space(axes, one, np.zeros((500, 3)), colours)
    (image,) = axes.images
    left, right, bottom, top = image.get_extent()
    assert (left, right) == pytest.approx(one.box()[0])
    assert (bottom, top) == pytest.approx(one.box()[1])
    square = np.asarray(image.get_array())
    for x, y in [(-0.5, -0.8), (0.5, -0.8), (-0.5, 0.8), (0.5, 0.8)]:
        row = int((y - bottom) / (top - bottom) * RASTER)
        column = int((x - left) / (right - left) * RASTER)
        assert square[row, column].tolist() == [x > 0.2, y > -0.3, 0]
    assert image.origin == "lower"


def test_a_filled_line_is_a_strip_without_a_second_axis():
    one, axes = space(1), one_axes()
    colours = np.linspace(0, 1, RASTER)[:, None].repeat(3, axis=1)
    coloured_space(axes, one, np.zeros((500, 3)), colours)
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array())[0], colours)
    assert len(axes.get_yticks()) == 0


# ---- hyperplanes


def test_in_one_dimension_a_unit_switches_at_a_point_if_that_is_seen():
    for weight, offset, places in [(2.0, -1.0, [0.5]), (-1.0, 0.25, [0.25]), (1.0, -9.0, []), (0.0, 1.0, [])]:
        axes = one_axes()
        hyperplane(axes, space(1), np.array([weight]), offset)
        assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx(places)


@pytest.mark.parametrize("weight", [(1.0, 0.5), (0.0, 2.0), (-3.0, 0.0), (1e-9, 1.0), (0.7, -0.7)])
def test_in_two_dimensions_the_line_holds_the_zeros_and_spans_the_box(weight):
    one, axes = space(2), one_axes()
    hyperplane(axes, one, np.array(weight), 0.1)
    points = axes.lines[0].get_xydata()
    np.testing.assert_allclose(points @ weight + 0.1, 0, atol=1e-9)
    low, high = np.array(one.box()).T
    assert ((points >= low - 1e-9) & (points <= high + 1e-9)).all()
    assert np.linalg.norm(np.ptp(points, axis=0)) > 1.5


@pytest.mark.parametrize(
    ("dimensions", "weight", "offset"), [(4, (1, 1, 1, 1), 0), (2, (0, 0), 1), (3, (1, 1, 1), 50), (3, (0, 0, 0), 0)]
)
def test_where_there_is_nothing_to_see_nothing_is_drawn(dimensions, weight, offset):
    axes = one_axes(deep=dimensions == 3)
    hyperplane(axes, space(dimensions), np.array(weight, dtype=float), offset)
    assert not axes.lines
    assert not axes.collections


# ---- the plane


SQUARES = [np.array([[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]], dtype=float) for x in (0, 1) for y in (0, 1)]


@pytest.mark.parametrize("edges", [True, False])
def test_cells_are_painted_in_their_colours(edges):
    axes, colours = one_axes(), np.eye(4)[:, :3]
    paint_cells(axes, (0, 2, 0, 2), SQUARES, colours, edges, "4 cells")
    (drawn,) = axes.collections
    np.testing.assert_allclose(drawn.get_facecolor()[:, :3], colours)
    for path, cell in zip(drawn.get_paths(), SQUARES, strict=True):
        np.testing.assert_array_equal(path.vertices[:-1], cell)
    assert axes.get_xlim() == axes.get_ylim() == (0, 2)
    assert axes.get_aspect() == 1
    assert axes.get_title() == "4 cells"


def test_without_cells_a_grid_is_painted_and_its_edges_are_dark():
    left = (np.arange(16) % 4 < 2)[:, None]
    colours = np.where(left, [[1.0, 0, 0]], [[0, 0, 1.0]])
    for edges in (False, True):
        axes = one_axes()
        paint_cells(axes, (0, 1, 0, 1), [], colours, edges)
        square = np.asarray(axes.images[0].get_array())
        dark = (square == 0.27).all(axis=-1)
        assert dark.any(axis=0).tolist() == [False, edges, False, False]
        np.testing.assert_array_equal(square[~dark], colours.reshape(4, 4, 3)[~dark])


def test_borders_are_drawn_as_they_are():
    axes, segments = one_axes(), np.random.default_rng(0).uniform(size=(6, 2, 2))
    border_lines(axes, segments)
    (drawn,) = axes.collections
    assert isinstance(drawn, LineCollection)
    np.testing.assert_array_equal(np.array(drawn.get_segments()), segments)


def test_each_class_has_its_colour_and_shape_and_points_without_one_are_grey():
    places = np.random.default_rng(0).uniform(size=(6, 2))
    data = Points(places, np.array([0, 1, 1, -1, 5, 0]))
    axes = one_axes()
    data_points(axes, data, ["cat", "dog"])
    cat, dog, others = axes.collections
    for drawn, members, colour in zip((cat, dog), ([0, 5], [1, 2]), class_colours(2) / 255, strict=True):
        np.testing.assert_array_equal(drawn.get_offsets(), places[members])
        np.testing.assert_allclose(drawn.get_facecolor()[0, :3], colour)
    np.testing.assert_array_equal(others.get_offsets(), places[[3, 4]])
    assert axes.get_legend_handles_labels()[1] == ["cat", "dog"]
    shapes = [drawn.get_paths()[0].vertices for drawn in (cat, dog)]
    assert shapes[0].shape != shapes[1].shape or not np.allclose(*shapes)


def test_of_much_data_the_first_are_drawn():
    places = np.random.default_rng(0).uniform(size=(50, 2))
    axes = one_axes()
    data_points(axes, Points(places, np.zeros(50, dtype=int)), ["cat"], at_most=7)
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), places[:7])


def test_a_function_over_a_line_has_an_axis_of_its_own():
    one, axes = space(1), one_axes()
    values = np.sin(one.raster()[:, 0])
    line_of(axes, one, values, "response in $")
    (twin,) = [other for other in axes.figure.axes if other is not axes]
    np.testing.assert_array_equal(twin.lines[0].get_xydata(), np.stack([one.raster()[:, 0], values], axis=1))
    assert twin.get_ylabel() == r"response in \$"
    assert render_figure(axes.figure).dtype == np.uint8
