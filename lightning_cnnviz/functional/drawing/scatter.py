"""Scatter plots coloured by class: a single chart, or a grid of panels."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.caption import TITLE_SIZE, shorten
from lightning_cnnviz.functional.drawing.colours import class_colours
from lightning_cnnviz.functional.drawing.image import FloatArray, Picture
from lightning_cnnviz.functional.drawing.point_canvas import (
    Canvas,
    PlotArea,
    View,
    draw_frame,
    draw_name,
    draw_points,
    draw_text,
    name_size,
    palette,
    view_of,
)

CHART_WIDTH, CHART_HEIGHT = 750, 700
PANEL_WIDTH, PANEL_HEIGHT = 350, 390
"""Size of a panel in a grid in pixels, including the text above it."""
NOTE_SIZE, PANEL_NOTE_SIZE = 13, 11
"""Font sizes of the lines below the title, in pixels."""
CHART_MARGIN = 4
"""White pixels around a chart."""


class Scatter(NamedTuple):
    """The style of a scatter plot.

    Attributes:
        classes: Shape (samples,), index into the class colours; one past the last for points without a class.
        names: Names of the classes; empty if none are written.
        radius: Radius of a point, in pixels.
        letters: Font size of the names, in pixels.
    """

    classes: npt.NDArray[np.intp]
    names: Sequence[str]
    radius: float
    letters: int


def class_palette(count: int) -> Picture:
    """Returns the palette of a canvas with `count` classes."""
    return palette(class_colours(count))


def scatter_chart(points: FloatArray, labels: npt.NDArray[np.intp], names: Sequence[str], *, title: str) -> Picture:
    """Draws points coloured by class, with the name of each class at its median.

    Args:
        points: Shape (samples, 2); non-finite points are skipped.
        labels: Shape (samples,), index into `names`; points whose label has no name are grey.
        names: Names of the classes; with more than 100, none are written.
        title: Written above the chart; lines after the first are smaller.

    Returns:
        Height × width × 3, uint8. With up to 59 classes it has at most the 256 colours of a palette.

    Example:
        >>> scatter_chart(np.eye(2), np.array([0, 1]), ["cat", "dog"], title="epoch 3").shape
        (700, 750, 3)
    """
    canvas = np.zeros((CHART_HEIGHT, CHART_WIDTH), dtype=np.uint16)
    box = start_chart(canvas, title)
    style = scatter_look(labels, names, CHART_WIDTH, most_names=100)
    view = view_of(points, box)
    draw_points(canvas, view.pixels(points), style.classes, style.radius)
    draw_names(canvas, name_places(points, style, view, box), style)
    return class_palette(len(names))[canvas]


def start_chart(canvas: Canvas, title: str) -> PlotArea:
    """Writes the title at the top of an empty canvas and frames the rest; returns the framed plot area."""
    top = CHART_MARGIN
    for index, line in enumerate(title.splitlines()):
        size = NOTE_SIZE if index else TITLE_SIZE
        draw_text(canvas, shorten(line, canvas.shape[1] - 2 * CHART_MARGIN, size), CHART_MARGIN, top, size)
        top += size + 5
    box = PlotArea(CHART_MARGIN, top + CHART_MARGIN, canvas.shape[1] - CHART_MARGIN, canvas.shape[0] - CHART_MARGIN)
    draw_frame(canvas, box)
    return box


def scatter_grid(
    panels: Mapping[tuple[int, int], tuple[str, FloatArray]],
    rows: Sequence[str],
    labels: npt.NDArray[np.intp],
    names: Sequence[str],
    *,
    title: str,
) -> Picture:
    """Draws several scatter plots of the same samples in a grid, each 350 pixels (`PANEL_WIDTH`) wide.

    Args:
        panels: (row, column), both from 0 → title, with a larger first line, and points of shape (samples, 2).
            Missing panels stay white.
        rows: Row labels, written on the left.
        labels: As in `scatter_chart`.
        names: Names of the classes; with more than 20, none are written.
        title: Written above the grid.

    Example:
        >>> panels = {(0, 0): ("conv1", np.eye(2)), (0, 1): ("conv2", np.eye(2))}
        >>> scatter_grid(panels, ["PCA"], np.array([0, 1]), ["cat", "dog"], title="epoch 3").shape
        (440, 730, 3)
    """
    columns = 1 + max(column for _, column in panels)
    left, top = 30, 50
    canvas = np.zeros((top + PANEL_HEIGHT * len(rows), left + PANEL_WIDTH * columns), dtype=np.uint16)
    draw_text(canvas, shorten(title, canvas.shape[1] - left, TITLE_SIZE + 1), left, 12, TITLE_SIZE + 1)
    style = scatter_look(labels, names, PANEL_WIDTH, most_names=20)
    lines = max(len(panel_title.splitlines()) for panel_title, _ in panels.values())
    head = lines * (PANEL_NOTE_SIZE + 4) + 8
    for (row, column), (panel_title, points) in panels.items():
        x, y = left + column * PANEL_WIDTH, top + row * PANEL_HEIGHT
        for index, line in enumerate(panel_title.splitlines()):
            size = PANEL_NOTE_SIZE if index else PANEL_NOTE_SIZE + 2
            text = shorten(line, PANEL_WIDTH - 10, size, keep_end=not index)
            draw_text(canvas, text, x, y + index * (PANEL_NOTE_SIZE + 4), size)
        box = PlotArea(x, y + head, x + PANEL_WIDTH - 10, y + PANEL_HEIGHT - 10)
        draw_frame(canvas, box)
        view = view_of(points, box)
        draw_points(canvas, view.pixels(points), style.classes, style.radius)
        draw_names(canvas, name_places(points, style, view, box), style)
    for row, row_name in enumerate(rows):
        text = shorten(row_name, PANEL_HEIGHT - head, TITLE_SIZE)
        middle = top + row * PANEL_HEIGHT + (head + PANEL_HEIGHT - 10) // 2
        draw_text(canvas, text, 6, middle - name_size(text, TITLE_SIZE)[0] // 2, TITLE_SIZE, upright=True)
    return class_palette(len(names))[canvas]


def scatter_look(labels: npt.NDArray[np.intp], names: Sequence[str], width: int, most_names: int) -> Scatter:
    """Chooses the style for a chart `width` pixels wide: the more points and classes, the smaller points and names."""
    area = np.clip(1.6 * (1000 / max(len(labels), 1)) ** 0.5, 0.6, 1.6) * width / 100  # in points² (1/72 inch)
    longest = max(map(len, names), default=1)
    letters = max(8, min(15 + width / 100, 0.22 * width / longest) * min(1, 10 / max(len(names), 1)) ** 0.5)
    return Scatter(
        classes=np.where((labels >= 0) & (labels < len(names)), labels, len(names)),
        names=names if len(names) <= most_names else [],
        radius=round(float(area**0.5) / 2 * 100 / 72, 1),
        letters=round(letters * 100 / 72),
    )


def name_places(points: FloatArray, style: Scatter, view: View, box: PlotArea) -> dict[int, tuple[float, float]]:
    """Positions the names of the classes at their medians, shifted up or down so that they do not overlap.

    Returns:
        Class index → column and row of the centre, in pixels.
    """
    finite = np.isfinite(points).all(axis=1)
    present = [index for index in range(len(style.names)) if (finite & (style.classes == index)).any()]
    if not present:
        return {}
    medians = [np.median(points[finite & (style.classes == index)], axis=0) for index in present]
    centres = view.pixels(np.array(medians))
    widths, heights = np.array([name_size(style.names[index], style.letters) for index in present]).T
    centres[:, 0] = np.clip(centres[:, 0], box.left + widths / 2, np.maximum(box.right - widths / 2, box.left))
    centres[:, 1] = _declutter(centres, widths, 0.8 * heights.max())
    return {index: (column, row) for index, (column, row) in zip(present, centres.tolist(), strict=True)}


def draw_names(canvas: Canvas, places: Mapping[int, tuple[float, float]], style: Scatter) -> None:
    """Writes the names of the classes at the positions from `name_places`."""
    for index, centre in places.items():
        draw_name(canvas, style.names[index], centre, style.letters)


def _declutter(centres: FloatArray, widths: FloatArray, height: float) -> FloatArray:
    """Moves overlapping names apart vertically; returns the new rows of their centres."""
    columns, rows = centres.T.copy()
    same_columns = 2 * np.abs(np.subtract.outer(columns, columns)) < np.add.outer(widths, widths)
    np.fill_diagonal(same_columns, False)
    order = np.sign(np.subtract.outer(np.arange(len(rows)), np.arange(len(rows))))
    for _ in range(100):
        distance = np.subtract.outer(rows, rows)
        overlap = np.where(same_columns, height - np.abs(distance), 0).clip(0)
        if overlap.max() < 1:
            break
        rows += (overlap * np.where(distance == 0, order, np.sign(distance))).sum(axis=1) / 4
    return np.asarray(rows)
