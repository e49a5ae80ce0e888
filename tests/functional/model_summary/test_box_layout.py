"""Pixels of columns and lanes: nothing overlaps, rows are as long as they may be, and edges keep clear of boxes."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_cnnviz.functional.model_summary.arrangement import Item, Level
from lightning_cnnviz.functional.model_summary.box_layout import COLUMN_GAPS, LANE_GAP, ROW_END, Cell, place
from lightning_cnnviz.functional.model_summary.layered_layout import layered_layout


@st.composite
def levels(draw):
    nodes = draw(st.integers(1, 14))
    pairs = [(source, target) for target in range(nodes) for source in range(target)]
    edges = sorted(draw(st.sets(st.sampled_from(pairs), max_size=25))) if pairs else []
    columns, lanes, tracks = layered_layout(nodes, edges)
    size = st.floats(0, 120).map(round)
    cells = [Cell(draw(size), draw(size), draw(size)) for _ in range(nodes)]
    items = tuple(Item((k,), columns[k], lanes[k]) for k in range(nodes))
    level = Level(None, items, tuple((*edge, track) for edge, track in zip(edges, tracks, strict=True)))
    return level, cells, draw(st.sampled_from([None, 150, 400, 1000]))


def rectangles(cells, placed):
    return [
        (x, x + cell.width, y - cell.above, y + cell.below) for cell, (x, y) in zip(cells, placed.items, strict=True)
    ]


@given(levels())
def test_boxes_do_not_overlap_and_stand_within_the_space_that_is_told(drawn):
    level, cells, length = drawn
    placed = place(level, cells, length)
    for (left, right, top, bottom), (left2, right2, top2, bottom2) in combinations(rectangles(cells, placed), 2):
        assert right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
    for left, right, top, bottom in rectangles(cells, placed):
        assert left >= 0
        assert right <= placed.cell.width
        assert top >= 0
        assert bottom <= placed.cell.above + placed.cell.below + 1e-9


@given(levels())
def test_edges_begin_at_their_source_end_at_their_target_and_run_through_no_box(drawn):
    level, cells, length = drawn
    placed = place(level, cells, length)
    boxes = rectangles(cells, placed)
    ends = [(edge.points[-1], edge.target) for edge in placed.edges if edge.target is not None]
    targets = [target for _, target, _ in level.edges]
    assert ends == [(placed.items[target], target) for target in targets]
    starts = [placed.edges[0].points[0]] if placed.edges else []
    starts += [after.points[0] for before, after in pairwise(placed.edges) if before.target is not None]
    sources = [source for source, _, _ in level.edges]
    assert starts == [(boxes[source][1], placed.items[source][1]) for source in sources]
    for edge in placed.edges:
        for (x, y), (to_x, to_y) in pairwise(edge.points):
            assert to_x >= x - 1e-9 or x < 0
            for left, right, top, bottom in boxes:  # bends are between columns, where there are no boxes
                inside = max(x, left) + 1e-9 < min(to_x, right)
                low, high = min(y, to_y), max(y, to_y)
                assert not (inside and max(low, top) < min(high, bottom)), "a bend in a box"
                assert not (inside and y == to_y and top < y < bottom), "an edge through a box"


@given(levels())
def test_rows_are_as_few_as_possible_and_no_longer_than_allowed(drawn):
    level, cells, length = drawn
    placed = place(level, cells, length)
    columns = {}
    for item, cell in zip(level.items, cells, strict=True):
        columns[item.column] = max(columns.get(item.column, 0), cell.width)
    middles = {
        item.column: x + cell.width / 2 for item, cell, (x, _) in zip(level.items, cells, placed.items, strict=True)
    }
    breaks = sum(middles[column + 1] < middles[column] for column in range(max(columns)))
    if length is None:
        assert breaks == 0
        return
    assert placed.cell.width <= max(length, *columns.values())
    fewest, end = 1, -COLUMN_GAPS[-1]
    for _, width in sorted(columns.items()):
        if end + COLUMN_GAPS[-1] + width > length and end >= 0:
            fewest, end = fewest + 1, width
        else:
            end += COLUMN_GAPS[-1] + width
    assert breaks <= fewest - 1


def chain(count):
    return Level(
        None,
        tuple(Item((k,), k, 0) for k in range(count)),
        tuple((k, k + 1, 0) for k in range(count - 1)),
    )


def test_rows_are_of_about_equal_length():
    placed = place(chain(23), [Cell(50, 10, 10)] * 23, 1000)
    heights = [y for _, y in placed.items]
    counts = [heights.count(height) for height in sorted(set(heights))]
    assert counts == [12, 11]


@pytest.mark.parametrize(("width", "gap"), [(50, 26), (56, 20), (62, 14)])
def test_a_smaller_gap_is_taken_if_it_saves_a_row(width, gap):
    placed = place(chain(10), [Cell(width, 10, 10)] * 10, 750)
    assert [x for x, _ in placed.items] == [k * (width + gap) for k in range(10)]


def test_lanes_take_the_height_of_what_is_in_them():
    level = Level(None, (Item((0,), 0, 0), Item((1,), 1, 0), Item((2,), 1, 1)), ((0, 1, 0), (0, 2, 0)))
    placed = place(level, [Cell(10, 30, 5), Cell(10, 10, 20), Cell(10, 7, 8)])
    assert [y for _, y in placed.items] == [30, 30, 30 + 20 + LANE_GAP + 7]
    assert placed.cell == Cell(10 + COLUMN_GAPS[0] + 10, 30, 20 + LANE_GAP + 7 + 8)


def test_an_edge_over_the_end_of_a_row_is_in_two_parts_in_its_own_lane():
    items = tuple(Item((k,), k, 0) for k in range(4))
    level = Level(None, items, ((0, 1, 0), (1, 2, 0), (2, 3, 0), (0, 3, -1)))
    placed = place(level, [Cell(100, 20, 20)] * 4, 230)
    skip = placed.edges[-2:]
    assert [edge.target for edge in skip] == [None, 3]
    assert skip[0].points[-1] == (placed.cell.width + ROW_END, 0)
    assert skip[1].points[0] == (-ROW_END, placed.items[2][1] - 20 - LANE_GAP)
