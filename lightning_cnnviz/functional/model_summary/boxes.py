"""Boxes in oblique projection in rows, with words under them: the shape of a diagram of a network."""

from collections.abc import Sequence
from itertools import groupby
from math import ceil

import numpy as np
from PIL import Image, ImageDraw

from lightning_cnnviz.functional.drawing.caption import TEXT_SIZE, pad, shorten, stack, text_line
from lightning_cnnviz.functional.drawing.image import OUTLINE, Picture
from lightning_cnnviz.functional.model_summary.box_layout import (
    HIDDEN,
    RIGHT,
    UP,
    WIDEST_LABEL,
    Block,
    Colour,
    Cuboid,
    Slot,
    places_of,
    to_slots,
    wrap,
)

LINE, ARROW = TEXT_SIZE + 4, 22
"""Pixels: from a line of text to the next, and of an arrow at a row's end."""
SAMPLES = 3
"""Subpixels in each direction, for smooth edges."""


def box_rows(blocks: Sequence[Block], width: int) -> Picture:
    """Draws blocks from left to right with arrows between them, in as few rows as it takes, of about equal length.

    Args:
        blocks: At least one.
        width: Pixels that a row takes at most, as long as no single block needs more.

    Example:
        >>> box = Cuboid(height=100, depth=100, thickness=20, colour=(63, 144, 218))
        >>> box_rows([Block((box,), "6", "24×24", ("conv1",), "")] * 3, width=800).shape
        (174, 178, 3)
    """
    most = width - 2 * ARROW
    candidates = [to_slots(blocks, hidden) for hidden in HIDDEN]
    fewest = len(wrap(candidates[-1], most))
    slots = next(slots for slots in candidates if len(wrap(slots, most)) == fewest)
    length = next(length for length in range(100, most + 20, 20) if len(wrap(slots, min(length, most))) == fewest)
    rows = wrap(slots, min(length, most))
    pictures = [_draw(row, comes=row is not rows[0], goes=row is not rows[-1]) for row in rows]
    return stack(*pictures, gap=24)


def _draw(row: Sequence[Slot], comes: bool, goes: bool) -> Picture:
    """One row; an arrow at its left end if it continues another, at its right end if another continues it."""
    places = [place + comes * ARROW for place in places_of(row)]
    middle = ceil(max(slot.block.half_height for slot in row)) + 1
    width = ceil(max(slot.right(place) for slot, place in zip(row, places, strict=True)))
    picture = _draw_boxes(row, places, (2 * middle, width + goes * ARROW), comes, goes)
    lines = 1 + max(len(slot.block.names) for slot in row)
    grouped = any(slot.block.group for slot in row)
    picture = pad(picture, 2 * middle + (1 + lines) * LINE + grouped * (LINE + 8), 0)
    for slot, place in zip(row, places, strict=True):
        block, first = slot.block, slot.block.boxes[0]
        _write(picture, block.number, slot.number(place), middle + (first.height + first.depth * UP) / 2 + 2)
        for index, line in enumerate((block.size, *block.names), start=1):
            shown = shorten(line, WIDEST_LABEL, keep_end=True)
            _write(picture, shown, slot.middle(place), 2 * middle + index * LINE, faint=index != 2)
    top = 2 * middle + (1 + lines) * LINE + 4
    for group, members in groupby(zip(row, places, strict=True), key=lambda pair: pair[0].block.group):
        spans = [slot.span(place) for slot, place in members]
        if group:
            _bracket(picture, group, spans[0][0], spans[-1][1], top)
    return picture


def _draw_boxes(
    row: Sequence[Slot], places: Sequence[float], size: tuple[int, int], comes: bool, goes: bool
) -> Picture:
    height, width = size
    image = Image.new("RGB", (width * SAMPLES, height * SAMPLES), "white")
    draw = ImageDraw.Draw(image)
    start = 0.0 if comes else None
    for slot, place in zip(row, places, strict=True):  # from the left, as what is further right is nearer
        if start is not None:
            _arrow(draw, start, slot.front(place), height / 2)
        left = place
        for box in slot.block.boxes:
            _draw_box(draw, box, left, height / 2)
            left += box.thickness
        start = left
    if goes and start is not None:
        _arrow(draw, start, width, height / 2)
    return np.array(image.resize((width, height), Image.Resampling.BOX))


def _draw_box(draw: ImageDraw.ImageDraw, box: Cuboid, place: float, middle: float) -> None:
    right, up = box.depth * RIGHT, box.depth * UP
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
        scaled = [(x * SAMPLES, y * SAMPLES) for x, y in corners]
        draw.polygon(scaled, fill=colour)
        draw.line([*scaled, scaled[0]], fill=edge, width=SAMPLES - 1)


def _arrow(draw: ImageDraw.ImageDraw, start: float, end: float, middle: float) -> None:
    head, colour = 5, (OUTLINE,) * 3
    draw.line([(start * SAMPLES, middle * SAMPLES), ((end - head) * SAMPLES, middle * SAMPLES)], colour, SAMPLES)
    tip = [(end, middle), (end - head, middle - head / 2), (end - head, middle + head / 2)]
    draw.polygon([(x * SAMPLES, y * SAMPLES) for x, y in tip], fill=colour)


def _mixed(colour: Colour, other: int, share: float) -> Colour:
    red, green, blue = (round(part * (1 - share) + other * share) for part in colour)
    return red, green, blue


def _write(picture: Picture, text: str, middle: float, top: float, faint: bool = False) -> None:
    """Writes a line of text, centred, over what is there."""
    words = text_line(text)
    words = 255 - (255 - words) // 5 * 3 if faint else words
    y, x = round(top), max(round(middle - words.shape[1] / 2), 0)
    place = picture[y : y + len(words), x : x + words.shape[1]]
    np.minimum(place, words[: place.shape[0], : place.shape[1]], out=place)


def _bracket(picture: Picture, name: str, left: float, right: float, top: int) -> None:
    start, end = max(round(left), 0), min(round(right), picture.shape[1]) - 1
    picture[top, start:end] = OUTLINE
    picture[top - 3 : top, [start, end - 1]] = OUTLINE
    _write(picture, shorten(name, end - start, keep_end=True), (start + end) / 2, top + 1, faint=True)
