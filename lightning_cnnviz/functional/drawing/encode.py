"""Encoding of pictures as PNG, in memory."""

import struct
import zlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from lightning_cnnviz.functional.drawing.image import Picture

COMPRESS_LEVEL = 3
"""zlib level, 0…9: takes half the time of the default 6 for a tenth more bytes."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, TRUE_COLOUR, PALETTE = 0, 2, 3
"""Colour types of PNG files."""
UP = 2
"""Filter of a row of a PNG file: its bytes are differences to the row above. 0 is no filter."""


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
    distinct = Image.fromarray(picture[new])
    found = distinct.getcolors(256)
    if found is None:
        return Encoded(_png(rows[new], new, picture.shape[1], TRUE_COLOUR), *picture.shape[:2])
    colours = np.array([colour for _, colour in found], dtype=np.uint8)
    if (colours == colours[:, :1]).all():
        return Encoded(_png(picture[new, :, 0], new, picture.shape[1], GREY), *picture.shape[:2])
    index = np.zeros(1 << 24, dtype=np.uint8)  # only the pages that are written to take up memory
    index[_code(Image.fromarray(colours[None]))] = np.arange(len(colours))
    palette = colours.tobytes()
    return Encoded(_png(index[_code(distinct)], new, picture.shape[1], PALETTE, palette), *picture.shape[:2])


def _png(
    distinct: npt.NDArray[np.uint8], new: npt.NDArray[np.bool_], width: int, kind: int, palette: bytes = b""
) -> bytes:
    """Writes a PNG file.

    Not by Pillow, which tries five filters for each row of RGB: twice the time, for a tenth more bytes. Its format:
    https://www.w3.org/TR/png-3/.

    Args:
        distinct: The bytes of the new rows.
        new: Whether each row differs from the one above; of the others, nothing is left by the filter "up".
        width: In pixels.
        kind: `GREY`, `TRUE_COLOUR` or `PALETTE`, with a byte for each sample.
        palette: Red, green and blue of each index.
    """
    rows = np.zeros((len(new), 1 + distinct.shape[1]), dtype=np.uint8)
    rows[~new, 0] = UP
    rows[new, 1:] = distinct
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, len(rows), 8, kind, 0, 0, 0)),
        *([(b"PLTE", palette)] if palette else []),
        (b"IDAT", zlib.compress(rows.data, COMPRESS_LEVEL)),
        (b"IEND", b""),
    ]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _code(image: Image.Image) -> npt.NDArray[np.uint32]:
    """Packs the colour of each pixel into an integer below 2²⁴."""
    padded = np.asarray(image.convert("RGBX")).view("<u4")[..., 0]
    return np.asarray(padded & 0xFFFFFF, dtype=np.uint32)
