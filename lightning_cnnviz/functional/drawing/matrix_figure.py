"""A confusion matrix as a matplotlib figure, to be restyled."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from lightning_cnnviz.functional.drawing.colours import DIVERGING
from lightning_cnnviz.functional.drawing.figure import figure_of, new_axes, plain, row_names

SHARES = (1.0, 0.25, 0.05, 0.0, 0.05, 0.25, 1.0)
"""Of the true class, at the ticks of the colour bar: right on the left side, wrong on the right side."""
MAX_NAMED, MAX_VECTORS = 60, 60
"""Classes beyond which only some are named, and beyond which the cells are pixels and not shapes."""
DARK = 0.6
"""Share of the scale beyond which a cell is so dark that its count is white."""


def matrix_figure(
    counts: npt.NDArray[np.integer], names: Sequence[str], *, title: str, annotated: bool = True
) -> Figure:
    """Draws a confusion matrix: rows are true classes, columns predicted ones, colours as in `confusion_matrix_chart`.

    Args:
        counts: Shape (classes, classes).
        names: A name for each class.
        title: Written above; may have several lines.
        annotated: Whether the counts are written into the cells.

    Example:
        >>> figure = matrix_figure(np.array([[9, 1], [2, 8]]), ["cat", "dog"], title="epoch 3")
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['9', '1', '2', '8']
    """
    classes = len(names)
    side = float(np.clip(0.55 * classes, 3, 8))
    axes = new_axes(side + 2.2, side + 1.8, title)
    share = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    values = np.where(np.eye(classes, dtype=bool), -1, 1) * np.sqrt(share)
    edges = np.arange(classes + 1) - 0.5
    mesh = axes.pcolormesh(
        edges,
        edges,
        values,
        cmap=ListedColormap((DIVERGING / 255).tolist()),
        vmin=-1,
        vmax=1,
        rasterized=classes > MAX_VECTORS,
    )
    axes.set_aspect("equal")
    axes.set_ylim(classes - 0.5, -0.5)
    if annotated:
        size = float(np.clip(90 / classes, 6, 10))
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if abs(values[row, column]) > DARK else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=size, color=colour)
    every = -(-classes // MAX_NAMED)
    ticks, listed = np.arange(0, classes, every), row_names(names[::every], at_most=24)
    size = float(np.clip(120 / len(listed), 5, 9))
    axes.set_xticks(ticks, listed, fontsize=size, rotation=45 if max(map(len, listed)) > 3 else 0, ha="right")
    axes.set_yticks(ticks, listed, fontsize=size)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class", labelpad=8)
    signs = np.where(np.arange(len(SHARES)) < len(SHARES) // 2, -1, 1) * np.sqrt(SHARES)
    bar = axes.figure.colorbar(mesh, ax=axes, ticks=signs.tolist(), fraction=0.04, pad=0.02)
    bar.ax.set_yticklabels([plain(f"{share:.0%}") for share in SHARES], fontsize=8)
    bar.set_label("right (blue) or wrong (red), share of the true class", fontsize=8)
    return figure_of(axes)
