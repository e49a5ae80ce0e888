"""Words on pictures: titles, labels under tiles, and the colour scale."""

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image
from PIL import ImageDraw, ImageFont

from lightning_cnnviz.functional.image import Picture, enlarge

INK = (34, 34, 34)
TITLE_SIZE, TEXT_SIZE = 15, 12
MARGIN = 8


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # The font that matplotlib brings: the same on every machine, with most of the world's alphabets.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def text_width(text: str, size: int = TEXT_SIZE) -> int:
    """Pixels that a line of text takes."""
    return int(np.ceil(_font(size).getlength(text)))


def shorten(text: str, width: int, size: int = TEXT_SIZE) -> str:
    """Cuts the middle out of a text that is wider than `width` pixels: a layer's ends tell it apart.

    Example:
        >>> shorten("features.denseblock3.denselayer24.conv2", 120)
        'features.…4.conv2'
    """
    if text_width(text, size) <= width:
        return text
    keep = next((n for n in range(len(text) - 1, 1, -1) if text_width(_ends(text, n), size) <= width), 1)
    return _ends(text, keep)


def _ends(text: str, keep: int) -> str:
    return f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"


def pad(picture: Picture, height: int, width: int) -> Picture:
    """White at the right and below, up to a size; a picture that is larger stays as it is."""
    rows, columns = max(height - picture.shape[0], 0), max(width - picture.shape[1], 0)
    return np.pad(picture, ((0, rows), (0, columns), (0, 0)), constant_values=255)


def text_line(text: str, width: int = 0, size: int = TEXT_SIZE) -> Picture:
    """One line of dark text on white; shortened and centred if a width in pixels is given."""
    shown = shorten(text, width, size) if width else text
    length = text_width(shown, size)
    strip = Image.new("RGB", (width or length + 1, size + 6), "white")
    left = (width - length) // 2 if width else 0
    ImageDraw.Draw(strip).text((left, 1), shown, fill=INK, font=_font(size))
    return np.array(strip)


def labelled(cell: Picture, *lines: str) -> Picture:
    """Puts centred lines of text under a cell, shortened to its width."""
    return np.concatenate([cell, *(text_line(line, cell.shape[1]) for line in lines)])


def colour_scale(colours: Picture, low: str, high: str, middle: str = "") -> Picture:
    """A horizontal bar of a colour map with its values written beside it.

    Args:
        colours: The map, shape (entries, 3), from low to high.
        low: Text at the left.
        high: Text at the right.
        middle: Text for the middle; named before the bar as `… = middle`.
    """
    bar = enlarge(np.broadcast_to(colours[None, ::2], (6, -(-len(colours) // 2), 3)), 2)
    bar = np.pad(bar[:, ::2], ((3, 3), (6, 6), (0, 0)), constant_values=255)
    return beside(text_line(low), bar, text_line(f"{high}{f'   white = {middle}' if middle else ''}"), gap=0)


def beside(*pictures: Picture, gap: int = MARGIN) -> Picture:
    """Puts pictures next to each other, tops aligned, on white."""
    height = max(picture.shape[0] for picture in pictures)
    spaced = [pad(picture, height, picture.shape[1] + gap) for picture in pictures]
    return np.concatenate(spaced, axis=1)[:, : -gap or None]


def stack(*pictures: Picture, gap: int = MARGIN) -> Picture:
    """Puts pictures below each other, left sides aligned, on white."""
    width = max(picture.shape[1] for picture in pictures)
    spaced = [pad(picture, picture.shape[0] + gap, width) for picture in pictures]
    return np.concatenate(spaced)[: -gap or None]


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
        >>> titled(np.zeros((10, 10, 3), dtype=np.uint8), "conv1", "6 kernels").shape
        (75, 71, 3)
    """
    head = [text_line(title, size=TITLE_SIZE)] if title else []
    head += [text_line(note) for note in notes if note]
    head += [scale] if scale is not None else []
    parts = [stack(*head, gap=1)] if head else []
    framed = stack(*parts, picture)
    return np.pad(framed, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=255)
