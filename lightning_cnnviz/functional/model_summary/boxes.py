"""Boxes in oblique projection with text under them, and edges between them, for the diagram of a network."""

from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from lightning_cnnviz.functional.drawing.caption import TEXT_SIZE, shorten, text_line, text_width
from lightning_cnnviz.functional.drawing.image import OUTLINE, Picture
from lightning_cnnviz.functional.model_summary.box_layout import Cell

Colour: TypeAlias = tuple[int, int, int]

DEPTH_RIGHT, DEPTH_UP = 0.30, 0.24
"""Horizontal and vertical pixels for each pixel of depth, in oblique projection."""
MAX_LABEL_WIDTH, LINE_HEIGHT = 140, TEXT_SIZE + 4
"""In pixels."""
OVERSAMPLE = 2
"""Sub-pixels in each direction, for anti-aliasing."""
ARROW = 5


class Cuboid(NamedTuple):
    """A cuboid; lengths in pixels.

    Attributes:
        height: Height of the front.
        depth: Extent to the back; drawn foreshortened, to the upper right.
        thickness: Width of the front.
        colour: Colour of the front; the top is lighter, the side darker.
    """

    height: float
    depth: float
    thickness: float
    colour: Colour


class Block(NamedTuple):
    """Adjoining boxes, and the text under them.

    Attributes:
        boxes: The boxes, from left to right.
        number: First line of text.
        size: Second line, faint; empty for none.
        names: Lines below; the first is emphasised.
    """

    boxes: tuple[Cuboid, ...]
    number: str
    size: str
    names: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The lines of text, shortened."""
        lines = [self.number, *([self.size] if self.size else []), *self.names]
        return [shorten(line, MAX_LABEL_WIDTH, keep_end=True) for line in lines]

    @property
    def thickness(self) -> float:
        """Total thickness of the boxes."""
        return sum(box.thickness for box in self.boxes)

    @property
    def reach(self) -> float:
        """Horizontal pixels from the middle of the depth to the front (leftwards) and to the back (rightwards)."""
        return max(box.depth for box in self.boxes) * DEPTH_RIGHT / 2

    @property
    def half_height(self) -> float:
        """Vertical pixels from the middle to the lowest and to the highest point."""
        return max(box.height + box.depth * DEPTH_UP for box in self.boxes) / 2

    def cell(self) -> Cell:
        """Returns the space of the block with its text."""
        width = max(self.thickness + 2 * self.reach, *map(text_width, self.lines))
        return Cell(width, self.half_height, self.half_height + 2 + LINE_HEIGHT * len(self.lines))


class Frame(NamedTuple):
    """A frame around a group, with its name; lengths in pixels."""

    left: float
    top: float
    width: float
    height: float
    name: str


class Stand(NamedTuple):
    """A block at its place; lengths in pixels.

    Attributes:
        left: Left end of its cell.
        middle: Height at which edges begin and end.
        block: The block.
        reads: Whether an edge ends at it.
        feeds: Whether an edge begins at it.
    """

    left: float
    middle: float
    block: Block
    reads: bool
    feeds: bool


class Line(NamedTuple):
    """A line through points, bent where these differ in height.

    Attributes:
        points: From left to right.
        arrow: Whether there is an arrow at its end.
    """

    points: tuple[tuple[float, float], ...]
    arrow: bool


class Drawing(NamedTuple):
    """What is drawn, in pixels from the upper left corner."""

    blocks: list[Stand]
    lines: list[Line]
    frames: list[Frame]


def draw_boxes(drawing: Drawing, width: int, height: int) -> Picture:
    """Draws blocks with their text, edges and frames on white.

    Example:
        >>> block = Block((Cuboid(100, 100, 20, (63, 144, 218)),), "6", "24×24", ("conv1",))
        >>> draw_boxes(Drawing([Stand(0, 80, block, reads=False, feeds=False)], [], []), 60, 220).shape
        (220, 60, 3)
    """
    image = Image.new("RGB", (width * OVERSAMPLE, height * OVERSAMPLE), "white")
    draw = ImageDraw.Draw(image)
    for frame in drawing.frames:
        corners = [(frame.left, frame.top), (frame.left + frame.width, frame.top + frame.height)]
        scaled = [(x * OVERSAMPLE, y * OVERSAMPLE) for x, y in corners]
        draw.rounded_rectangle([scaled[0], scaled[1]], 6 * OVERSAMPLE, outline=(190,) * 3, width=OVERSAMPLE)
    for line in drawing.lines:
        _draw_line(draw, line)
    for stand in drawing.blocks:
        _draw_block(draw, stand)
    picture = np.array(image.resize((width, height), Image.Resampling.BOX))
    for frame in drawing.frames:
        name = shorten(frame.name, round(frame.width) - 12, keep_end=True)
        _write(picture, name, frame.left + 8 + text_width(name) / 2, frame.top + 2, faint=True)
    for left, middle, block, *_ in drawing.blocks:
        centre, top = left + block.cell().width / 2, middle + block.half_height + 2
        for index, text in enumerate(block.lines):
            emphasised = index in (0, 1 + bool(block.size))
            _write(picture, text, centre, top + index * LINE_HEIGHT, faint=not emphasised)
    return picture


def _draw_block(draw: ImageDraw.ImageDraw, stand: Stand) -> None:
    left, middle, block = stand[:3]
    width = block.cell().width
    place = left + (width - block.thickness) / 2
    front = place - block.boxes[0].depth * DEPTH_RIGHT / 2
    if stand.reads:
        _draw_line(draw, Line(((left, middle), (front, middle)), arrow=True))
    if stand.feeds:
        _draw_line(draw, Line(((place + block.thickness, middle), (left + width, middle)), arrow=False))
    for box in block.boxes:
        _draw_cuboid(draw, box, place, middle)
        place += box.thickness


def _draw_cuboid(draw: ImageDraw.ImageDraw, box: Cuboid, place: float, middle: float) -> None:
    right, up = box.depth * DEPTH_RIGHT, box.depth * DEPTH_UP
    left, bottom = place - right / 2, middle + (box.height + up) / 2
    front = [(left, bottom), (left + box.thickness, bottom)]
    front += [(x, y - box.height) for x, y in reversed(front)]
    back = [(x + right, y - up) for x, y in front]
    edge = _mixed(box.colour, 0, 0.55)
    for corners, colour in (
        (front, box.colour),
        ([front[3], front[2], back[2], back[3]], _mixed(box.colour, 255, 0.4)),
        ([front[1], back[1], back[2], front[2]], _mixed(box.colour, 0, 0.22)),
    ):
        scaled = [(x * OVERSAMPLE, y * OVERSAMPLE) for x, y in corners]
        draw.polygon(scaled, fill=colour)
        draw.line([*scaled, scaled[0]], fill=edge, width=OVERSAMPLE - 1)


def _draw_line(draw: ImageDraw.ImageDraw, line: Line) -> None:
    shares = np.linspace(0, 1, 13)
    corners = [line.points[0]]
    for (x, y), (to_x, to_y) in pairwise(line.points):
        bend = shares**2 * (3 - 2 * shares) if y != to_y else shares[[0, -1]]
        along = np.linspace(0, 1, len(bend))
        corners += [(x + (to_x - x) * a, y + (to_y - y) * b) for a, b in zip(along, bend, strict=True)]
    colour = (OUTLINE,) * 3
    draw.line([(x * OVERSAMPLE, y * OVERSAMPLE) for x, y in corners], fill=colour, width=OVERSAMPLE)
    if line.arrow:
        x, y = line.points[-1]
        tip = [(x, y), (x - ARROW, y - ARROW / 2), (x - ARROW, y + ARROW / 2)]
        draw.polygon([(x * OVERSAMPLE, y * OVERSAMPLE) for x, y in tip], fill=colour)


def _mixed(colour: Colour, other: int, share: float) -> Colour:
    red, green, blue = (round(part * (1 - share) + other * share) for part in colour)
    return red, green, blue


def _write(picture: Picture, text: str, middle: float, top: float, faint: bool = False) -> None:
    """Writes a centred line of text on top of a picture."""
    line = text_line(text)
    line = 255 - (255 - line) // 5 * 3 if faint else line
    y, x = round(top), max(round(middle - line.shape[1] / 2), 0)
    area = picture[y : y + len(line), x : x + line.shape[1]]
    np.minimum(area, line[: area.shape[0], : area.shape[1]], out=area)
