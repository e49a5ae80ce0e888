"""Text on pictures: titles, labels under tiles, and the colour scale."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from lightning_cnnviz.functional.drawing.fonts import draw_text, drawable, text_length
from lightning_cnnviz.functional.drawing.image import Array, Picture, enlarge

INK = (34, 34, 34)
ERROR_INK = (178, 24, 43)
"""Colour of text that reports an error, such as a wrong prediction."""
TITLE_SIZE, TEXT_SIZE = 15, 12
"""Font sizes, in pixels."""
PICTURE_MARGIN = 8
"""White pixels around a picture, and by default between its parts."""
TEXT_SHADES = 32
"""Number of shades from white to ink in anti-aliased text."""


@lru_cache(maxsize=4096)
def text_width(text: str, size: int = TEXT_SIZE) -> int:
    """Returns the width of a line of text in pixels."""
    return int(np.ceil(text_length(drawable(text), size)))


def shorten(text: str, width: int, size: int = TEXT_SIZE, keep_end: bool = False) -> str:
    """Truncates a text wider than `width` pixels at its end, or at its start if `keep_end` is set.

    Example:
        >>> shorten("features.denseblock3.denselayer24.conv2", 120, keep_end=True).endswith("24.conv2")
        True
    """
    if text_width(text, size) <= width:
        return text

    def shown(drop: int) -> str:
        return f"…{text[drop:]}" if keep_end else f"{text[:-drop]}…"

    drops = range(1, len(text))
    found = bisect_left(drops, True, key=lambda drop: text_width(shown(drop), size) <= width)
    return shown(drops[found]) if found < len(drops) else "…"


def non_finite_note(values: Array, what: str) -> str:
    """Returns a note with the number of NaN or infinite values; empty if there are none."""
    non_finite = int((~np.isfinite(values)).sum())
    return f"{non_finite} non-finite {what} (magenta)" if non_finite else ""


def pad(picture: Picture, height: int, width: int) -> Picture:
    """Pads a picture with white on the right and below to a minimum size; a larger picture is unchanged."""
    rows, columns = picture.shape[:2]
    sheet = np.full((max(height, rows), max(width, columns), *picture.shape[2:]), 255, dtype=picture.dtype)
    sheet[:rows, :columns] = picture  # np.pad takes ten times as long
    return sheet


@lru_cache(maxsize=1024)
def text_line(
    text: str,
    width: int = 0,
    size: int = TEXT_SIZE,
    keep_end: bool = False,
    ink: tuple[int, int, int] = INK,
) -> Picture:
    """Draws one line of text on white; truncated and centred if a width in pixels is given.

    The most recent lines are kept, because most of them stand on the next epoch's pictures too: not to be changed.
    """
    text = drawable(text)
    shown = shorten(text, width, size, keep_end) if width else text
    length = text_width(shown, size)
    strip = Image.new("L", (width or length + 1, size + 6))
    left = (width - length) // 2 if width else 0
    draw_text(ImageDraw.Draw(strip), (left, 1), shown, size, fill=255)
    line: Picture = _shades(ink)[np.asarray(strip)]
    line.flags.writeable = False
    return line


@lru_cache
def _shades(ink: tuple[int, int, int]) -> Picture:
    """Returns the colour of each of 256 grades of ink on white."""
    shades: Picture = np.linspace(255, ink, TEXT_SHADES).round().astype(np.uint8)
    grades: Picture = shades[(np.arange(256) * (TEXT_SHADES - 1) + 127) // 255]
    return grades


def write(
    picture: Picture,
    texts: Iterable[tuple[int, int, str]],
    anchor: Literal["lm", "mm", "rm"] = "mm",
    size: int = TEXT_SIZE,
) -> Picture:
    """Writes texts on a picture, in dark or white ink, depending on the brightness of the pixel at their position.

    Args:
        picture: Height × width × 3.
        texts: Row, column and text of each.
        anchor: Which point of the text is at that position: the left end, middle or right end; vertically always the
            middle.
        size: Font size, in pixels.

    Returns:
        A picture of the same size.

    Example:
        >>> bool(write(np.zeros((20, 30, 3), dtype=np.uint8), [(10, 15, "+1")]).any())
        True
    """
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    for row, column, text in texts:
        light = np.dot(picture[row, column], (0.299, 0.587, 0.114)) > 140
        fill = INK if light else (255, 255, 255)
        draw_text(pen, (column, row), drawable(text), size, fill=fill, anchor=anchor)
    return np.array(image)


def check_captions(captions: Sequence[Sequence[str]]) -> None:
    """Raises TypeError if a caption is a string instead of a list of lines: its characters would become lines."""
    for lines in captions:
        if isinstance(lines, str):
            raise TypeError(
                f"expected captions to have a list of lines for each image, got the text {lines!r}; write [{lines!r}]"
            )


def labelled(cell: Picture, name: str, text_size: int = TEXT_SIZE) -> Picture:
    """Writes a centred name under a cell; too long a name keeps its end, which distinguishes layers."""
    return np.concatenate([cell, text_line(name, cell.shape[1], text_size, keep_end=True)])


def colour_scale(colours: Picture, low: str, high: str) -> Picture:
    """Draws a horizontal bar of a colour map, shape (entries, 3), between its lowest and highest value."""
    bar = enlarge(colours[None, ::2], 12)[:, ::12]
    bar = np.pad(bar, ((3, 3), (6, 6), (0, 0)), constant_values=255)
    return beside(text_line(low), bar, text_line(high), gap=0)


def beside(*pictures: Picture, gap: int = PICTURE_MARGIN) -> Picture:
    """Places pictures side by side on white, aligned at the top."""
    height = max(picture.shape[0] for picture in pictures)
    spaced = [pad(picture, height, picture.shape[1] + gap) for picture in pictures]
    return np.concatenate(spaced, axis=1)[:, : -gap or None]


def stack(*pictures: Picture, gap: int = PICTURE_MARGIN, margin: int = 0) -> Picture:
    """Stacks pictures vertically on white, aligned on the left, with a white margin around them."""
    height = sum(picture.shape[0] for picture in pictures) + gap * (len(pictures) - 1)
    width = max(picture.shape[1] for picture in pictures)
    sheet = np.full((height + 2 * margin, width + 2 * margin, 3), 255, dtype=np.uint8)
    top = margin
    for picture in pictures:
        sheet[top : top + picture.shape[0], margin : margin + picture.shape[1]] = picture
        top += picture.shape[0] + gap
    return sheet


def titled(picture: Picture, title: str, *notes: str, scale: Picture | None = None) -> Picture:
    """Completes a picture: adds a title, notes and a colour scale above it, and a white margin around it.

    Args:
        picture: Height × width × 3.
        title: First line; omitted if empty.
        *notes: Additional lines; empty ones are omitted.
        scale: From `colour_scale`.

    Returns:
        A larger picture, at least as wide as its longest line of text.

    Example:
        >>> titled(np.zeros((10, 10, 3), dtype=np.uint8), "conv1", "6 kernels").shape[0]
        74
    """
    head = [text_line(title, size=TITLE_SIZE)] if title else []
    head += [text_line(note) for note in notes if note]
    head += [scale] if scale is not None else []
    parts = [stack(*head, gap=1)] if head else []
    return stack(*parts, picture, margin=PICTURE_MARGIN)
