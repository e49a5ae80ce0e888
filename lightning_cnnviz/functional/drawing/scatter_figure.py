"""A scatter plot coloured by class as a matplotlib figure, to be restyled."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from lightning_cnnviz.functional.drawing.colours import NO_CLASS
from lightning_cnnviz.functional.drawing.figure import COLOURS, figure_of, new_axes, plain
from lightning_cnnviz.functional.drawing.image import FloatArray

MARKERS = "o^sDvPX*<>"
"""With ten colours each: a hundred classes can be told apart, also by colour-blind readers and in black and white."""
MAX_LISTED, MAX_WRITTEN = 40, 20
"""Classes in the legend, and classes whose name is written at their median as well."""
MARGIN = 0.03


def scatter_figure(points: FloatArray, labels: npt.NDArray[np.intp], names: Sequence[str], *, title: str) -> Figure:
    """Draws points coloured by class; beyond ten classes, with a marker for each ten.

    Arguments as for `scatter_chart`. Every class is a collection of points of its own.

    Example:
        >>> figure = scatter_figure(np.eye(2), np.array([0, 1]), ["cat", "dog"], title="epoch 3")
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['cat', 'dog']
    """
    axes = new_axes(7, 6, title)
    shown = np.isfinite(points).all(axis=1)
    area = float(np.clip(12_000 / max(int(shown.sum()), 1), 3, 24))
    known = (labels >= 0) & (labels < len(names))
    if (shown & ~known).any():
        x, y = points[shown & ~known].T
        axes.scatter(x, y, s=area, color=tuple((NO_CLASS / 255).ravel().tolist()), linewidths=0, label="no class")
    for index, name in enumerate(names):
        own = points[shown & (labels == index)]
        if len(own):
            colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index // len(COLOURS) % len(MARKERS)]
            x, y = own.T
            axes.scatter(x, y, s=area, linewidths=0, label=plain(name), color=colour, marker=marker)
            if len(names) <= MAX_WRITTEN:
                axes.text(
                    float(np.median(x)),
                    float(np.median(y)),
                    plain(name),
                    ha="center",
                    va="center",
                    fontsize=9,
                    bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "boxstyle": "round,pad=0.15"},
                )
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(MARGIN)
    axes.set_xticks([])  # coordinates of a layout have no unit
    axes.set_yticks([])
    handles, listed = axes.get_legend_handles_labels()
    if 0 < len(listed) <= MAX_LISTED:
        size = 6 if len(listed) <= MAX_WRITTEN else 4
        legend = axes.legend(
            handles, listed, loc="upper left", bbox_to_anchor=(1, 1), fontsize=size + 3, frameon=False, scatterpoints=1
        )
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set(sizes=[size**2])
    return figure_of(axes)
