"""Words on pictures: titles, labels under tiles, and the colour scale."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lightning_cnnviz.functional.image import Array, Picture, enlarge
from lightning_cnnviz.functional.names import one_line

INK = (34, 34, 34)
ALARM = (178, 24, 43)
"""Of words that say what is wrong."""
TITLE_SIZE, TEXT_SIZE = 15, 12
MARGIN = 8
SHADES = 32
"""Of the edges of letters, from white to ink."""


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font of all words on pictures, of a size in pixels."""
    # The font that matplotlib brings, the same on every machine: Latin, Greek, Cyrillic and some more alphabets, but
    # no Chinese, Japanese or Korean, nor those of India; what it lacks becomes boxes.
    file = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", file)), size)


def text_width(text: str, size: int = TEXT_SIZE) -> int:
    """Pixels that a line of text takes."""
    return int(np.ceil(font(size).getlength(one_line(text))))


def shorten(text: str, width: int, size: int = TEXT_SIZE, keep_end: bool = False) -> str:
    """Cuts a text that is wider than `width` pixels at its end, or with `keep_end` at its start.

    Example:
        >>> shorten("features.denseblock3.denselayer24.conv2", 120, keep_end=True).endswith("24.conv2")
        True
    """
    for drop in range(len(text) or 1):
        shown = text if not drop else f"…{text[drop:]}" if keep_end else f"{text[:-drop]}…"
        if text_width(shown, size) <= width:
            return shown
    return "…"


def non_finite_note(values: Array, what: str) -> str:
    """How many values are NaN or infinite, in words; empty if none is."""
    broken = int((~np.isfinite(values)).sum())
    return f"{broken} non-finite {what} (magenta)" if broken else ""


def pad(picture: Picture, height: int, width: int) -> Picture:
    """White at the right and below, up to a size; a picture that is larger stays as it is."""
    rows, columns = max(height - picture.shape[0], 0), max(width - picture.shape[1], 0)
    return np.pad(picture, ((0, rows), (0, columns), (0, 0)), constant_values=255)


def text_line(
    text: str,
    width: int = 0,
    size: int = TEXT_SIZE,
    keep_end: bool = False,
    ink: tuple[int, int, int] = INK,
) -> Picture:
    """One line of dark text on white; shortened and centred if a width in pixels is given."""
    text = one_line(text)
    shown = shorten(text, width, size, keep_end) if width else text
    length = text_width(shown, size)
    strip = Image.new("L", (width or length + 1, size + 6))
    left = (width - length) // 2 if width else 0
    ImageDraw.Draw(strip).text((left, 1), shown, fill=255, font=font(size))
    shades: Picture = np.linspace(255, ink, SHADES).round().astype(np.uint8)
    return shades[(np.asarray(strip, dtype=np.intp) * (SHADES - 1) + 127) // 255]


def write(
    picture: Picture,
    words: Iterable[tuple[int, int, str]],
    anchor: Literal["lm", "mm", "rm"] = "mm",
    size: int = TEXT_SIZE,
) -> Picture:
    """Writes on a picture, in dark or white ink, whichever stands out from the pixel at the place.

    Args:
        picture: Height × width × 3.
        words: Row, column, text.
        anchor: Which part of the text the place is: its left end, middle or right end; in height its middle.
        size: Of the font, in pixels.

    Returns:
        A picture of the same size.

    Example:
        >>> bool(write(np.zeros((20, 30, 3), dtype=np.uint8), [(10, 15, "+1")]).any())
        True
    """
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    for row, column, text in words:
        light = np.dot(picture[row, column], (0.299, 0.587, 0.114)) > 140
        pen.text((column, row), one_line(text), fill=INK if light else (255, 255, 255), font=font(size), anchor=anchor)
    return np.array(image)


def labelled(cell: Picture, name: str, text_size: int = TEXT_SIZE) -> Picture:
    """Puts a centred name under a cell; of a name wider than the cell the end is kept, as layers' ends differ."""
    return np.concatenate([cell, text_line(name, cell.shape[1], text_size, keep_end=True)])


def colour_scale(colours: Picture, low: str, high: str) -> Picture:
    """A horizontal bar of a colour map, shape (entries, 3), with its lowest and highest value beside it."""
    bar = enlarge(colours[None, ::2], 12)[:, ::12]
    bar = np.pad(bar, ((3, 3), (6, 6), (0, 0)), constant_values=255)
    return beside(text_line(low), bar, text_line(high), gap=0)


def beside(*pictures: Picture, gap: int = MARGIN) -> Picture:
    """Puts pictures next to each other, tops aligned, on white."""
    height = max(picture.shape[0] for picture in pictures)
    spaced = [pad(picture, height, picture.shape[1] + gap) for picture in pictures]
    return np.concatenate(spaced, axis=1)[:, : -gap or None]


def stack(*pictures: Picture, gap: int = MARGIN, margin: int = 0) -> Picture:
    """Puts pictures below each other, left sides aligned, on white, with a white margin around all."""
    height = sum(picture.shape[0] for picture in pictures) + gap * (len(pictures) - 1)
    width = max(picture.shape[1] for picture in pictures)
    sheet = np.full((height + 2 * margin, width + 2 * margin, 3), 255, dtype=np.uint8)
    top = margin
    for picture in pictures:
        sheet[top : top + picture.shape[0], margin : margin + picture.shape[1]] = picture
        top += picture.shape[0] + gap
    return sheet


def titled(picture: Picture, title: str, *notes: str, scale: Picture | None = None) -> Picture:
    """The finished picture: title, lines of notes and a colour scale above, a white margin around.

    Args:
        picture: Height × width × 3.
        title: What it shows; left out when empty.
        *notes: Further lines; empty ones are left out.
        scale: From `colour_scale`.

    Returns:
        A larger picture, at least as wide as its longest line.

    Example:
        >>> titled(np.zeros((10, 10, 3), dtype=np.uint8), "conv1", "6 kernels").shape[0]
        74
    """
    head = [text_line(title, size=TITLE_SIZE)] if title else []
    head += [text_line(note) for note in notes if note]
    head += [scale] if scale is not None else []
    parts = [stack(*head, gap=1)] if head else []
    return stack(*parts, picture, margin=MARGIN)
