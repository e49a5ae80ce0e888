"""A canvas of palette indices for scatter plots: fast drawing, sub-pixel motion and small files."""

from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from lightning_cnnviz.functional.drawing import fonts
from lightning_cnnviz.functional.drawing.caption import INK
from lightning_cnnviz.functional.drawing.colours import NO_CLASS, Colours
from lightning_cnnviz.functional.drawing.image import FloatArray, Picture

INK_SHADES = 16
"""Number of shades from white to ink, for text and lines: the first entries of a palette."""
POINT_SHADES = 4
"""Number of shades of each class colour; the lighter ones anti-alias the edges of points."""
FRAME_SHADE = 6
"""Palette index of the frame around a chart."""
SUBPIXELS = 4
"""Resolution of point positions: steps per pixel, in each direction."""
Canvas: TypeAlias = npt.NDArray[np.uint16]
"""Height × width, indices into a palette; zero is white."""


class PlotArea(NamedTuple):
    """The plot area of a chart on a canvas, in pixels; `right` and `bottom` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


class View(NamedTuple):
    """A mapping from data coordinates to pixels.

    Attributes:
        centre: Data coordinates of the centre.
        middle: Its position on the canvas (column, row).
        scale: Pixels per data unit.
    """

    centre: FloatArray
    middle: FloatArray
    scale: float

    def pixels(self, points: FloatArray) -> FloatArray:
        """Returns columns and rows from the upper left corner; the second data coordinate points upwards."""
        return np.asarray(self.middle + (points - self.centre) * (self.scale, -self.scale))


def palette(colours: Colours) -> Picture:
    """Returns a palette: white to ink, then four shades of each class colour and of grey for points without a class.

    Args:
        colours: One per class, shape (classes, 3).

    Returns:
        Shape (16 + 4 (classes + 1), 3).

    Example:
        >>> palette(np.array([[255, 0, 0]], dtype=np.uint8))[19].tolist()
        [255, 0, 0]
    """
    white = np.full(3, 255.0)
    ramp = [white + (np.array(INK) - white) * share for share in np.linspace(0, 1, INK_SHADES)]
    shares = np.arange(1, POINT_SHADES + 1) / POINT_SHADES
    shades = [white + (np.array(colour) - white) * share for colour in (*colours, NO_CLASS) for share in shares]
    return np.round([*ramp, *shades]).astype(np.uint8)


def view_of(points: FloatArray, box: PlotArea) -> View:
    """Returns the view that fits all finite points into a box, with equal scales on both axes and a margin."""
    finite = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    low, high = (finite.min(axis=0), finite.max(axis=0)) if len(finite) else (np.zeros(2), np.zeros(2))
    size = np.array([box.right - box.left, box.bottom - box.top])
    span = np.maximum(high - low, np.finfo(float).tiny)
    scale = float((0.92 * size / span).min()) if (high > low).any() else 1.0
    return View((low + high) / 2, np.array([box.left + box.right, box.top + box.bottom]) / 2, scale)


def draw_points(canvas: Canvas, pixels: FloatArray, classes: npt.NDArray[np.intp], radius: float) -> None:
    """Draws discs in the given order, later ones on top of earlier ones.

    Args:
        canvas: Modified in place; all discs must lie inside.
        pixels: Shape (samples, 2), columns and rows; points with non-finite coordinates are skipped.
        classes: Shape (samples,), index into the colours of `palette`; one past the last is grey.
        radius: In pixels.
    """
    finite = np.isfinite(pixels).all(axis=1)
    fine = np.floor(pixels[finite] * SUBPIXELS).astype(np.intp)
    whole, fraction = fine // SUBPIXELS, fine % SUBPIXELS
    stamps = _stamps(radius)
    reach = stamps.shape[-1] // 2
    coverage = stamps[fraction[:, 1], fraction[:, 0]].reshape(-1, stamps.shape[-1] ** 2)
    offsets = np.arange(-reach, reach + 1)
    rows = (whole[:, 1, None, None] + offsets[:, None]).repeat(len(offsets), axis=2)
    columns = (whole[:, 0, None, None] + offsets).repeat(len(offsets), axis=1)
    flat = (rows * canvas.shape[1] + columns).reshape(coverage.shape)
    shades = INK_SHADES + POINT_SHADES * classes[finite][:, None] + coverage - 1
    faint = coverage <= POINT_SHADES // 2
    for drawn in (faint & (coverage > 0), ~faint):  # faint edges first, so that they never cover another point
        canvas.reshape(-1)[flat[drawn]] = shades[drawn]


@lru_cache
def _stamps(radius: float) -> npt.NDArray[np.intp]:
    """Returns the coverage of a disc's pixels, 0…4, for each sub-pixel position of its centre.

    Shape (SUBPIXELS, SUBPIXELS, n, n): vertical and horizontal position of the centre, then rows and columns.
    """
    reach = int(np.ceil(radius + 0.5))
    finer = (np.arange((2 * reach + 1) * 8) + 0.5) / 8 - reach
    centres = (np.arange(SUBPIXELS) + 0.5) / SUBPIXELS
    squared = np.square(finer - centres[:, None])
    inside = squared[:, None, :, None] + squared[None, :, None, :] <= radius**2
    covered = inside.reshape(SUBPIXELS, SUBPIXELS, 2 * reach + 1, 8, 2 * reach + 1, 8).mean(axis=(3, 5))
    return np.asarray(np.round(covered * POINT_SHADES), dtype=np.intp)


def draw_frame(canvas: Canvas, box: PlotArea) -> None:
    """Draws a thin frame along the inner edge of a box."""
    canvas[box.top : box.bottom, [box.left, box.right - 1]] = FRAME_SHADE
    canvas[[box.top, box.bottom - 1], box.left : box.right] = FRAME_SHADE


def draw_text(canvas: Canvas, text: str, left: int, top: int, size: int, *, upright: bool = False) -> None:
    """Draws one line of text; with `upright`, rotated to read from bottom to top."""
    shades, _ = _text(text, size, bold=False, outline=0)
    _paste(canvas, np.rot90(shades) if upright else shades, left, top)


def draw_name(canvas: Canvas, text: str, middle: tuple[float, float], size: int) -> None:
    """Draws bold text with a white outline, centred at (column, row)."""
    shades, outline = _text(text, size, bold=True, outline=round(size / 7))
    height, width = shades.shape
    _paste(canvas, shades, round(middle[0] - width / 2), round(middle[1] - height / 2), outline)


def name_size(text: str, size: int) -> tuple[int, int]:
    """Returns the width and height in pixels of a name drawn by `draw_name`."""
    height, width = _text(text, size, bold=True, outline=round(size / 7))[0].shape
    return width, height


@lru_cache(maxsize=256)
def _text(text: str, size: int, bold: bool, outline: int) -> tuple[Canvas, npt.NDArray[np.bool_]]:
    text = fonts.drawable(text)
    above, below = fonts.font(size, bold).getmetrics()
    area = (int(fonts.text_length(text, size, bold)) + 2 + 2 * outline, above + below + 2 * outline)
    masks = []
    for stroke in (0, outline):
        image = Image.new("L", area)
        pen = ImageDraw.Draw(image)
        fonts.draw_text(pen, (outline, outline), text, size, fill=255, bold=bold, stroke=stroke)
        masks.append(np.asarray(image))
    shades = np.round(masks[0] / 255 * (INK_SHADES - 1)).astype(np.uint16)
    return shades, np.asarray((masks[1] > 127) | (shades > 0))


def _paste(canvas: Canvas, shades: Canvas, left: int, top: int, where: npt.NDArray[np.bool_] | None = None) -> None:
    height, width = canvas.shape
    rows = slice(max(0, -top), max(0, min(shades.shape[0], height - top)))
    columns = slice(max(0, -left), max(0, min(shades.shape[1], width - left)))
    part = shades[rows, columns]
    under = canvas[rows.start + top :, columns.start + left :][: part.shape[0], : part.shape[1]]
    np.copyto(under, part, where=part > 0 if where is None else where[rows, columns])
