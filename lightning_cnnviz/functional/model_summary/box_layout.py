"""Layout of a network's picture in pixels: the columns and lanes of each group get sizes, and rows have an end."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

from lightning_cnnviz.functional.model_summary.arrangement import Level

COLUMN_GAPS, LANE_GAP = (26, 20, 14), 10
"""In pixels: between columns, where edges change their lane (a smaller one only if it saves a row), and lanes."""
FRAME_PADDING, FRAME_TITLE = 6, 16
"""In pixels: between a frame and what is in it, and the height of the name above."""
ROW_GAP, ROW_END = 18, 12
"""In pixels: between rows, and what edges extend beyond a row that they leave."""


class Cell(NamedTuple):
    """The space of an item; lengths in pixels.

    Attributes:
        width: Its width; edges begin and end at its sides.
        above: From the height at which edges begin and end to the top.
        below: From there to the bottom.
    """

    width: float
    above: float
    below: float


class Edge(NamedTuple):
    """A part of an edge.

    Attributes:
        points: Corners from left to right, which are joined by curves where they differ in height.
        target: Index of the item that it leads to; None at the end of a row.
    """

    points: tuple[tuple[float, float], ...]
    target: int | None


class Placed(NamedTuple):
    """A level in pixels.

    Attributes:
        cell: The space that it takes.
        items: Left end and height of the edges' ends, of each item.
        edges: The edges, those that cross the end of a row in several parts.
    """

    cell: Cell
    items: tuple[tuple[float, float], ...]
    edges: tuple[Edge, ...]


def place(level: Level, cells: Sequence[Cell], length: float | None = None) -> Placed:
    """Gives the columns and lanes of a level the sizes of what is in them.

    Args:
        level: Items and edges.
        cells: The space of each item.
        length: Maximum length of a row, unless a column is longer; further columns stand in further rows, as few as
            possible, of about equal length. Default: one row.

    Example:
        >>> from lightning_cnnviz.functional.model_summary.arrangement import Item
        >>> level = Level(None, (Item((0,), 0, 0), Item((1,), 1, 0)), ((0, 1, 0),))
        >>> place(level, [Cell(30, 10, 20), Cell(40, 10, 20)]).items
        ((0.0, 10.0), (56.0, 10.0))
    """
    widths: dict[int, float] = {}
    for item, cell in zip(level.items, cells, strict=True):
        widths[item.column] = max(widths.get(item.column, 0.0), cell.width)
    rows, lefts = _best_rows(widths, length)
    heights = [_heights(level, cells, row) for row in rows]
    tops = [0.0]
    for row in heights:
        tops.append(tops[-1] + row[1] + ROW_GAP)
    row_of = {column: index for index, row in enumerate(rows) for column in row}

    def height(column: int, lane: int) -> float:
        return tops[row_of[column]] + heights[row_of[column]][0][lane]

    whole = max((lefts[column] + widths[column] for column in widths), default=0.0)
    items = tuple(
        (lefts[item.column] + (widths[item.column] - cell.width) / 2, height(item.column, item.lane))
        for item, cell in zip(level.items, cells, strict=True)
    )
    edges: list[Edge] = []
    for source, target, lane in level.edges:
        first, last = level.items[source].column, level.items[target].column
        points = [
            (items[source][0] + cells[source].width, items[source][1]),
            (lefts[first] + widths[first], items[source][1]),
        ]
        for column in range(first + 1, last + 1):
            own = items[target][1] if column == last else height(column, lane)
            if row_of[column] != row_of[column - 1]:
                before = points[-1][1] if column == first + 1 else height(column - 1, lane)
                edges.append(Edge((*points, (whole + ROW_END, before)), None))
                points = [(-ROW_END, height(column, lane))]
            points += [(lefts[column], own)]
            points += [(lefts[column] + widths[column], own)] if column < last else [(items[target][0], own)]
        edges.append(Edge(tuple(points), target))
    above = heights[0][0][0] if heights else 0.0
    return Placed(Cell(whole, above, max(tops[-1] - ROW_GAP, 0.0) - above), items, tuple(edges))


def _best_rows(widths: Mapping[int, float], length: float | None) -> tuple[list[list[int]], dict[int, float]]:
    """The columns in each row, and the left end of each column."""
    if length is None:
        return _rows(widths, inf, COLUMN_GAPS[0])
    fewest = len(_rows(widths, length, COLUMN_GAPS[-1])[0])
    gap = next(gap for gap in COLUMN_GAPS if len(_rows(widths, length, gap)[0]) == fewest)
    lengths = [*range(100, int(length), 20), length]
    return next(found for end in lengths if len((found := _rows(widths, end, gap))[0]) == fewest)


def _rows(widths: Mapping[int, float], length: float, gap: float) -> tuple[list[list[int]], dict[int, float]]:
    rows: list[list[int]] = []
    lefts: dict[int, float] = {}
    end = 0.0
    for column in sorted(widths):
        if not rows or end + gap + widths[column] > length:
            rows.append([])
            end = -gap
        lefts[column] = end + gap
        rows[-1].append(column)
        end = lefts[column] + widths[column]
    return rows, lefts


def _heights(level: Level, cells: Sequence[Cell], row: Sequence[int]) -> tuple[dict[int, float], float]:
    """The height of the edges' ends in each lane of a row, and that of the row."""
    lanes = {item.lane for item in level.items} | {lane for _, _, lane in level.edges} | {0}
    heights: dict[int, float] = {}
    top = 0.0
    for lane in range(min(lanes), max(lanes) + 1):
        here = [
            cell for item, cell in zip(level.items, cells, strict=True) if item.lane == lane and item.column in row
        ]
        heights[lane] = top + max((cell.above for cell in here), default=0.0)
        top = heights[lane] + max((cell.below for cell in here), default=0.0) + LANE_GAP
    return heights, max(top - LANE_GAP, 0.0)
