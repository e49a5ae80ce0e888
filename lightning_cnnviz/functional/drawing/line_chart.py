"""Lines over a common axis."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from lightning_cnnviz.functional.drawing.caption import INK, PICTURE_MARGIN, text_width
from lightning_cnnviz.functional.drawing.colours import CLASSES
from lightning_cnnviz.functional.drawing.image import FloatArray, Picture
from lightning_cnnviz.functional.drawing.plot import (
    BELOW,
    LINE_HEIGHT,
    Key,
    draw_axis,
    draw_frame,
    draw_line,
    draw_ring,
    headed,
    label_room,
)
from lightning_cnnviz.functional.drawing.point_canvas import PlotArea
from lightning_cnnviz.functional.drawing.ticks import fitting, linear_axis

WIDTH, HEIGHT = 700, 400
MAX_MARKED_POINTS = 60
"""Lines of fewer points have a dot at each."""
DATA_MARGIN = 0.05
"""Space between the data and the frame, as a share of their extent."""


def line_chart(
    series: Mapping[str, tuple[FloatArray, FloatArray]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    mark: tuple[float, float, str] | None = None,
) -> Picture:
    """Draws lines over a common x axis; a single point is drawn as a point.

    Args:
        series: Name → (x, y). The order determines the colours; an empty series still reserves its colour. Non-finite
            values leave a gap.
        title: Title of the chart.
        x_label: Label of the x axis, with its unit; only whole numbers have ticks.
        y_label: Label of the y axis, with its unit.
        mark: A point (x, y) to ring, and its label in the legend.

    Returns:
        700 pixels wide, 400 high, and higher where the heading takes more than a line for title and legend each.

    Example:
        >>> x = np.arange(3.0)
        >>> line_chart({"train": (x, x)}, title="loss", x_label="epoch", y_label="loss").shape
        (400, 700, 3)
    """
    colours: Sequence[tuple[int, int, int]] = [tuple(colour) for colour in CLASSES.tolist()]
    drawn = [
        (Key(name, colour, "line"), np.stack([x, y], axis=1).astype(np.float64))
        for (name, (x, y)), colour in zip(series.items(), colours, strict=False)
        if len(x)
    ]
    keys = [key for key, _ in drawn] + ([Key(mark[2], INK, "ring")] if mark else [])
    picture, top = headed(WIDTH, HEIGHT, title, keys)
    points = np.concatenate([np.array([mark[:2]] if mark else []).reshape(-1, 2), *(line for _, line in drawn)])
    finite = points[np.isfinite(points).all(axis=1)]
    low, high = (finite.min(axis=0), finite.max(axis=0)) if len(finite) else (np.zeros(2), np.ones(2))
    bottom = len(picture) - BELOW
    most = (bottom - top) // (2 * LINE_HEIGHT)
    y_axis = linear_axis(float(low[1]), float(high[1]), most, margin=DATA_MARGIN)
    left = label_room(y_axis, y_label)
    right = WIDTH - PICTURE_MARGIN - text_width(f"{high[0]:.0f}") // 2
    x_axis = fitting(
        partial(linear_axis, float(low[0]), float(high[0]), whole=True, margin=DATA_MARGIN), room=right - left
    )
    box = PlotArea(left, top, right, bottom)
    draw_axis(picture, box, y_axis, "left", y_label, grid=True)
    draw_axis(picture, box, x_axis, "bottom", x_label, grid=True)
    draw_frame(picture, box)
    width, height = box.right - box.left - 1, box.bottom - box.top - 1

    def pixels(line: FloatArray) -> FloatArray:
        columns, rows = 0.5 + x_axis.share(line[:, 0]) * width, height + 0.5 - y_axis.share(line[:, 1]) * height
        return np.stack([columns, rows], axis=1)

    area = picture[box.top : box.bottom, box.left : box.right]
    for key, line in drawn:
        draw_line(area, pixels(line), key.colour, marked=len(line) < MAX_MARKED_POINTS)
    if mark is not None:
        (column, row), *_ = pixels(np.array([mark[:2]]))
        draw_ring(area, column, row)
    return picture
