"""Diagram of a network: the outputs of its layers as boxes, and what flows between."""

from collections.abc import Sequence
from math import ceil, inf
from typing import NamedTuple

import numpy as np

from lightning_cnnviz.functional.drawing.caption import beside, stack, text_line, titled
from lightning_cnnviz.functional.drawing.image import Picture, tile
from lightning_cnnviz.functional.model_summary.arrangement import Arrangement, Item, Level
from lightning_cnnviz.functional.model_summary.block_style import ROLE_COLOURS, BlockStyle
from lightning_cnnviz.functional.model_summary.box_layout import (
    FRAME_PADDING,
    FRAME_TITLE,
    ROW_END,
    Cell,
    Placed,
    place,
)
from lightning_cnnviz.functional.model_summary.boxes import (
    Drawing,
    Frame,
    Line,
    Stand,
    draw_boxes,
)
from lightning_cnnviz.functional.model_summary.folding import structure
from lightning_cnnviz.functional.model_summary.layer_info import NodeRole

MAX_DIAGRAM_WIDTH = 1584
"""Maximum width of a row of boxes, in pixels."""
PART_GAP = 24
"""Pixels between pictures of what is in blocks."""
MAX_ENLARGED_COLUMNS = 12
"""Up to this number of columns, the diagram is enlarged."""
MAX_COLUMNS, MAX_KINDS = 300, 8
"""Beyond these numbers, further columns and kinds of blocks are not drawn."""


def architecture_diagram(arrangement: Arrangement, *, title: str = "") -> Picture:
    """Draws the output of each layer as a box in oblique projection, and what flows from layer to layer as lines.

    Height and depth of a box show height and width of the feature maps: they grow with the square root of the size
    relative to the largest map of the network. The thickness grows with the number of channels to the power of 0.4;
    functions without weights, such as an addition, are thin. Vectors are tall bars whose height grows with the
    logarithm of their length. Layers that only normalise, activate or reshape are thin slices attached to the one that
    they read from. The text under each box states the number of channels, the size of the maps, and the names of the
    layer and its slices. Blocks that the network repeats are drawn as one box with a slice for each of their parts;
    what is in a block of each kind is shown below.

    Args:
        arrangement: From `arranged`.
        title: Written above the diagram.

    Returns:
        Height × width × 3, uint8; up to 1600 pixels wide, in as many rows as necessary.

    Example:
        >>> import torch
        >>> from lightning_cnnviz.functional import arranged, network_graph
        >>> graph = network_graph(torch.nn.Conv2d(1, 6, 5), torch.rand(1, 1, 28, 28))
        >>> architecture_diagram(arranged(graph), title="one layer").shape[2]
        3
    """
    painter = _Painter(arrangement)
    network = painter.picture(None)
    parts, further = painter.parts()
    infos = arrangement.graph.infos
    return titled(
        stack(network, *_shelves(parts), gap=16),
        title,
        f"{len(infos)} layers with {sum(info.parameters for info in infos):,} parameters · "
        f"{sum(info.multiply_adds for info in infos):,} multiply-adds per sample",
        "as data flowed in one pass · sizes on compressed scales"
        + (f' · names are within "{arrangement.within}"' if arrangement.within else "")
        + (f" · {painter.left_out} columns left out" if painter.left_out else "")
        + (f" · {further} further kinds of blocks not shown" if further else ""),
        *(f"not drawn: {note}" for note in arrangement.graph.notes),
        scale=_legend(painter.style.roles),
    )


class _Measured(NamedTuple):
    """A level, the pixels of its items, and what is in those that are frames."""

    level: Level
    placed: Placed
    inner: dict[int, "_Measured"]


