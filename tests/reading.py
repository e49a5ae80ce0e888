"""Reads pictures as a person would: finds the framed cells and the words in the pixels."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage


def frames(picture):
    """What stands inside the grey frames, row by row, found by looking for frames."""
    lines, _ = ndimage.label((picture == 120).all(-1), structure=np.ones((3, 3)))
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(lines), start=1):
        frame = lines[rows, columns] == number
        if min(frame.shape) >= 3 and max(frame.shape) > 5 and frame[[0, -1]].all() and frame[:, [0, -1]].all():
            found.append((rows.start, columns.start, picture[rows, columns][1:-1, 1:-1]))
    return [cell for *_, cell in sorted(found, key=lambda entry: entry[:2])]


def written(picture, text, size=12):
    """Whether a text stands somewhere in the picture, pixel by pixel."""
    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    font = ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), size)
    strip = Image.new("L", (int(font.getlength(text)), size + 6), 255)
    ImageDraw.Draw(strip).text((0, 1), text, fill=34, font=font)
    places = np.lib.stride_tricks.sliding_window_view(picture[:120, :, 0], (size + 6, strip.width))
    return bool((places == np.asarray(strip)).all(axis=(2, 3)).any())
