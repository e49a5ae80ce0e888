"""Points in classes: one chart, or several side by side."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.typing import ColorType

from lightning_cnnviz.functional.caption import TITLE_SIZE, shorten
from lightning_cnnviz.functional.figure import COLOURS, Floats
from lightning_cnnviz.functional.image import Picture
from lightning_cnnviz.functional.point_canvas import (
    Box,
    Canvas,
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
"""Pixels of a chart among others, with the words above it."""
NOTE_SIZE, PANEL_NOTE_SIZE = 13, 11
EDGE = 4
"""White pixels around a chart."""


class Scatter(NamedTuple):
    """How the points of a chart look.

    Attributes:
        classes: Shape (samples,), index into the colours; one more than the last for points without a class.
        names: Of the classes, as far as they are written.
        radius: Of a point, in pixels.
        letters: Size of a name, in pixels.
    """

    classes: npt.NDArray[np.intp]
    names: Sequence[str]
    radius: float
    letters: int


def class_colours(count: int) -> list[ColorType]:
    """One colour per class: ten that colour-blind readers can tell apart, beyond that a rainbow."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return [tuple(colour) for colour in colormaps["turbo"](np.linspace(0.03, 0.97, count))]


def class_palette(count: int) -> Picture:
    """The palette of a canvas with so many classes."""
    colours = [tuple(round(255 * part) for part in to_rgb(colour)) for colour in class_colours(count)]
    return palette([(red, green, blue) for red, green, blue in colours])


def scatter_chart(points: Floats, labels: npt.NDArray[np.intp], names: Sequence[str], *, title: str) -> Picture:
    """Points coloured by class, each class's name large at its median.

    Args:
        points: Shape (samples, 2); rows that are not finite are left out.
        labels: Shape (samples,); index into `names`; without a name they are grey.
        names: Of the classes; of more than 100 none is written.
        title: Above the chart; further lines are smaller.

    Returns:
        Height × width × 3, uint8, in as few colours as a palette holds (256) with up to 59 classes.

    Example:
        >>> scatter_chart(np.eye(2), np.array([0, 1]), ["cat", "dog"], title="epoch 3").shape
        (700, 750, 3)
    """
    canvas = np.zeros((CHART_HEIGHT, CHART_WIDTH), dtype=np.uint16)
    box = start_chart(canvas, title)
    look = scatter_look(labels, names, CHART_WIDTH, most_names=100)
    view = view_of(points, box)
    draw_points(canvas, view.pixels(points), look.classes, look.radius)
    draw_names(canvas, name_places(points, look, view, box), look)
    return class_palette(len(names))[canvas]


def start_chart(canvas: Canvas, title: str) -> Box:
    """Writes the title at the top of an empty canvas and frames what is left of it."""
    top = EDGE
    for number, line in enumerate(title.splitlines()):
        size = NOTE_SIZE if number else TITLE_SIZE
        draw_text(canvas, shorten(line, canvas.shape[1] - 2 * EDGE, size), EDGE, top, size)
        top += size + 5
    box = Box(EDGE, top + EDGE, canvas.shape[1] - EDGE, canvas.shape[0] - EDGE)
    draw_frame(canvas, box)
    return box


