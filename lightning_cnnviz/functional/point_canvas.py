"""A picture of points in few colours: what is drawn fast, moves smoothly and makes small files."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from lightning_cnnviz.functional.caption import INK, font
from lightning_cnnviz.functional.figure import Floats
from lightning_cnnviz.functional.image import Picture
from lightning_cnnviz.functional.names import one_line

SHADES = 16
"""From white to ink, of words and lines: the first entries of a palette."""
STRENGTHS = 4
"""Shades of a class's colour, of which the lighter ones round off a point."""
FRAME = 6
"""The shade of the line around a chart."""
NO_CLASS = (119, 119, 119)
PARTS = 4
"""Places within a pixel, in each direction, at which points are told apart."""
Canvas: TypeAlias = npt.NDArray[np.uint16]
"""Height × width, indices into a palette; zero is white."""


class Box(NamedTuple):
    """The inside of a chart on a canvas, in pixels; `right` and `bottom` lie outside."""

    left: int
    top: int
    right: int
    bottom: int


class View(NamedTuple):
    """From the coordinates of points to pixels: centre of both, and pixels per unit."""

    centre: Floats
    middle: Floats
    scale: float

    def pixels(self, points: Floats) -> Floats:
        """Columns and rows from the upper left corner; the second coordinate points upwards."""
        return np.asarray(self.middle + (points - self.centre) * (self.scale, -self.scale))


def palette(colours: Sequence[tuple[int, int, int]]) -> Picture:
    """White to ink, then four shades of each class's colour, and of grey for points without a class.

    Args:
        colours: Of the classes, RGB.

    Returns:
        Shape (16 + 4 (classes + 1), 3).

    Example:
        >>> palette([(255, 0, 0)])[19].tolist()
        [255, 0, 0]
    """
    white = np.full(3, 255.0)
    ramp = [white + (np.array(INK) - white) * share for share in np.linspace(0, 1, SHADES)]
    shares = np.arange(1, STRENGTHS + 1) / STRENGTHS
    shades = [white + (np.array(colour) - white) * share for colour in (*colours, NO_CLASS) for share in shares]
    return np.round([*ramp, *shades]).astype(np.uint8)


def view_of(points: Floats, box: Box) -> View:
    """Shows all finite points in a box, undistorted, with a margin around."""
    there = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    low, high = (there.min(axis=0), there.max(axis=0)) if len(there) else (np.zeros(2), np.zeros(2))
    room = np.array([box.right - box.left, box.bottom - box.top])
    span = np.maximum(high - low, np.finfo(float).tiny)
    scale = float((0.92 * room / span).min()) if (high > low).any() else 1.0
    return View((low + high) / 2, np.array([box.left + box.right, box.top + box.bottom]) / 2, scale)


def draw_points(canvas: Canvas, pixels: Floats, classes: npt.NDArray[np.intp], radius: float) -> None:
    """Draws discs in their order, later ones over earlier ones.

    Args:
        canvas: Drawn on; discs must lie inside.
        pixels: Shape (samples, 2), columns and rows; rows that are not finite are left out.
        classes: Shape (samples,), index of the colours of `palette`; the one behind the last is grey.
        radius: In pixels.
    """
    there = np.isfinite(pixels).all(axis=1)
    fine = np.floor(pixels[there] * PARTS).astype(np.intp)
    places, parts = fine // PARTS, fine % PARTS
    stamps = _stamps(radius)
    reach = stamps.shape[-1] // 2
    strengths = stamps[parts[:, 1], parts[:, 0]].reshape(-1, stamps.shape[-1] ** 2)
    offsets = np.arange(-reach, reach + 1)
    rows = (places[:, 1, None, None] + offsets[:, None]).repeat(len(offsets), axis=2)
    columns = (places[:, 0, None, None] + offsets).repeat(len(offsets), axis=1)
    flat = (rows * canvas.shape[1] + columns).reshape(strengths.shape)
    shades = SHADES + STRENGTHS * classes[there][:, None] + strengths - 1
    faint = strengths <= STRENGTHS // 2
    for drawn in (faint & (strengths > 0), ~faint):  # no point's faint edge covers another point
        canvas.reshape(-1)[flat[drawn]] = shades[drawn]


@lru_cache
def _stamps(radius: float) -> npt.NDArray[np.intp]:
    """How strong the pixels of a disc are, 0…4, for each place of its middle within a pixel: parts × parts × n × n."""
    reach = int(np.ceil(radius + 0.5))
    finer = (np.arange((2 * reach + 1) * 8) + 0.5) / 8 - reach
    middles = (np.arange(PARTS) + 0.5) / PARTS
    away = np.square(finer - middles[:, None])
    inside = away[:, None, :, None] + away[None, :, None, :] <= radius**2
    covered = inside.reshape(PARTS, PARTS, 2 * reach + 1, 8, 2 * reach + 1, 8).mean(axis=(3, 5))
    return np.asarray(np.round(covered * STRENGTHS), dtype=np.intp)


def draw_frame(canvas: Canvas, box: Box) -> None:
    """A thin line around the inside of a box."""
    canvas[box.top : box.bottom, [box.left, box.right - 1]] = FRAME
    canvas[[box.top, box.bottom - 1], box.left : box.right] = FRAME


def draw_text(canvas: Canvas, text: str, left: int, top: int, size: int, *, upright: bool = False) -> None:
    """One line of text; `upright` turns it so that it reads from below."""
    shades, _ = _text(text, size, bold=False, outline=0)
    _paste(canvas, np.rot90(shades) if upright else shades, left, top)


def draw_name(canvas: Canvas, text: str, middle: tuple[float, float], size: int) -> None:
    """Bold words with a white outline, centred at (column, row)."""
    shades, outline = _text(text, size, bold=True, outline=round(size / 7))
    height, width = shades.shape
    _paste(canvas, shades, round(middle[0] - width / 2), round(middle[1] - height / 2), outline)


def name_size(text: str, size: int) -> tuple[int, int]:
    """Width and height in pixels of what `draw_name` writes."""
    height, width = _text(text, size, bold=True, outline=round(size / 7))[0].shape
    return width, height


@lru_cache(maxsize=256)
def _text(text: str, size: int, bold: bool, outline: int) -> tuple[Canvas, npt.NDArray[np.bool_]]:
    face, text = font(size, bold), one_line(text)
    above, below = face.getmetrics()
    area = (int(face.getlength(text)) + 2 + 2 * outline, above + below + 2 * outline)
    masks = []
    for stroke in (0, outline):
        image = Image.new("L", area)
        ImageDraw.Draw(image).text((outline, outline), text, fill=255, font=face, stroke_width=stroke)
        masks.append(np.asarray(image))
    shades = np.round(masks[0] / 255 * (SHADES - 1)).astype(np.uint16)
    return shades, np.asarray((masks[1] > 127) | (shades > 0))


def _paste(canvas: Canvas, shades: Canvas, left: int, top: int, where: npt.NDArray[np.bool_] | None = None) -> None:
    height, width = canvas.shape
    rows = slice(max(0, -top), max(0, min(shades.shape[0], height - top)))
    columns = slice(max(0, -left), max(0, min(shades.shape[1], width - left)))
    part = shades[rows, columns]
    under = canvas[rows.start + top :, columns.start + left :][: part.shape[0], : part.shape[1]]
    np.copyto(under, part, where=part > 0 if where is None else where[rows, columns])
