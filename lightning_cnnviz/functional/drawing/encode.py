"""Encoding of pictures as PNG, in memory."""

import struct
import zlib
from io import BytesIO
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from lightning_cnnviz.functional.drawing.image import Picture

COMPRESS_LEVEL = 3
"""zlib level, 0…9: takes half the time of the default 6 for a tenth more bytes."""


class Encoded(NamedTuple):
    """An encoded picture.

    Attributes:
        data: Contents of the PNG or APNG file.
        height: In pixels.
        width: In pixels.
        kept: Whether to save it as a file as well, in addition to logging it.
    """

    data: bytes
    height: int
    width: int
    kept: bool = False

    def size(self) -> int:
        """Returns the size of the file in bytes."""
        return len(self.data)


def encode(picture: Picture) -> Encoded:
    """Encodes a picture as PNG: in greyscale or with a palette if it has at most 256 colours. Always lossless.

    Args:
        picture: Height × width × 3, uint8.

    Example:
        >>> encode(np.zeros((20, 30, 3), dtype=np.uint8))[1:3]
        (20, 30)
    """
    picture = np.ascontiguousarray(picture)
    rows = picture.reshape(len(picture), -1)
    new = np.ones(len(rows), dtype=np.bool_)
    np.any(rows[1:] != rows[:-1], axis=1, out=new[1:])  # enlarged cells consist of repeated rows
    reduced = _with_palette(picture, new)
    if reduced is None:
        return Encoded(_true_colour(rows, new), *picture.shape[:2])
    buffer = BytesIO()
    reduced.save(buffer, "PNG", compress_level=COMPRESS_LEVEL)
    return Encoded(buffer.getvalue(), *picture.shape[:2])


def _true_colour(rows: npt.NDArray[np.uint8], new: npt.NDArray[np.bool_]) -> bytes:
    """Encodes rows of RGB; those that are not new as "no difference to the row above".

    Pillow tries five filters for each row of such pictures, which takes twice the time for a tenth more bytes.
    """
    filtered = np.zeros((len(rows), rows.shape[1] + 1), dtype=np.uint8)
    filtered[~new, 0] = 2  # the filter "up", of which nothing is left for a repeated row; 0 is no filter
    filtered[new, 1:] = rows[new]
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", rows.shape[1] // 3, len(rows), 8, 2, 0, 0, 0),  # 8 bits, RGB
        b"IDAT": zlib.compress(filtered.data, COMPRESS_LEVEL),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


def _with_palette(picture: Picture, new: npt.NDArray[np.bool_]) -> Image.Image | None:
    """Returns a picture in greyscale or with a palette; None if it has more than 256 colours."""
    distinct = Image.fromarray(picture[new])
    found = distinct.getcolors(256)
    if found is None:
        return None
    colours = np.array([colour for _, colour in found], dtype=np.uint8)
    if (colours == colours[:, :1]).all():
        return Image.fromarray(np.ascontiguousarray(picture[..., 0]))
    index = np.zeros(1 << 24, dtype=np.uint8)  # only the pages that are written to take up memory
    index[_code(Image.fromarray(colours[None]))] = np.arange(len(colours))
    reduced = Image.fromarray(index[_code(distinct)][np.cumsum(new) - 1], "P")
    reduced.putpalette(colours.tobytes())
    return reduced


def _code(image: Image.Image) -> npt.NDArray[np.uint32]:
    """Packs the colour of each pixel into an integer below 2²⁴."""
    padded = np.asarray(image.convert("RGBX")).view("<u4")[..., 0]
    return np.asarray(padded & 0xFFFFFF, dtype=np.uint32)