class _Painter:
    def __init__(self, arrangement: Arrangement) -> None:
        self.graph, self.labels = arrangement.graph, arrangement.labels
        self.levels = {level.group: level for level in arrangement.levels}
        self.folded = set(arrangement.folded)
        top = self.levels[None]
        enlarged = len(top.items) <= MAX_ENLARGED_COLUMNS and len(self.levels) == 1
        self.style = BlockStyle(arrangement, 1.5 if enlarged else 1.0)
        self.left_out = 0
        self.shown: list[int] = []  # folded groups that have been drawn
        self.alike: dict[object, list[int]] = {}
        for index, node in enumerate(self.graph.nodes):
            if node.is_group and not node.blocks:
                self.alike.setdefault(structure(self.graph, index), []).append(index)

    def picture(self, group: int | None) -> Picture:
        measured = self._measure(self._within_bounds(self.levels[group]), MAX_DIAGRAM_WIDTH - 2 * ROW_END)
        drawing = Drawing([], [], [])
        self._emit(measured, ROW_END, 2, drawing)
        cell = measured.placed.cell
        return draw_boxes(drawing, ceil(cell.width) + 2 * ROW_END, ceil(cell.above + cell.below) + 6)

    def parts(self) -> tuple[list[Picture], int]:
        """A picture of one folded group of each kind that has been drawn, and the number of further kinds."""
        drawn: dict[object, Picture] = {}
        further = set[object]()
        for group in self.shown:  # which grows by what is folded in these groups
            if self.graph.nodes[group].blocks:  # the first of the equal blocks
                group = next(index for index, node in enumerate(self.graph.nodes) if node.parent == group)
            kind = structure(self.graph, group)
            if kind in drawn:
                continue
            if len(drawn) == MAX_KINDS:
                further.add(kind)
                continue
            others, node = len(self.alike[kind]) - 1, self.graph.nodes[group]
            heading = f"in {node.name}" + (f" and {others} more" if others else "") + f" · {node.kind}"
            drawn[kind] = stack(text_line(heading), self.picture(group), gap=2)
        return list(drawn.values()), len(further)

    def _is_group(self, item: Item) -> bool:
        return bool(item.nodes) and self.graph.nodes[item.nodes[0]].is_group

    def _within_bounds(self, level: Level) -> Level:
        """A level without the columns that are too many."""
        kept = [k for k, item in enumerate(level.items) if item.column < MAX_COLUMNS]
        if len(kept) == len(level.items):
            return level
        self.left_out += max(item.column for item in level.items) + 1 - MAX_COLUMNS
        place_of = {k: index for index, k in enumerate(kept)}
        edges = [(place_of[s], place_of[t], lane) for s, t, lane in level.edges if s in place_of and t in place_of]
        return level._replace(items=tuple(level.items[k] for k in kept), edges=tuple(edges))

    def _measure(self, level: Level, length: float | None) -> _Measured:
        cells: list[Cell] = []
        inner: dict[int, _Measured] = {}
        for index, item in enumerate(level.items):
            if self._is_group(item) and item.nodes[0] not in self.folded:
                within = self._measure(self.levels[item.nodes[0]], None)
                space = within.placed.cell
                if space.width + 2 * FRAME_PADDING <= MAX_DIAGRAM_WIDTH - 2 * ROW_END:
                    inner[index] = within
                    above = space.above + FRAME_PADDING + FRAME_TITLE
                    cells.append(Cell(space.width + 2 * FRAME_PADDING, above, space.below + FRAME_PADDING))
                    continue
                self.folded.add(item.nodes[0])
            cells.append(self.style.block(item).cell() if item.nodes else Cell(0, 0, 0))
        return _Measured(level, place(level, cells, length), inner)

    def _emit(self, measured: _Measured, left: float, top: float, drawing: Drawing) -> None:
        """Adds a level to a drawing, at a place."""
        edges = measured.level.edges
        for edge in measured.placed.edges:
            points = tuple((left + x, top + y) for x, y in edge.points)
            drawing.lines.append(Line(points, arrow=edge.target is None))
        for index, (item, (x, y)) in enumerate(zip(measured.level.items, measured.placed.items, strict=True)):
            if (within := measured.inner.get(index)) is not None:
                space = within.placed.cell
                inner_left, inner_top = left + x + FRAME_PADDING, top + y - space.above
                height = space.above + space.below + FRAME_TITLE + 2 * FRAME_PADDING
                frame_top = inner_top - FRAME_TITLE - FRAME_PADDING
                label = self.labels[item.nodes[0]]
                drawing.frames.append(Frame(left + x, frame_top, space.width + 2 * FRAME_PADDING, height, label))
                entered = any(source == 0 for source, _, _ in within.level.edges)
                left_again = any(target == len(within.level.items) - 1 for _, target, _ in within.level.edges)
                ends = [left + x] * entered + [inner_left + space.width] * left_again
                for end in ends:
                    drawing.lines.append(Line(((end, top + y), (end + FRAME_PADDING, top + y)), arrow=False))
                self._emit(within, inner_left, inner_top, drawing)
            elif item.nodes:
                reads = any(target == index for _, target, _ in edges)
                feeds = any(source == index for source, _, _ in edges)
                drawing.blocks.append(Stand(left + x, top + y, self.style.block(item), reads, feeds))
                self.shown += item.nodes if self._is_group(item) else []


def _shelves(pictures: Sequence[Picture]) -> list[Picture]:
    """Puts pictures side by side as far as there is room, in as many rows as necessary."""
    rows: list[list[Picture]] = []
    for picture in pictures:
        width = sum(other.shape[1] + PART_GAP for other in rows[-1]) + picture.shape[1] if rows else inf
        if width > MAX_DIAGRAM_WIDTH:
            rows.append([])
        rows[-1].append(picture)
    return [beside(*row, gap=PART_GAP) for row in rows]


def _legend(roles: set[NodeRole]) -> Picture:
    parts: Sequence[Picture] = [
        picture
        for role, colour in ROLE_COLOURS.items()
        if role in roles
        for picture in (tile(np.full((1, 12, 12, 3), colour, dtype=np.uint8), 1), text_line(role))
    ]
    return beside(*parts)
