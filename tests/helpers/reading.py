"""Reads pictures as a person would: finds the framed cells and the words in the pixels."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

ONE_SHADE = 5
"""The edges of letters have 32 shades, not 256."""


def frames(picture):
    """What stands inside the grey frames, row by row, found by looking for frames."""
    lines, _ = ndimage.label((picture == 120).all(-1), structure=np.ones((3, 3)))
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(lines), start=1):
        frame = lines[rows, columns] == number
        if min(frame.shape) >= 3 and max(frame.shape) > 5 and frame[[0, -1]].all() and frame[:, [0, -1]].all():
            found.append((rows.start, columns.start, picture[rows, columns][1:-1, 1:-1]))
    return [cell for *_, cell in sorted(found, key=lambda entry: entry[:2])]


def written(picture, text, size=12, rows=120, faint=False):
    """Whether a text stands somewhere in the upper rows of the picture, in each pixel; `faint` is grey."""
    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    font = ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), size)
    strip = Image.new("L", (int(font.getlength(text)), size + 6), 255)
    ImageDraw.Draw(strip).text((0, 1), text, fill=34, font=font)
    words, image = np.asarray(strip).astype(int), picture[:rows, :, 0].astype(int)
    words = 255 - (255 - words) // 5 * 3 if faint else words
    height, width = image.shape[0] - words.shape[0] + 1, image.shape[1] - words.shape[1] + 1
    if min(height, width) < 1:
        return False
    there = np.ones((height, width), dtype=bool)
    for y, x in zip(*np.unravel_index(np.argsort(words, axis=None)[:20], words.shape), strict=True):
        there &= np.abs(image[y : y + height, x : x + width] - words[y, x]) <= ONE_SHADE
    found = (image[y : y + words.shape[0], x : x + words.shape[1]] for y, x in np.argwhere(there))
    return any((np.abs(place - words) <= ONE_SHADE).all() for place in found)
