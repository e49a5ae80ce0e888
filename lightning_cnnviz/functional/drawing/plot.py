"""The parts of a chart: heading, legend, and axes with their ticks. Laid out by the extents of their texts."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from lightning_cnnviz.functional.drawing.caption import (
    INK,
    PICTURE_MARGIN,
    TEXT_SIZE,
    TITLE_SIZE,
    shorten,
    text_line,
    text_width,
)
from lightning_cnnviz.functional.drawing.image import FloatArray, Picture
from lightning_cnnviz.functional.drawing.point_canvas import PlotArea
from lightning_cnnviz.functional.drawing.ticks import Axis
from lightning_cnnviz.functional.escaping import one_line

Colour = tuple[int, int, int]
Side = Literal["left", "right", "bottom"]
LINE_WIDTH, POINT_RADIUS, RING_RADIUS, RING_WIDTH = 2.25, 2.2, 6.5, 1.5
"""In pixels."""
LINE_HEIGHT = TEXT_SIZE + 6
"""Height of a line of text, in pixels."""
TICK_LENGTH = 4
FRAME, GRID = 120, 225
"""Grey levels of the frame around the plot area and of the grid in it."""
FINER = 4
"""Lines are drawn at four times the resolution, and then averaged."""
EDGE_SHADES = 8
"""Shades from white to a line's colour, so that a chart stays within the 256 colours of a palette."""


class Key(NamedTuple):
    """An entry of the legend.

    Attributes:
        text: Its name.
        colour: Its colour.
        shape: What is drawn before it.
    """

    text: str
    colour: Colour
    shape: Literal["line", "box", "ring", "hatch"]


def headed(width: int, height: int, title: str, keys: Sequence[Key]) -> tuple[Picture, int]:
    """Returns a white picture with a title and a legend, each over as many lines as it needs; and the row below them.

    The picture is higher by what the heading takes beyond a line for each.
    """
    room = width - 2 * PICTURE_MARGIN
    words = [shorten(word, room, TITLE_SIZE) for word in one_line(title).split()]
    lines = _flowed([text_width(f"{word} ", TITLE_SIZE) for word in words], room)
    titles = [
        " ".join(word for word, (_, line) in zip(words, lines, strict=True) if line == row) for row in _rows(lines)
    ]
    swatch = 26
    names = [shorten(key.text, room - swatch) for key in keys]
    placed = _flowed([swatch + text_width(name) + 2 * PICTURE_MARGIN for name in names], room + 2 * PICTURE_MARGIN)
    legend = PICTURE_MARGIN + len(titles) * (TITLE_SIZE + 6)
    top = legend + len(_rows(placed)) * LINE_HEIGHT
    extra = max(0, len(titles) - 1) * (TITLE_SIZE + 6) + max(0, len(_rows(placed)) - 1) * LINE_HEIGHT
    picture = np.full((height + extra, width, 3), 255, dtype=np.uint8)
    for row, text in enumerate(titles):
        paste(picture, text_line(text, size=TITLE_SIZE), PICTURE_MARGIN + row * (TITLE_SIZE + 6), PICTURE_MARGIN)
    for key, name, (left, line) in zip(keys, names, placed, strict=True):
        row, column = legend + line * LINE_HEIGHT, PICTURE_MARGIN + left
        _swatch(picture[row : row + LINE_HEIGHT, column : column + swatch - 6], key)
        paste(picture, text_line(name), row, column + swatch)
    return picture, top + PICTURE_MARGIN


def paste(picture: Picture, part: Picture, top: int, left: int) -> None:
    """Copies a part into a picture, in place; what lies beyond its edges is cut."""
    rows = slice(max(0, -top), max(0, min(len(part), len(picture) - top)))
    columns = slice(max(0, -left), max(0, min(part.shape[1], picture.shape[1] - left)))
    shown = part[rows, columns]
    top, left = top + rows.start, left + columns.start
    picture[top : top + shown.shape[0], left : left + shown.shape[1]] = shown


def tick_pixels(axis: Axis, box: PlotArea, side: Side) -> npt.NDArray[np.intp]:
    """Returns the pixel columns (`"bottom"`) or rows of an axis' ticks along a side of the plot area."""
    share = axis.share(np.array(axis.ticks))
    if side == "bottom":
        return np.asarray(box.left + np.round(share * (box.right - box.left - 1)), dtype=np.intp)
    return np.asarray(box.bottom - 1 - np.round(share * (box.bottom - box.top - 1)), dtype=np.intp)


