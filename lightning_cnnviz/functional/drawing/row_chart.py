"""Charts with a named row for each layer: bars, and a heat map."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.caption import INK, PICTURE_MARGIN, TEXT_SIZE, shorten, text_line, text_width
from lightning_cnnviz.functional.drawing.colours import CLASSES, SEQUENTIAL
from lightning_cnnviz.functional.drawing.image import FloatArray, Picture, sequential
from lightning_cnnviz.functional.drawing.plot import (
    BELOW,
    LINE_HEIGHT,
    Key,
    draw_axis,
    draw_frame,
    hatching,
    headed,
    label_room,
    paste,
)
from lightning_cnnviz.functional.drawing.point_canvas import PlotArea
from lightning_cnnviz.functional.drawing.ticks import Axis, fitting, log_axis
from lightning_cnnviz.functional.escaping import one_line

IntArray = npt.NDArray[np.int_]
WIDTH, ROW_HEIGHT = 900, 25
MAX_ROW_LABELS = 120
"""Maximum number of row labels; with more rows, they get thinner, and only every second, third, … is labelled."""
MAX_NAME_WIDTH = 300
MAX_COLUMNS = 2000
"""Maximum number of columns of a heat map that differ in width before they are drawn."""
BAR_SHARE = 0.7
"""Height of a bar, as a share of its row."""
SCALE_WIDTH = 16
NO_VALUE = 221
"""Grey level of a cell without a finite value."""


def bar_chart(
    names: Sequence[str],
    bars: Mapping[str, FloatArray],
    *,
    title: str,
    value_label: str,
    notes: Mapping[int, str],
) -> Picture:
    """Draws horizontal bars on a log axis, one row per name, with the bars of a row on top of each other.

    Args:
        names: Names of the rows, from the top.
        bars: Name of the quantity → one value per row; values that are not positive and finite have no bar.
        title: Title of the chart.
        value_label: Label of the value axis.
        notes: Row index → text shown instead of the bars.

    Example:
        >>> bar_chart(["a", "b"], {"g": np.array([1.0, 2.0])}, title="", value_label="", notes={}).shape
        (200, 900, 3)
    """
    keys = [Key(name, tuple(colour), "box") for name, colour in zip(bars, CLASSES.tolist(), strict=False)]
    logs = [_logarithm(values) for values in bars.values()]
    finite = np.concatenate([np.zeros(0), *logs])
    finite = finite[np.isfinite(finite)]
    low, high = (finite.min(), finite.max()) if finite.size else (-8.0, 0.0)
    low, high = float(low - np.log10(3)), float(high + np.log10(2))
    picture, top = _headed(names, title, keys)
    box = _named_rows(picture, top, names, right=PICTURE_MARGIN + text_width("5×10⁻³⁸") // 2)
    axis = fitting(partial(log_axis, low, high), room=box.right - box.left)
    draw_axis(picture, box, axis, "bottom", value_label, grid=True)
    edges = box.top + np.linspace(0, box.bottom - box.top, len(names) + 1)
    for values, key in zip(logs, keys, strict=True):
        lengths = axis.share(values) * (box.right - box.left)
        for row in np.flatnonzero(np.isfinite(values)).tolist():
            start, stop = edges[row], edges[row + 1]
            spare = (1 - BAR_SHARE) / 2 * (stop - start)
            first = round(float(start + spare))
            last = max(first + 1, round(float(stop - spare)))
            picture[first:last, box.left : box.left + round(lengths[row])] = key.colour
    row_height = (box.bottom - box.top) / max(len(names), 1)
    size = int(np.clip(row_height, 4, TEXT_SIZE))
    for row, note in notes.items():
        strip = text_line(shorten(note, box.right - box.left - 2 * PICTURE_MARGIN, size), size=size)
        strip = strip[: max(size, int(row_height))]
        middle = box.top + (row + 0.5) * row_height
        paste(picture, strip, round(middle - len(strip) / 2), box.left + PICTURE_MARGIN)
    draw_frame(picture, box)
    return picture


def heat_map(
    values: FloatArray,
    rows: Sequence[str],
    columns: Sequence[int],
    *,
    title: str,
    x_label: str,
    value_label: str,
    zero: str = "",
) -> Picture:
    """Draws a matrix of positive values on a logarithmic colour scale, with row names on the left.

    Args:
        values: Shape (rows, columns). NaN (no value) is light grey, zero the darkest colour or hatched.
        rows: Names of the rows, from the top.
        columns: The coordinate of each column, e.g. its step; some are shown as tick labels.
        title: Title of the chart.
        x_label: Label of the x axis.
        value_label: Label of the colour scale.
        zero: What a zero means, for the legend; if given, zeros are hatched.

    Example:
        >>> heat_map(np.ones((2, 3)), ["a", "b"], [1, 2, 3], title="", x_label="", value_label="").shape
        (200, 900, 3)
    """
    logs = _logarithm(values)
    positive = logs[np.isfinite(logs)]
    low, high = (float(positive.min()), float(positive.max())) if positive.size else (-8.0, 0.0)
    high = max(high, low + np.log10(1.01))
    zeros = np.asarray(values) == 0
    keys = [Key(zero, INK, "hatch")] if zero and zeros.any() else []
    picture, top = _headed(rows, title, keys)
    height = len(picture) - BELOW - top
    scale_axis = log_axis(low, high, most=int(np.clip(height // (2 * LINE_HEIGHT), 2, 12)))
    right = 2 * PICTURE_MARGIN + SCALE_WIDTH + label_room(scale_axis, value_label)
    box = _named_rows(picture, top, rows, right)
    width = box.right - box.left
    logs = np.where(zeros, low, logs)
    shown = _resampled(_resampled(logs, height).T, width).T
    cells = sequential(shown, low, high)
    cells[~np.isfinite(shown)] = NO_VALUE
    if keys:
        marked = _resampled(_resampled(zeros.astype(np.float64), height).T, width).T > 0
        cells[marked] = hatching(height, width)[marked]
    picture[box.top : box.bottom, box.left : box.right] = cells
    draw_frame(picture, box)
    steps = fitting(partial(_column_axis, columns), room=width)
    draw_axis(picture, box, steps, "bottom", x_label)
    scale = PlotArea(box.right + 2 * PICTURE_MARGIN, box.top, box.right + 2 * PICTURE_MARGIN + SCALE_WIDTH, box.bottom)
    ramp = SEQUENTIAL[np.linspace(len(SEQUENTIAL) - 1, 0, height).round().astype(int)]
    picture[scale.top : scale.bottom, scale.left : scale.right] = ramp[:, None]
    draw_frame(picture, scale)
    draw_axis(picture, scale, scale_axis, "right", value_label)
    return picture


def even_columns(edges: Sequence[int]) -> tuple[IntArray, IntArray]:
    """Divides an axis into columns of one width, for a heat map that is true to scale.

    Args:
        edges: Where the given columns, of different widths, begin and end, ascending.

    Returns:
        The index of the given column in the middle of each of the new ones, and the end of each.

    Example:
        >>> columns, ends = even_columns([0, 10, 30])
        >>> columns.tolist(), ends.tolist()
        ([0, 1, 1], [10, 20, 30])
    """
    length = max(1, edges[-1] - edges[0])
    width = max(math.gcd(*(end - edges[0] for end in edges)), 1)
    count = min(length // width, MAX_COLUMNS)  # exact, unless that takes more columns than a picture has pixels
    bounds = edges[0] + length * np.arange(count + 1) / count
    middles = (bounds[:-1] + bounds[1:]) / 2
    columns = np.searchsorted(edges[1:], middles).clip(max=len(edges) - 2)
    return columns, bounds[1:].round().astype(int)


def _logarithm(values: FloatArray) -> FloatArray:
    """Returns logarithms (base 10) of positive, finite values; NaN in place of others."""
    positive = np.isfinite(values) & (np.asarray(values) > 0)
    return np.where(positive, np.log10(np.where(positive, values, 1).astype(np.float64)), np.nan)


def _headed(rows: Sequence[str], title: str, keys: Sequence[Key]) -> tuple[Picture, int]:
    return headed(WIDTH, 150 + ROW_HEIGHT * min(len(rows), MAX_ROW_LABELS), title, keys)


def _named_rows(picture: Picture, top: int, rows: Sequence[str], right: int) -> PlotArea:
    """Writes the names of the rows, from `top`; returns the area beside them, which leaves `right` pixels free."""
    named = range(0, len(rows), max(1, -(-len(rows) // MAX_ROW_LABELS)))
    names = [shorten(one_line(rows[row]), MAX_NAME_WIDTH, keep_end=True) for row in named]
    axis = Axis(len(rows) - 0.5, -0.5, [float(row) for row in named], names)
    box = PlotArea(label_room(axis), top, picture.shape[1] - right, len(picture) - BELOW)
    draw_axis(picture, box, axis, "left")
    return box


def _column_axis(columns: Sequence[int], most: int) -> Axis:
    chosen = np.unique(np.linspace(0, len(columns) - 1, min(len(columns), most)).round().astype(int)).tolist()
    return Axis(-0.5, len(columns) - 0.5, chosen, [str(columns[index]) for index in chosen])


def _resampled(values: FloatArray, size: int) -> FloatArray:
    """Resamples the first dimension: repeated where there is room, else averaged, NaN only where nothing is finite."""
    count = len(values)
    if count <= size:
        return values[(np.arange(size) * count) // size]
    starts = (np.arange(size) * count) // size
    finite = np.isfinite(values)
    sums = np.add.reduceat(np.where(finite, values, 0), starts)
    counts = np.add.reduceat(finite, starts)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
