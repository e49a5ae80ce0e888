"""Panels of the partition views: the input space of a layer in one, two or three dimensions, and the input plane."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from lightning_cnnviz.functional.drawing.colours import class_colours
from lightning_cnnviz.functional.drawing.figure import COLOURS, DPI, plain
from lightning_cnnviz.functional.input_partition.nonlinearities import Float64Array, Pattern
from lightning_cnnviz.functional.input_partition.plane_model import Bounds, grid_points

ON_OFF = np.array([to_rgb("#f0f0f0"), to_rgb("#b8a1d9"), to_rgb("#7d5fae")])
"""Colours of units below their first breakpoint, above it, and above their second; distinct from all class colours."""
ON_OFF_CAPTIONS = {1: "on (violet) or off", 2: "below (grey), between, above (dark)"}
"""Number of breakpoints → caption that explains these colours."""
RASTER_SIZE = 160
"""Points per side of the raster that fills a space."""
MARKERS = "o^sDvPX*<>"


class Points(NamedTuple):
    """Data points in the plane.

    Attributes:
        places: Coordinates, shape (points, 2).
        labels: Class indices, shape (points,); -1 if unknown.
    """

    places: Float64Array
    labels: npt.NDArray[np.intp]


class Space(NamedTuple):
    """The input or output space of a layer.

    Attributes:
        points: Images of the plane's grid points in this space, shape (points, dimensions).
    """

    points: Float64Array

    @property
    def dimensions(self) -> int:
        """Number of dimensions that are drawn: all of up to three, otherwise the first two."""
        return self.points.shape[1] if self.points.shape[1] <= 3 else 2

    @property
    def whole(self) -> bool:
        """Whether all dimensions are drawn, so that hyperplanes can be drawn as well."""
        return bool(self.points.shape[1] <= 3)

    def box(self) -> list[tuple[float, float]]:
        """Returns the limits of the dimensions that are drawn, with a margin."""
        shown = self.points[:, : self.dimensions]
        margin = 0.08 * np.maximum(np.ptp(shown, axis=0), 1e-3)
        return list(zip(shown.min(axis=0) - margin, shown.max(axis=0) + margin, strict=True))

    def raster(self) -> Float64Array:
        """Returns points that fill a space of one or two dimensions, shape (count, dimensions)."""
        box = self.box()
        if self.dimensions == 1:
            return np.linspace(*box[0], RASTER_SIZE)[:, None]
        return grid_points((*box[0], *box[1]), RASTER_SIZE)


def panels(
    rows: int, columns: int, title: str, spatial: Sequence[bool], size: float = 3.4
) -> tuple[Figure, list[Any]]:
    """Returns a figure with a grid of axes, row by row, three-dimensional where `spatial` is True."""
    figure = Figure(figsize=(size * columns, size * rows + 0.5), dpi=DPI, layout="constrained", facecolor="white")
    figure.suptitle(plain(title), x=0.01, ha="left", fontsize=11)
    kinds = [{"projection": "3d"} if deep else {} for deep in spatial]
    axes = [figure.add_subplot(rows, columns, index, **kind) for index, kind in enumerate(kinds, start=1)]
    return figure, axes


def pattern_colours(patterns: Pattern) -> Float64Array:
    """Assigns a light colour to each activation pattern.

    The colour depends on the pattern alone, so that a cell keeps it from epoch to epoch. Patterns that differ in one
    unit are a fixed distance apart in the colour map, which depends on that unit.

    Args:
        patterns: Shape (cells, units).

    Returns:
        RGB in 0…1, shape (cells, 3).

    Example:
        >>> pattern_colours(np.array([[0, 1], [0, 1], [1, 1]], dtype=np.int16)).shape
        (3, 3)
    """
    hue, light = np.random.default_rng(0).uniform(0.2, 0.8, (patterns.shape[1], 2)).T  # fixed for each unit
    colours = colormaps["viridis"]((patterns @ hue) % 1)[:, :3]
    paleness = 0.35 + 0.25 * ((patterns @ light) % 1)[:, None]
    return np.asarray((1 - paleness) * colours + paleness)


def signed_colours(values: Float64Array, limit: float) -> Float64Array:
    """Maps values to colours: blue down to -limit, white at zero, red up to limit; RGB in 0…1."""
    return np.asarray(colormaps["RdBu_r"](0.5 + 0.5 * values / (limit or 1.0))[..., :3])


def dress(axes: Any, space: Space, title: str) -> None:
    """Sets title, limits and axis labels of a panel that shows the space of a layer."""
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
        axes.set_box_aspect(None, zoom=0.82)  # keeps the label off the next panel
        for side in (axes.xaxis, axes.yaxis, axes.zaxis):
            side.labelpad = -4
            side.set_major_locator(MaxNLocator(4))
            side.set_tick_params(pad=-2)
    if not space.whole:
        axes.set_xlabel(f"dimensions 1 and 2 of {space.points.shape[1]}", fontsize=8)
        axes.set_ylabel("")
    axes.tick_params(labelsize=7)


def coloured_space(axes: Any, space: Space, colours: Float64Array, raster: Float64Array | None = None) -> None:
    """Draws the space of a layer in colours: filled, or as the images of the plane's grid points.

    Args:
        axes: Axes to draw on, three-dimensional if the space is.
        space: The space.
        colours: Colours of `space.points`, shape (points, 3).
        raster: Colours of `space.raster()`, shape (count, 3); if missing or empty, the points are drawn.
    """
    if raster is None or not len(raster):
        shown = space.points[:, : space.dimensions]
        points = shown if space.dimensions > 1 else np.pad(shown, ((0, 0), (0, 1)))
        flat_colours = {"depthshade": False} if space.dimensions == 3 else {}
        axes.scatter(*points.T, c=colours, s=7, edgecolors="#888888", linewidths=0.15, **flat_colours)
    elif space.dimensions == 2:
        (x_low, x_high), (y_low, y_high) = space.box()
        square = raster.reshape(RASTER_SIZE, RASTER_SIZE, 3)
        axes.imshow(square, extent=(x_low, x_high, y_low, y_high), origin="lower", aspect="auto")
    else:
        axes.imshow(raster[None], extent=(*space.box()[0], 0, 1), aspect="auto")
    if space.dimensions == 1:
        axes.set_yticks([])


def hyperplane(axes: Any, space: Space, weight: Float64Array, offset: float) -> None:
    """Draws the hyperplane where `weight @ point + offset` is zero: a point, a line or a plane."""
    if not space.whole or not np.abs(weight).max(initial=0) > 0:
        return
    box = space.box()
    if space.dimensions == 1:
        position = -offset / weight[0]
        if box[0][0] <= position <= box[0][1]:
            axes.axvline(position, color="black", linewidth=1.5)
    elif space.dimensions == 2:
        ends = _line_in_box(weight, offset, box)
        axes.plot(*ends.T, color="black", linewidth=1.5)
    else:
        corners = _plane_in_box(weight, offset, np.array(box))
        if len(corners) > 2:
            axes.add_collection3d(Poly3DCollection([corners], facecolors="black", edgecolors="black", alpha=0.13))


def _plane_in_box(weight: Float64Array, offset: float, box: Float64Array) -> Float64Array:
    """Returns the intersections of a plane with the edges of a box, limits of shape (3, 2), ordered as a polygon."""
    ends = np.array(list(product(*box)))
    values = ends @ weight + offset
    edges = [(one, other) for one, other in combinations(range(8), 2) if (ends[one] != ends[other]).sum() == 1]
    crossings = [
        ends[one] + values[one] / (values[one] - values[other]) * (ends[other] - ends[one])
        for one, other in edges
        if values[one] * values[other] < 0
    ]
    if not crossings:
        return np.empty((0, 3))
    around = np.array(crossings) - np.mean(crossings, axis=0)
    across = around[0]
    angles = np.arctan2(around @ np.cross(weight / np.linalg.norm(weight), across), around @ across)
    return np.array(crossings)[np.argsort(angles)]


def _line_in_box(weight: Float64Array, offset: float, box: list[tuple[float, float]]) -> Float64Array:
    across = int(np.abs(weight).argmin())  # the line is not parallel to this axis
    along = np.linspace(*box[across], 200)
    other = -(offset + weight[across] * along) / weight[1 - across]
    inside = (other >= box[1 - across][0]) & (other <= box[1 - across][1])
    points = np.stack([along, other] if across == 0 else [other, along], axis=1)
    return np.asarray(points[inside])


def paint_cells(
    axes: Any, bounds: Bounds, cells: Sequence[Float64Array], colours: Float64Array, edges: bool, title: str = ""
) -> None:
    """Draws the plane with its cells in colours; without cells, the colours are those of a square grid of points."""
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


def border_lines(axes: Any, segments: Float64Array) -> None:
    """Draws thin dark line segments of shape (count, 2, 2)."""
    axes.add_collection(LineCollection(list(segments), colors="#444444", linewidths=0.7))


def data_points(axes: Any, data: Points, class_names: Sequence[str], at_most: int = 200, size: float = 14) -> None:
    """Draws data points, each class with its own colour and marker."""
    places, labels = data.places[:at_most], data.labels[:at_most]
    colours = class_colours(max(len(class_names), 1)) / 255
    for index, name in enumerate(class_names):
        members = places[labels == index]
        marker = MARKERS[index % len(MARKERS)]
        style = {"s": size, "color": colours[index], "marker": marker, "edgecolors": "#222222", "linewidths": 0.4}
        axes.scatter(*members.T, **style, label=plain(name))
    unlabelled = places[(labels < 0) | (labels >= len(class_names))]
    axes.scatter(*unlabelled.T, s=size, color="#777777", edgecolors="white", linewidths=0.4)


def probability_colours(probabilities: Float64Array) -> Float64Array:
    """Returns the colour of the most probable class, whiter if less certain; (points, classes) to RGB (points, 3)."""
    classes = probabilities.shape[1]
    predicted = (class_colours(classes) / 255)[probabilities.argmax(axis=1)]
    certainty = (probabilities.max(axis=1, keepdims=True) - 1 / classes) / (1 - 1 / classes)
    return np.asarray(1 - certainty * (1 - predicted) * 0.9)


def line_of(axes: Any, space: Space, values: Float64Array, label: str) -> None:
    """Draws a function over a one-dimensional space as a line, on its own y axis."""
    twin = axes.twinx()
    twin.plot(space.raster()[:, 0], values, color=COLOURS[0], linewidth=1.5)
    twin.set_ylabel(plain(label), fontsize=8)
    twin.tick_params(labelsize=7)
