"""Rows of boxes in oblique projection with text under them, for the diagram of a network."""

from collections.abc import Sequence
from itertools import groupby
from math import ceil

import numpy as np
from PIL import Image, ImageDraw

from lightning_cnnviz.functional.drawing.caption import TEXT_SIZE, pad, shorten, stack, text_line
from lightning_cnnviz.functional.drawing.image import OUTLINE, Picture
from lightning_cnnviz.functional.model_summary.box_layout import (
    DEPTH_RIGHT,
    DEPTH_UP,
    HIDDEN_SHARES,
    MAX_LABEL_WIDTH,
    Block,
    Colour,
    Cuboid,
    Slot,
    places_of,
    to_slots,
    wrap,
)

LINE_HEIGHT, ARROW_LENGTH = TEXT_SIZE + 4, 22
"""In pixels: the height of a line of text, and the length of an arrow at the end of a row."""
OVERSAMPLE = 3
"""Sub-pixels in each direction, for anti-aliasing."""


def box_rows(blocks: Sequence[Block], width: int) -> Picture:
    """Draws blocks from left to right with arrows between them, in as few rows as possible, of about equal length.

    Args:
        blocks: At least one.
        width: Maximum width of a row in pixels, unless a single block is wider.

    Example:
        >>> box = Cuboid(height=100, depth=100, thickness=20, colour=(63, 144, 218))
        >>> box_rows([Block((box,), "6", "24×24", ("conv1",), "")] * 3, width=800).shape
        (174, 178, 3)
    """
    limit = width - 2 * ARROW_LENGTH
    candidates = [to_slots(blocks, hidden) for hidden in HIDDEN_SHARES]
    fewest = len(wrap(candidates[-1], limit))
    slots = next(slots for slots in candidates if len(wrap(slots, limit)) == fewest)
    length = next(length for length in range(100, limit + 20, 20) if len(wrap(slots, min(length, limit))) == fewest)
    rows = wrap(slots, min(length, limit))
    pictures = [_draw(row, follows_row=row is not rows[0], precedes_row=row is not rows[-1]) for row in rows]
    return stack(*pictures, gap=24)


def _draw(row: Sequence[Slot], follows_row: bool, precedes_row: bool) -> Picture:
    """Draws one row, with an arrow on the left if it follows another row and on the right if it precedes another."""
    places = [place + follows_row * ARROW_LENGTH for place in places_of(row)]
    middle = ceil(max(slot.block.half_height for slot in row)) + 1
    width = ceil(max(slot.right(place) for slot, place in zip(row, places, strict=True)))
    picture = _draw_boxes(row, places, (2 * middle, width + precedes_row * ARROW_LENGTH), follows_row, precedes_row)
    lines = 1 + max(len(slot.block.names) for slot in row)
    grouped = any(slot.block.group for slot in row)
    picture = pad(picture, 2 * middle + (1 + lines) * LINE_HEIGHT + grouped * (LINE_HEIGHT + 8), 0)
    for slot, place in zip(row, places, strict=True):
        block, first = slot.block, slot.block.boxes[0]
        _write(picture, block.number, slot.number(place), middle + (first.height + first.depth * DEPTH_UP) / 2 + 2)
        for index, line in enumerate((block.size, *block.names), start=1):
            shown = shorten(line, MAX_LABEL_WIDTH, keep_end=True)
            _write(picture, shown, slot.middle(place), 2 * middle + index * LINE_HEIGHT, faint=index != 2)
    top = 2 * middle + (1 + lines) * LINE_HEIGHT + 4
    for group, members in groupby(zip(row, places, strict=True), key=lambda pair: pair[0].block.group):
        spans = [slot.span(place) for slot, place in members]
        if group:
            _bracket(picture, group, spans[0][0], spans[-1][1], top)
    return picture


def _draw_boxes(
    row: Sequence[Slot], places: Sequence[float], size: tuple[int, int], follows_row: bool, precedes_row: bool
) -> Picture:
    height, width = size
    image = Image.new("RGB", (width * OVERSAMPLE, height * OVERSAMPLE), "white")
    draw = ImageDraw.Draw(image)
    start = 0.0 if follows_row else None
    for slot, place in zip(row, places, strict=True):  # from the left, because boxes further right are in front
        if start is not None:
            _arrow(draw, start, slot.front(place), height / 2)
        left = place
        for box in slot.block.boxes:
            _draw_box(draw, box, left, height / 2)
            left += box.thickness
        start = left
    if precedes_row and start is not None:
        _arrow(draw, start, width, height / 2)
    return np.array(image.resize((width, height), Image.Resampling.BOX))


def _draw_box(draw: ImageDraw.ImageDraw, box: Cuboid, place: float, middle: float) -> None:
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


def _arrow(draw: ImageDraw.ImageDraw, start: float, end: float, middle: float) -> None:
    head, colour = 5, (OUTLINE,) * 3
    draw.line(
        [(start * OVERSAMPLE, middle * OVERSAMPLE), ((end - head) * OVERSAMPLE, middle * OVERSAMPLE)],
        colour,
        OVERSAMPLE,
    )
    tip = [(end, middle), (end - head, middle - head / 2), (end - head, middle + head / 2)]
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


def _bracket(picture: Picture, name: str, left: float, right: float, top: int) -> None:
    start, end = max(round(left), 0), min(round(right), picture.shape[1]) - 1
    picture[top, start:end] = OUTLINE
    picture[top - 3 : top, [start, end - 1]] = OUTLINE
    _write(picture, shorten(name, end - start, keep_end=True), (start + end) / 2, top + 1, faint=True)
