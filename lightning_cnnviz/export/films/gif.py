"""Animated GIF: a palette of up to 256 colours for each frame. Pillow's own writer keeps all frames in memory.

Format: https://www.w3.org/Graphics/GIF/spec-gif89a.txt.
"""

import struct
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from lightning_cnnviz.export.films.frames import NoFilmError, Reel

MAX_SIDE = 65_535
HEADER, TABLE = 13, 0x80
"""Bytes before the colours of a file, and the flag that says that there are some; its low bits give their number."""
LOOP_FOREVER = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
IMAGE, TRAILER = b"\x2c", b"\x3b"


def write_gif(path: Path, reel: Reel) -> None:
    """Writes a film that loops forever; frames with more than 256 colours are dithered, transparency becomes white.

    Args:
        path: Of the file.
        reel: What it is made of.

    Raises:
        NoFilmError: If its frames are too large for a GIF.
        OSError: If it cannot be written.
    """
    if max(reel.size) > MAX_SIDE:
        raise NoFilmError(f"its pictures have more than {MAX_SIDE:,} pixels a side, more than a GIF can")
    reel = replace(reel, mode="RGB") if reel.mode == "RGBA" else reel
    with path.open("wb") as file:
        file.write(b"GIF89a" + struct.pack("<HHBBB", *reel.size, 0, 0, 0) + LOOP_FOREVER)
        for box, picture, seconds in reel.changes():
            size, colours, data = _image(_with_palette(picture))
            file.write(b"\x21\xf9\x04" + struct.pack("<BHBB", 0b100, round(100 * seconds), 0, 0))  # left in place
            left, top, right, bottom = box
            file.write(IMAGE + struct.pack("<HHHHB", left, top, right - left, bottom - top, TABLE | size))
            file.write(colours + data)
        file.write(TRAILER)


def _with_palette(picture: Image.Image) -> Image.Image:
    """Gives a picture a palette, exact if it has at most 256 colours."""
    if picture.mode == "L":
        return picture
    found = picture.getcolors(256)
    if found is None:
        return picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    packed = np.asarray(picture.convert("RGBX")).view("<u4")[..., 0] & 0xFFFFFF
    colours, index = np.unique(packed, return_inverse=True)
    # In falling order: of 256 greys in rising order Pillow makes a picture without a palette when it reads the file,
    # and then shows the next frame, if it has colours, in wrong ones.
    exact = Image.fromarray((len(colours) - 1 - index.reshape(packed.shape)).astype(np.uint8))
    exact.putpalette(colours[::-1].astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    return exact


def _image(picture: Image.Image) -> tuple[int, bytes, bytes]:
    """Returns the size bits of a picture's palette, the palette, and its compressed pixels, as Pillow writes them."""
    buffer = BytesIO()
    picture.save(buffer, format="GIF", optimize=False, interlace=0)
    data = buffer.getvalue()
    flags = data[10]
    at = HEADER + (3 << (flags & 7) + 1 if flags & TABLE else 0)
    colours, size = data[HEADER:at], flags & 7
    while data[at : at + 1] != IMAGE:  # extensions: a label and blocks
        at = _after_blocks(data, at + 2)
    flags, at = data[at + 9], at + 10
    if flags & TABLE:
        end = at + (3 << (flags & 7) + 1)
        colours, size, at = data[at:end], flags & 7, end
    return size, colours, data[at : _after_blocks(data, at + 1)]


def _after_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += 1 + data[at]
    return at + 1
