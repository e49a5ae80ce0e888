"""Samples and maps drawn at a given approximate size, with lines of text under them."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lightning_cnnviz.functional.drawing.caption import stack, text_line
from lightning_cnnviz.functional.drawing.image import (
    ArrayLike,
    Picture,
    enlarge,
    thicken,
    tile,
    to_array,
)
from lightning_cnnviz.functional.drawing.photograph import photograph
from lightning_cnnviz.functional.drawing.waveform import is_waveform, waveform

INPUT_SIZE = 96
"""Longer side of a small input sample, in pixels."""
MAX_KEPT_BYTES = 2**18
"""The pictures of smaller samples are kept, because the same ones are drawn in each epoch."""


def enlarged(cells: Picture, size: int) -> Picture:
    """Enlarges cells (..., height, width, 3) by the largest whole factor that fits into `size` pixels, at least 1."""
    return enlarge(cells, max(1, size // max(cells.shape[-3:-1])))


def reduction_note(sizes: Sequence[tuple[int, ...]], size: int) -> str:
    """Returns a note on maps (height, width) that are larger than they are drawn; empty if there are none."""
    larger = dict.fromkeys("×".join(map(str, sides)) for sides in sizes if max(sides) > size)
    return f"maps of {', '.join(larger)} reduced by averaging" if larger else ""


def centred(cells: Picture, width: int) -> Picture:
    """Pads cells (..., height, width, 3) with white on both sides to a width in pixels."""
    spare = max(width - cells.shape[-2], 0)
    sides = ((spare // 2, spare - spare // 2), (0, 0))
    return np.pad(cells, (*[(0, 0)] * (cells.ndim - 2), *sides), constant_values=255)


def drawn_sample(image: ArrayLike, size: int) -> Picture:
    """Draws a sample at about `size` pixels: a signal as a waveform, anything else as a photograph.

    Args:
        image: Shape (channels, *size) with one to three spatial dimensions, or (features,).
        size: Longer side, in pixels.

    Returns:
        Height × width × 3; not to be changed.

    Example:
        >>> drawn_sample(np.random.rand(1, 28, 28), 96).shape, drawn_sample(np.random.rand(16000), 96).shape
        ((84, 84, 3), (48, 96, 3))
    """
    values = np.asarray(image) if "uint8" in str(image.dtype) else to_array(image)
    if values.nbytes > MAX_KEPT_BYTES:
        return _drawn(values, size)
    return _kept(values.tobytes(), values.dtype.str, values.shape, size)


@lru_cache(maxsize=64)
def _kept(content: bytes, dtype: str, shape: tuple[int, ...], size: int) -> Picture:
    picture = _drawn(np.frombuffer(content, dtype).reshape(shape), size)
    picture.flags.writeable = False
    return picture


def _drawn(values: ArrayLike, size: int) -> Picture:
    if is_waveform(values.shape):
        return waveform(values, size)
    image = values[None] if values.ndim == 1 else values  # a feature vector becomes a strip
    return thicken(enlarged(photograph(image, size), size))


def sample_picture(image: ArrayLike, lines: Sequence[str], size: int = INPUT_SIZE) -> Picture:
    """Draws an input as `drawn_sample` does, with lines of text under it.

    Example:
        >>> sample_picture(np.random.rand(1, 28, 28), ["true: 3"]).shape
        (104, 120, 3)
    """
    framed = tile(drawn_sample(image, size)[None], columns=1)
    text = [text_line(line, size + 24) for line in lines]
    return stack(centred(framed[None], size + 24)[0], *text, gap=0)
