"""Single panels of the partition views: a layer's space in one, two or three dimensions, and the plane."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightning_cnnviz.functional.figure import COLOURS, DPI, plain
from lightning_cnnviz.functional.gates import Floats, Pattern
from lightning_cnnviz.functional.plane_model import Bounds, grid_points
from lightning_cnnviz.functional.scatter import class_colours

ON_OFF = np.array([to_rgb("#d9d9d9"), to_rgb("#f7b36b")])
"""Colours of units that are off and on."""
RASTER = 160
"""Pixels per side of a coloured square."""
MARKERS = "o^sDvPX*<>"
GOLDEN = (5**0.5 - 1) / 2


class Points(NamedTuple):
    """Data in the plane.

    Attributes:
        places: Shape (points, 2).
        labels: Class numbers, shape (points,); -1 where unknown.
    """

    places: Floats
    labels: npt.NDArray[np.intp]


class Space(NamedTuple):
    """The space that a layer takes its inputs from.

    Attributes:
        points: Where the plane's grid lies in it, shape (points, dimensions).
    """

    points: Floats

    @property
    def dimensions(self) -> int:
        """How many are drawn as what they are; of more than three the first two."""
        return self.points.shape[1] if self.points.shape[1] <= 3 else 2

    @property
    def whole(self) -> bool:
        """Whether all dimensions are drawn, so that a hyperplane can be."""
        return bool(self.points.shape[1] <= 3)

    def box(self) -> list[tuple[float, float]]:
        """Limits of the dimensions that are drawn, with a margin."""
        shown = self.points[:, : self.dimensions]
        margin = 0.08 * np.maximum(np.ptp(shown, axis=0), 1e-3)
        return list(zip(shown.min(axis=0) - margin, shown.max(axis=0) + margin, strict=True))

    def raster(self) -> Floats:
        """Points that fill a space of one or two dimensions, shape (count, dimensions)."""
        box = self.box()
        if self.dimensions == 1:
            return np.linspace(*box[0], RASTER)[:, None]
        return grid_points((*box[0], *box[1]), RASTER)


def panels(
    rows: int, columns: int, title: str, spatial: Sequence[bool], size: float = 3.4
) -> tuple[Figure, list[Any]]:
    """A figure with a grid of axes, three-dimensional ones where `spatial` says so, row by row."""
    figure = Figure(figsize=(size * columns, size * rows + 0.5), dpi=DPI, layout="constrained", facecolor="white")
    figure.suptitle(plain(title), x=0.01, ha="left", fontsize=11)
    kinds = [{"projection": "3d"} if deep else {} for deep in spatial]
    axes = [figure.add_subplot(rows, columns, place, **kind) for place, kind in enumerate(kinds, start=1)]
    return figure, axes


def pattern_colours(patterns: Pattern) -> Floats:
    """A light colour for each pattern that depends on it alone, so that a cell keeps its own from epoch to epoch.

    Cells that differ in one unit differ by that unit's share of the colour map.

    Args:
        patterns: Shape (cells, units).

    Returns:
        RGB in 0…1, shape (cells, 3).

    Example:
        >>> pattern_colours(np.array([[0, 1], [0, 1], [1, 1]], dtype=np.int16)).shape
        (3, 3)
    """
    shares = (np.arange(1, patterns.shape[1] + 1) * GOLDEN) % 1
    return np.asarray(0.55 * colormaps["viridis"]((0.2 + patterns @ shares) % 1)[:, :3] + 0.45)


def signed_colours(values: Floats) -> Floats:
    """Blue below zero, white at zero, red above; RGB in 0…1."""
    limit = np.abs(values).max(initial=0) or 1.0
    return np.asarray(colormaps["RdBu_r"](0.5 + 0.5 * values / limit)[..., :3])


def dress(axes: Any, space: Space, title: str) -> None:
    """Title, limits and names of the axes of a panel that shows a layer's space."""
    axes.set_title(plain(title), fontsize=9)
    box = space.box()
    axes.set_xlim(*box[0])
    axes.set_xlabel("dimension 1", fontsize=8)
    if space.dimensions > 1:
        axes.set_ylim(*box[1])
        axes.set_ylabel("dimension 2", fontsize=8)
    if space.dimensions > 2:
        axes.set_zlim(*box[2])
        axes.set_zlabel("dimension 3", fontsize=8)
        axes.set_box_aspect(None, zoom=0.82)  # or the label lies on the next panel
        for side in (axes.xaxis, axes.yaxis, axes.zaxis):
            side.labelpad = -4
            side.set_major_locator(MaxNLocator(4))
            side.set_tick_params(pad=-2)
    if not space.whole:
        axes.set_xlabel(f"dimensions 1 and 2 of {space.points.shape[1]}", fontsize=8)
        axes.set_ylabel("")
    axes.tick_params(labelsize=7)