def draw_axis(picture: Picture, box: PlotArea, axis: Axis, side: Side, label: str = "", grid: bool = False) -> None:
    """Draws an axis along a side of the plot area: ticks, their labels, and what it shows.

    Args:
        picture: Modified in place.
        box: The plot area.
        axis: Its range and ticks.
        side: Where it stands.
        label: What it shows. On the right it stands above the axis, else along it.
        grid: Whether a thin line goes through the plot area at each tick.
    """
    for place, text in zip(tick_pixels(axis, box, side), axis.labels, strict=True):
        strip = text_line(text)
        if side == "bottom":
            if grid:
                picture[box.top : box.bottom, place] = GRID
            picture[box.bottom : box.bottom + TICK_LENGTH, place] = FRAME
            paste(picture, strip, box.bottom + TICK_LENGTH + 1, place - strip.shape[1] // 2)
            continue
        if grid:
            picture[place, box.left : box.right] = GRID
        edge = box.left - TICK_LENGTH if side == "left" else box.right
        picture[place, edge : edge + TICK_LENGTH] = FRAME
        left = edge - 3 - strip.shape[1] if side == "left" else edge + TICK_LENGTH + 3
        paste(picture, strip, place - LINE_HEIGHT // 2, left)
    if side == "bottom":
        strip = text_line(shorten(label, picture.shape[1] - 2 * PICTURE_MARGIN))
        middle = (box.left + box.right - strip.shape[1]) // 2
        left = int(np.clip(middle, PICTURE_MARGIN, picture.shape[1] - PICTURE_MARGIN - strip.shape[1]))
        paste(picture, strip, box.bottom + TICK_LENGTH + 1 + LINE_HEIGHT, left)
    elif label:
        strip = np.rot90(text_line(shorten(label, box.bottom - box.top)))
        left = PICTURE_MARGIN if side == "left" else picture.shape[1] - PICTURE_MARGIN - strip.shape[1]
        paste(picture, strip, (box.top + box.bottom - len(strip)) // 2, left)


def label_room(axis: Axis, label: str = "") -> int:
    """Returns how many pixels an axis on the left or right takes, with ticks, labels and margin."""
    widest = max(map(text_width, axis.labels), default=0) + 1
    return PICTURE_MARGIN + (LINE_HEIGHT + 2 if label else 0) + widest + 3 + TICK_LENGTH


BELOW = TICK_LENGTH + 1 + 2 * LINE_HEIGHT + PICTURE_MARGIN
"""How many pixels an axis at the bottom takes."""


def draw_frame(picture: Picture, box: PlotArea) -> None:
    """Draws a thin frame along the inner edge of a plot area."""
    picture[box.top : box.bottom, [box.left, box.right - 1]] = FRAME
    picture[[box.top, box.bottom - 1], box.left : box.right] = FRAME


def draw_line(picture: Picture, points: FloatArray, colour: Colour, marked: bool) -> None:
    """Draws a line with gaps where coordinates are not finite; a point without a neighbour is drawn as a point.

    Args:
        picture: Modified in place.
        points: Shape (points, 2): columns and rows.
        colour: Its colour.
        marked: Whether to draw each point as a dot.
    """
    pen, image = _pen(picture)
    finite = np.isfinite(points).all(axis=1)
    ends = np.flatnonzero(np.diff(np.concatenate([[False], finite, [False]])))
    for start, stop in ends.reshape(-1, 2):
        run = points[start:stop] * FINER
        if len(run) > 1:
            pen.line(run.ravel().tolist(), fill=255, width=round(LINE_WIDTH * FINER))
        for column, row in run if marked or len(run) == 1 else ():
            pen.circle((float(column), float(row)), POINT_RADIUS * FINER, fill=255)
    _paint(picture, image, colour)


def draw_ring(picture: Picture, column: float, row: float, colour: Colour = INK) -> None:
    """Draws a ring, around a point of a line."""
    reach = int(np.ceil(RING_RADIUS + RING_WIDTH))
    top, left = max(0, int(row) - reach), max(0, int(column) - reach)
    part = picture[top : int(row) + reach + 1, left : int(column) + reach + 1]
    pen, image = _pen(part)
    centre = ((column - left) * FINER, (row - top) * FINER)
    pen.circle(centre, RING_RADIUS * FINER, outline=255, width=round(RING_WIDTH * FINER))
    _paint(part, image, colour)


def hatching(height: int, width: int) -> Picture:
    """Returns white with dark diagonal lines, which no colour scale has.

    Example:
        >>> hatching(4, 8).shape
        (4, 8, 3)
    """
    dark = np.add.outer(np.arange(height), np.arange(width)) % 8 < 3
    return np.where(dark[..., None], np.array(INK, dtype=np.uint8), np.uint8(255))


def _pen(picture: Picture) -> tuple[ImageDraw.ImageDraw, Image.Image]:
    image = Image.new("L", (picture.shape[1] * FINER, picture.shape[0] * FINER))
    return ImageDraw.Draw(image), image


def _paint(picture: Picture, image: Image.Image, colour: Colour) -> None:
    """Paints where an image of FINER times the resolution is not black; faint edges never cover other lines."""
    cover = np.asarray(image.reduce(FINER))
    rows, columns = np.nonzero(cover)
    level = (cover[rows, columns].astype(np.intp) * EDGE_SHADES + 127) // 255
    under = picture[rows, columns]
    free = (under.max(axis=1) == under.min(axis=1)) & (under[:, 0] >= GRID)
    drawn = (free & (level > 0)) | (level > EDGE_SHADES // 2)
    shades = np.round(np.linspace(255, colour, EDGE_SHADES + 1)).astype(np.uint8)
    picture[rows[drawn], columns[drawn]] = shades[level[drawn]]


def _swatch(part: Picture, key: Key) -> None:
    middle = (len(part) - 1) / 2
    if key.shape == "line":
        draw_line(part, np.array([[1.0, middle], [part.shape[1] - 2.0, middle]]), key.colour, marked=False)
    elif key.shape == "ring":
        draw_ring(part, part.shape[1] / 2, middle + 0.5, key.colour)
    elif key.shape == "hatch":
        part[4:-4, 2:-2] = hatching(len(part) - 8, part.shape[1] - 4)
    else:
        part[4:-4, 2:-2] = key.colour


def _flowed(widths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Places parts side by side, in a further line where there is no more room: left edge and line of each."""
    found, left, line = [], 0, 0
    for width in widths:
        if left and left + width > room:
            left, line = 0, line + 1
        found.append((left, line))
        left += width
    return found


def _rows(placed: Sequence[tuple[int, int]]) -> range:
    return range(placed[-1][1] + 1 if placed else 0)