def scatter_grid(
    panels: Mapping[tuple[int, int], tuple[str, Floats]],
    rows: Sequence[str],
    labels: npt.NDArray[np.intp],
    names: Sequence[str],
    *,
    title: str,
) -> Picture:
    """Several scatters of the same samples in rows and columns, 350 pixels (`PANEL_WIDTH`) wide each.

    Args:
        panels: (row, column), each from 0 → title, the first line larger than the others, and points of shape
            (samples, 2). Other places stay white.
        rows: What each row shows, written at its left.
        labels: As in `scatter_chart`.
        names: Of the classes; of more than 20 none is written.
        title: Above all.

    Example:
        >>> panels = {(0, 0): ("conv1", np.eye(2)), (0, 1): ("conv2", np.eye(2))}
        >>> scatter_grid(panels, ["PCA"], np.array([0, 1]), ["cat", "dog"], title="epoch 3").shape
        (440, 730, 3)
    """
    columns = 1 + max(column for _, column in panels)
    left, top = 30, 50
    canvas = np.zeros((top + PANEL_HEIGHT * len(rows), left + PANEL_WIDTH * columns), dtype=np.uint16)
    draw_text(canvas, shorten(title, canvas.shape[1] - left, TITLE_SIZE + 1), left, 12, TITLE_SIZE + 1)
    look = scatter_look(labels, names, PANEL_WIDTH, most_names=20)
    deepest = max(len(above.splitlines()) for above, _ in panels.values())
    head = deepest * (PANEL_NOTE_SIZE + 4) + 8
    for (row, column), (above, points) in panels.items():
        at, below = left + column * PANEL_WIDTH, top + row * PANEL_HEIGHT
        for number, line in enumerate(above.splitlines()):
            size = PANEL_NOTE_SIZE if number else PANEL_NOTE_SIZE + 2
            words = shorten(line, PANEL_WIDTH - 10, size, keep_end=not number)
            draw_text(canvas, words, at, below + number * (PANEL_NOTE_SIZE + 4), size)
        box = Box(at, below + head, at + PANEL_WIDTH - 10, below + PANEL_HEIGHT - 10)
        draw_frame(canvas, box)
        view = view_of(points, box)
        draw_points(canvas, view.pixels(points), look.classes, look.radius)
        draw_names(canvas, name_places(points, look, view, box), look)
    for number, row_name in enumerate(rows):
        words = shorten(row_name, PANEL_HEIGHT - head, TITLE_SIZE)
        middle = top + number * PANEL_HEIGHT + (head + PANEL_HEIGHT - 10) // 2
        draw_text(canvas, words, 6, middle - name_size(words, TITLE_SIZE)[0] // 2, TITLE_SIZE, upright=True)
    return class_palette(len(names))[canvas]


def scatter_look(labels: npt.NDArray[np.intp], names: Sequence[str], width: int, most_names: int) -> Scatter:
    """How points look in a chart of so many pixels width: the more there are, the smaller."""
    area = np.clip(1.6 * (1000 / max(len(labels), 1)) ** 0.5, 0.6, 1.6) * width / 100  # in square points of print
    longest = max(map(len, names), default=1)
    letters = max(8, min(15 + width / 100, 0.22 * width / longest) * min(1, 10 / max(len(names), 1)) ** 0.5)
    return Scatter(
        classes=np.where((labels >= 0) & (labels < len(names)), labels, len(names)),
        names=names if len(names) <= most_names else [],
        radius=round(float(area**0.5) / 2 * 100 / 72, 1),
        letters=round(letters * 100 / 72),
    )


def name_places(points: Floats, look: Scatter, view: View, box: Box) -> dict[int, tuple[float, float]]:
    """Where the names of classes stand: at their medians, moved up or down as far as it takes to read them.

    Returns:
        Class → column and row, in pixels.
    """
    there = np.isfinite(points).all(axis=1)
    present = [index for index in range(len(look.names)) if (there & (look.classes == index)).any()]
    if not present:
        return {}
    medians = [np.median(points[there & (look.classes == index)], axis=0) for index in present]
    middles = view.pixels(np.array(medians))
    widths, heights = np.array([name_size(look.names[index], look.letters) for index in present]).T
    middles[:, 0] = np.clip(middles[:, 0], box.left + widths / 2, np.maximum(box.right - widths / 2, box.left))
    middles[:, 1] = _part(middles, widths, 0.8 * heights.max())
    return {index: (column, row) for index, (column, row) in zip(present, middles.tolist(), strict=True)}


def draw_names(canvas: Canvas, places: Mapping[int, tuple[float, float]], look: Scatter) -> None:
    """Writes the names of classes at their places."""
    for index, middle in places.items():
        draw_name(canvas, look.names[index], middle, look.letters)


def _part(middles: Floats, widths: Floats, height: float) -> Floats:
    """Rows of names of which none lies over another."""
    columns, rows = middles.T.copy()
    over = 2 * np.abs(np.subtract.outer(columns, columns)) < np.add.outer(widths, widths)
    np.fill_diagonal(over, False)
    order = np.sign(np.subtract.outer(np.arange(len(rows)), np.arange(len(rows))))
    for _ in range(100):
        apart = np.subtract.outer(rows, rows)
        lacking = np.where(over, height - np.abs(apart), 0).clip(0)
        if lacking.max() < 1:
            break
        rows += (lacking * np.where(apart == 0, order, np.sign(apart))).sum(axis=1) / 4
    return np.asarray(rows)
