"""Samples and maps drawn at a given approximate size, with lines of text under them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from lightning_cnnviz.functional.drawing.caption import stack, text_line
from lightning_cnnviz.functional.drawing.image import ArrayLike, Picture, enlarge, photograph, thicken, tile

INPUT_SIZE = 96
"""Longer side of a small input sample, in pixels."""


def fit_to_size(cells: Picture, size: int) -> Picture:
    """Resizes cells (..., height, width, 3) to at most `size` pixels: up by whole factors, down by area averaging."""
    longer = max(cells.shape[-3:-1])
    if longer <= size:
        return enlarge(cells, size // longer)
    height, width = (max(1, round(side * size / longer)) for side in cells.shape[-3:-1])
    flat = cells.reshape(-1, *cells.shape[-3:])
    small = [np.asarray(Image.fromarray(cell).resize((width, height), Image.Resampling.BOX)) for cell in flat]
    return np.stack(small).reshape(*cells.shape[:-3], height, width, 3)


def centred(cells: Picture, width: int) -> Picture:
    """Pads cells (..., height, width, 3) with white on both sides to a width in pixels."""
    spare = max(width - cells.shape[-2], 0)
    sides = ((spare // 2, spare - spare // 2), (0, 0))
    return np.pad(cells, (*[(0, 0)] * (cells.ndim - 2), *sides), constant_values=255)


def sample_picture(image: ArrayLike, lines: Sequence[str], size: int = INPUT_SIZE) -> Picture:
    """Draws an input of shape (channels, *size) at about `size` pixels, with lines of text under it.

    Example:
        >>> sample_picture(np.random.rand(1, 28, 28), ["true: 3"]).shape
        (104, 120, 3)
    """
    framed = tile(thicken(fit_to_size(photograph(image)[None], size)), columns=1)
    text = [text_line(line, size + 24) for line in lines]
    return stack(centred(framed[None], size + 24)[0], *text, gap=0)
