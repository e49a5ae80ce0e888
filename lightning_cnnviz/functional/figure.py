"""The few chart shapes that the visuals share, in matplotlib's object API: no global state, any thread."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import color_sequences, colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from lightning_cnnviz.functional.image import Picture
from lightning_cnnviz.functional.names import one_line

DPI = 100
# Made for colour-blind readers: https://arxiv.org/abs/2107.02270
COLOURS: list[ColorType] = color_sequences["petroff10"]
Floats = npt.NDArray[np.floating]
MOST_NAMED = 120
"""Rows of a chart that all have their name, a quarter of an inch each; of more, every second, third, … has."""


def plain(text: str) -> str:
    """Text as it is: a dollar sign in a class name is no formula."""
    return text.replace("$", r"\$")


def row_names(names: Sequence[str], at_most: int = 40) -> list[str]:
    """Names of rows, of long ones the end, since layers' ends differ; they leave room for what they name."""
    lines = map(one_line, names)
    return [plain(line if len(line) <= at_most else f"…{line[1 - at_most :]}") for line in lines]


def new_row_axes(rows: Sequence[str], title: str) -> Axes:
    """Axes for named rows below each other, the first at the top; beyond `MOST_NAMED` the rows get thinner."""
    axes = new_axes(9, 1.5 + 0.25 * min(len(rows), MOST_NAMED), title)
    step = max(1, -(-len(rows) // MOST_NAMED))
    axes.set_yticks(np.arange(0, len(rows), step), row_names(rows[::step]), fontsize=9)
    return axes


def new_axes(width: float, height: float, title: str) -> Axes:
    """Axes on a new figure of a size in inches (at 100 pixels each), with a title at the left."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_title(plain(title), loc="left", fontsize=11)
    return axes


def render(axes: Axes) -> Picture:
    """The pixels of the figure that the axes are on."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return render_figure(figure)


def render_figure(figure: Figure) -> Picture:
    """The pixels of a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3]  # type: ignore[no-untyped-call]


def line_chart(
    series: Mapping[str, tuple[Floats, Floats]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    mark: tuple[float, float, str] | None = None,
) -> Picture:
    """Lines over a common axis; single points are drawn as points.

    Args:
        series: Name → (x, y), in an order that gives each its colour; an empty one keeps it for later. Non-finite
            values leave a gap.
        title: Above the chart.
        x_label: What the x axis is, with its unit.
        y_label: What the y axis is, with its unit.
        mark: A point (x, y) to ring, and what to say of it in the legend.

    Example:
        >>> x = np.arange(3.0)
        >>> line_chart({"train": (x, x)}, title="loss", x_label="epoch", y_label="loss").shape
        (400, 700, 3)
    """
    axes = new_axes(7, 4, title)
    for (name, (x, y)), colour in zip(series.items(), COLOURS, strict=False):
        if len(x):
            axes.plot(
                x,
                y,
                color=colour,
                label=plain(name),
                linewidth=1.6,
                marker="o",
                markersize=3 if len(x) < 60 else 0,
            )
    if mark is not None:
        axes.plot(*mark[:2], "o", markersize=10, fillstyle="none", color="black", label=plain(mark[2]))
    axes.set_xlabel(x_label)
    axes.set_ylabel(plain(y_label))
    axes.grid(alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9)
    return render(axes)


def bar_chart(
    names: Sequence[str],
    bars: Mapping[str, Floats],
    *,
    title: str,
    value_label: str,
    notes: Mapping[int, str],
) -> Picture:
    """Horizontal bars on a log axis, one row per name, several bars drawn over each other.

    Args:
        names: The rows, from the top.
        bars: Name of the quantity → one value per row; values that are not positive and finite have no bar.
        title: Above the chart.
        value_label: What the value axis is.
        notes: Row index → words in place of its bars.

    Example:
        >>> bar_chart(["a", "b"], {"g": np.array([1.0, 2.0])}, title="", value_label="", notes={}).shape
        (200, 900, 3)
    """
    axes = new_row_axes(names, title)
    drawable = [np.where(np.isfinite(values) & (values > 0), values, np.nan) for values in bars.values()]
    everything = np.concatenate([*drawable, np.array([np.nan])])
    finite = everything[np.isfinite(everything)]
    low, high = (finite.min(), finite.max()) if finite.size else (1e-8, 1.0)
    axes.set_xscale("log")
    axes.set_xlim(low / 3, high * 2)
    rows = np.arange(len(names))
    for (label, values), colour in zip(zip(bars, drawable, strict=True), COLOURS, strict=False):
        axes.barh(rows, values - low / 3, left=low / 3, height=0.7, color=colour, label=plain(label))
    for row, words in notes.items():
        size = min(9, 9 * MOST_NAMED / len(names))
        axes.text(low / 2.7, row, plain(words), va="center", fontsize=size, style="italic")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(plain(value_label))
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.figure.legend(loc="outside lower right", ncols=len(bars), fontsize=9, frameon=False)
    return render(axes)


def heat_map(
    values: Floats, rows: Sequence[str], columns: Sequence[int], *, title: str, x_label: str, value_label: str
) -> Picture:
    """A matrix of positive values in log colours, row names at the left.

    Args:
        values: Shape (rows, columns). NaN is light grey (no value), zero the darkest colour.
        rows: Names, from the top.
        columns: A number for each column, written under some of them.
        title: Above the chart.
        x_label: What the columns are.
        value_label: What the colours are.

    Example:
        >>> heat_map(np.ones((2, 3)), ["a", "b"], [1, 2, 3], title="", x_label="", value_label="").shape
        (200, 900, 3)
    """
    axes = new_row_axes(rows, title)
    positive = values[np.isfinite(values) & (values > 0)]
    low, high = (positive.min(), positive.max()) if positive.size else (1e-8, 1.0)
    colours = colormaps["viridis"].with_extremes(bad="#dddddd")
    shown = np.ma.masked_invalid(np.maximum(values, low))
    norm = LogNorm(low, max(high, low * 1.01))
    picture = axes.imshow(shown, aspect="auto", interpolation="nearest", norm=norm, cmap=colours)
    ticks = np.unique(np.linspace(0, len(columns) - 1, min(len(columns), 10)).round().astype(int))
    axes.set_xticks(ticks, [str(columns[tick]) for tick in ticks])
    axes.set_xlabel(plain(x_label))
    axes.figure.colorbar(picture, ax=axes, label=plain(value_label), pad=0.01)
    return render(axes)
