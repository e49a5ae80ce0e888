"""Points in classes: one chart, or several side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.typing import ColorType

from lightning_cnnviz.functional.figure import COLOURS, DPI, Floats, new_axes, plain, render
from lightning_cnnviz.functional.image import Picture

PANEL_WIDTH = 350
"""Pixels of a chart among others."""


def class_colours(count: int) -> list[ColorType]:
    """One colour per class: ten that colour-blind readers can tell apart, beyond that a rainbow."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return [tuple(colour) for colour in colormaps["turbo"](np.linspace(0.03, 0.97, count))]


def scatter_chart(points: Floats, labels: npt.NDArray[np.intp], names: Sequence[str], *, title: str) -> Picture:
    """Points coloured by class, each class's name large at its median.

    Args:
        points: Shape (samples, 2); rows that are not finite are left out.
        labels: Shape (samples,); index into `names`; without a name they are grey.
        names: Of the classes; of more than 100 none is written.
        title: Above the chart.

    Example:
        >>> scatter_chart(np.eye(2), np.array([0, 1]), ["cat", "dog"], title="epoch 3").shape
        (700, 750, 3)
    """
    axes = new_axes(7.5, 7, title)
    written = _scatter(axes, points, labels, names, 7.5, most_names=100)
    _part(axes, [written])
    return render(axes)


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
        panels: (row, column), each from 0 → title of one or two lines, and points of shape (samples, 2).
            Other places stay white.
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
    width = PANEL_WIDTH / DPI
    size = (0.3 + width * columns, 0.5 + (width + 0.4) * len(rows))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
    figure.suptitle(plain(title), x=0.26 / size[0], ha="left", fontsize=12)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    written = []
    for place, axes in np.ndenumerate(grid):
        if place not in panels:
            axes.set_axis_off()
            continue
        above, points = panels[place]
        axes.set_title(plain(above), loc="left", fontsize=10)
        written.append(_scatter(axes, points, labels, names, width, most_names=20))
    for axes, row in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(plain(row), fontsize=11)
    _part(grid[0, 0], written)
    return render(grid[0, 0])


def _scatter(
    axes: Axes, points: Floats, labels: npt.NDArray[np.intp], names: Sequence[str], width: float, most_names: int
) -> list[Annotation]:
    there = np.isfinite(points).all(axis=1)
    known = there & (labels >= 0) & (labels < len(names))
    size = np.clip(1.6 * width * (1000 / max(len(points), 1)) ** 0.5, 0.6 * width, 1.6 * width)
    x, y = points.T
    axes.scatter(x[there & ~known], y[there & ~known], s=size, color="#777777", linewidths=0)
    # All classes at once, in the samples' order: one after the other, the last would cover the rest.
    colours = np.array([to_rgb(colour) for colour in class_colours(len(names))]).reshape(-1, 3)
    axes.scatter(x[known], y[known], s=size, color=colours[labels[known]], linewidths=0, alpha=0.8)
    longest = max(map(len, names), default=1)
    letters = max(8, min(15 + width, 22 * width / longest) * min(1, 10 / max(len(names), 1)) ** 0.5)
    written = []
    for index, name in enumerate(names if len(names) <= most_names else []):
        own = points[there & (labels == index)]
        if len(own):
            middle = np.median(own, axis=0)
            words = axes.annotate(plain(name), middle, (0, 0), textcoords="offset pixels", ha="center", va="center")
            words.set(size=letters, weight="bold")
            words.set_path_effects([withStroke(linewidth=letters / 5, foreground="white")])
            written.append(words)
    axes.set_aspect("equal", adjustable="datalim")
    axes.spines[:].set(color="#999999", linewidth=0.6)
    axes.set_xticks([])
    axes.set_yticks([])
    return written


def _part(axes: Axes, panels: Sequence[Sequence[Annotation]]) -> None:
    """Moves names in a panel that lie over each other up and down, about as far as it takes to read them."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # settles where everything is
    for names in [names for names in panels if len(names) > 1]:
        left, low, right, high = np.array([words.get_window_extent().extents for words in names]).T
        over = np.minimum(right[:, None], right) > np.maximum(left[:, None], left)
        np.fill_diagonal(over, False)
        order = np.sign(np.subtract.outer(np.arange(len(names)), np.arange(len(names))))
        height, start = 0.8 * (high - low).max(), (low + high) / 2
        middle = start.copy()
        for _ in range(100):
            apart = np.subtract.outer(middle, middle)
            lacking = np.where(over, height - np.abs(apart), 0).clip(0)
            if lacking.max() < 1:
                break
            middle += (lacking * np.where(apart == 0, order, np.sign(apart))).sum(axis=1) / 4
        for words, shift in zip(names, middle - start, strict=True):
            words.xyann = (0, shift)
