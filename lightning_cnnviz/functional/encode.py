"""Pictures as PNG files in memory."""

from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from lightning_cnnviz.functional.image import Picture

COMPRESS_LEVEL = 3
"""Of zlib, 0…9: half the time of the usual 6 for a tenth more bytes."""


class Encoded(NamedTuple):
    """A picture in a file format.

    Attributes:
        data: The file, PNG or APNG.
        height: In pixels.
        width: In pixels.
        kept: Whether it is to be kept as a file as well, where pictures are logged.
    """

    data: bytes
    height: int
    width: int
    kept: bool = False


def encode(picture: Picture) -> Encoded:
    """A picture as PNG, without loss: grey or with a palette where it has no more than 256 colours.

    Args:
        picture: Height × width × 3, uint8.

    Example:
        >>> encode(np.zeros((20, 30, 3), dtype=np.uint8))[1:3]
        (20, 30)
    """
    buffer = BytesIO()
    _with_palette(Image.fromarray(np.ascontiguousarray(picture))).save(buffer, "PNG", compress_level=COMPRESS_LEVEL)
    return Encoded(buffer.getvalue(), *picture.shape[:2])


def draw_encoded(draw: Callable[[], Picture | Encoded]) -> Encoded:
    """What a drawing gives, as a file."""
    drawn = draw()
    return drawn if isinstance(drawn, Encoded) else encode(drawn)


def _with_palette(image: Image.Image) -> Image.Image:
    found = image.getcolors(256)
    if found is None:
        return image
    colours = np.array([colour for _, colour in found], dtype=np.uint8)
    if (colours == colours[:, :1]).all():
        return image.convert("L")
    codes = _code(colours)
    order = np.argsort(codes)
    indices = np.searchsorted(codes[order], _code(np.asarray(image)))
    reduced = Image.fromarray(indices.astype(np.uint8), "P")
    reduced.putpalette(colours[order].tobytes())
    return reduced


def _code(colours: npt.NDArray[np.integer]) -> npt.NDArray[np.uint32]:
    return np.asarray(colours, dtype=np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
