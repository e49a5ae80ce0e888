"""Animated PNG: lossless, in full colour, with transparency. Pillow's own writer keeps all frames in memory.

Format: https://www.w3.org/TR/png-3/#apng-frame-based-animation.
"""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from lightning_cnnviz.export.films.frames import Reel
from lightning_cnnviz.functional.drawing.encode import SIGNATURE

COMPRESS_LEVEL = 6
FOREVER = 0


def write_apng(path: Path, reel: Reel) -> None:
    """Writes a film that loops forever; viewers that know no APNG show its first frame.

    Args:
        path: Of the file.
        reel: What it is made of.

    Raises:
        OSError: If it cannot be written.
    """
    sequence = 0
    with path.open("wb") as file:
        file.write(SIGNATURE)
        for number, (box, picture, seconds) in enumerate(reel.changes()):
            chunks = list(_chunks(picture))
            if number == 0:
                _write(file, b"IHDR", dict(chunks)[b"IHDR"])
                _write(file, b"acTL", struct.pack(">II", reel.count, FOREVER))
            left, top, right, bottom = box
            place = (right - left, bottom - top, left, top)
            _write(file, b"fcTL", struct.pack(">IIIIIHHBB", sequence, *place, round(1000 * seconds), 1000, 0, 0))
            sequence += 1
            for name, data in chunks:
                if name == b"IDAT" and number == 0:
                    _write(file, b"IDAT", data)
                elif name == b"IDAT":
                    _write(file, b"fdAT", struct.pack(">I", sequence) + data)
                    sequence += 1
        _write(file, b"IEND", b"")


def _chunks(picture: Image.Image) -> Iterator[tuple[bytes, bytes]]:
    """Yields name and contents of the chunks of a PNG file."""
    buffer = BytesIO()
    picture.save(buffer, format="PNG", compress_level=COMPRESS_LEVEL)
    data, at = buffer.getvalue(), len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _write(file: BinaryIO, name: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))