def coloured_space(axes: Any, space: Space, colours: Floats, raster: Floats | None = None) -> None:
    """A layer's space: the places of the plane's grid in it, or all of it.

    Args:
        axes: Where to draw, three-dimensional if the space is.
        space: The space.
        colours: Of its points, shape (points, 3).
        raster: Of `space.raster()`, shape (count, 3); without any, the points are drawn.
    """
    if raster is None or not len(raster):
        shown = space.points[:, : space.dimensions]
        places = shown if space.dimensions > 1 else np.pad(shown, ((0, 0), (0, 1)))
        axes.scatter(*places.T, c=colours, s=7, edgecolors="#888888", linewidths=0.15)
    elif space.dimensions == 2:
        (x_low, x_high), (y_low, y_high) = space.box()
        square = raster.reshape(RASTER, RASTER, 3)
        axes.imshow(square, extent=(x_low, x_high, y_low, y_high), origin="lower", aspect="auto")
    else:
        axes.imshow(raster[None], extent=(*space.box()[0], 0, 1), aspect="auto")
    if space.dimensions == 1:
        axes.set_yticks([])


def hyperplane(axes: Any, space: Space, weight: Floats, offset: float) -> None:
    """Where `weight @ point + offset` is zero: a point, a line or a plane."""
    if not space.whole or not np.abs(weight).max(initial=0) > 0:
        return
    box = space.box()
    if space.dimensions == 1:
        place = -offset / weight[0]
        if box[0][0] <= place <= box[0][1]:
            axes.axvline(place, color="black", linewidth=1.5)
    elif space.dimensions == 2:
        ends = _line_in_box(weight, offset, box)
        axes.plot(*ends.T, color="black", linewidth=1.5)
    else:
        steepest = int(np.abs(weight).argmax())
        others = [axis for axis in range(3) if axis != steepest]
        mesh = np.meshgrid(*(np.linspace(*box[axis], 25) for axis in others))
        height = (
            -(offset + sum(weight[axis] * part for axis, part in zip(others, mesh, strict=True))) / weight[steepest]
        )
        height = np.where((height >= box[steepest][0]) & (height <= box[steepest][1]), height, np.nan)
        parts: list[Any] = [None, None, None]
        parts[steepest], parts[others[0]], parts[others[1]] = height, mesh[0], mesh[1]
        if np.isfinite(height).any():
            axes.plot_surface(*parts, color="black", alpha=0.13, linewidth=0)


def _line_in_box(weight: Floats, offset: float, box: list[tuple[float, float]]) -> Floats:
    across = int(np.abs(weight).argmin())  # the line is not parallel to this axis
    along = np.linspace(*box[across], 200)
    other = -(offset + weight[across] * along) / weight[1 - across]
    inside = (other >= box[1 - across][0]) & (other <= box[1 - across][1])
    places = np.stack([along, other] if across == 0 else [other, along], axis=1)
    return np.asarray(places[inside])


def paint_cells(
    axes: Any, bounds: Bounds, cells: Sequence[Floats], colours: Floats, edges: bool, title: str = ""
) -> None:
    """The plane in the colours of its cells; without cells, those of a square grid of points."""
    x_low, x_high, y_low, y_high = bounds
    if cells:
        edge = "#444444" if edges else "face"
        axes.add_collection(PolyCollection(list(cells), facecolors=colours, edgecolors=edge, linewidths=0.5))
    else:
        side = round(len(colours) ** 0.5)
        square = colours.reshape(side, side, 3)
        if edges:
            change = [(np.diff(square, axis=axis, append=square.take([-1], axis)) != 0).any(axis=2) for axis in (0, 1)]
            square = np.where((change[0] | change[1])[..., None], 0.27, square)
        axes.imshow(square, extent=bounds, origin="lower", aspect="auto")
    axes.set_xlim(x_low, x_high)
    axes.set_ylim(y_low, y_high)
    axes.set_aspect("equal")
    axes.set_title(plain(title), fontsize=9)
    axes.tick_params(labelsize=7)


def border_lines(axes: Any, segments: Floats) -> None:
    """Thin dark lines; segments of shape (count, 2, 2)."""
    axes.add_collection(LineCollection(list(segments), colors="#444444", linewidths=0.7))


def data_points(axes: Any, data: Points, class_names: Sequence[str], at_most: int = 200, size: float = 14) -> None:
    """Data over a picture, each class in its colour and shape."""
    places, labels = data.places[:at_most], data.labels[:at_most]
    colours = class_colours(max(len(class_names), 1))
    for number, name in enumerate(class_names):
        own = places[labels == number]
        marker = MARKERS[number % len(MARKERS)]
        axes.scatter(
            *own.T, s=size, color=colours[number], marker=marker, edgecolors="#222222", linewidths=0.4, label=name
        )
    nameless = places[(labels < 0) | (labels >= len(class_names))]
    axes.scatter(*nameless.T, s=size, color="#777777", edgecolors="white", linewidths=0.4)


def probability_colours(probabilities: Floats) -> Floats:
    """The winning class's colour, the whiter the less certain; (points, classes) to RGB (points, 3)."""
    classes = probabilities.shape[1]
    winners = np.array([to_rgb(colour) for colour in class_colours(classes)])[probabilities.argmax(axis=1)]
    certain = (probabilities.max(axis=1, keepdims=True) - 1 / classes) / (1 - 1 / classes)
    return np.asarray(1 - certain * (1 - winners) * 0.9)


def line_of(axes: Any, space: Space, values: Floats, label: str) -> None:
    """A function over a space of one dimension, on an axis of its own."""
    twin = axes.twinx()
    twin.plot(space.raster()[:, 0], values, color=COLOURS[0], linewidth=1.5)
    twin.set_ylabel(plain(label), fontsize=8)
    twin.tick_params(labelsize=7)
