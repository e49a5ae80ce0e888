"""Charts as matplotlib figures, to be restyled, built with its object API: no global state, so safe in any thread.

Drawing them takes ten times as long as drawing the pictures of `line_chart` and `row_chart`, which are what is logged.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, overload

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from lightning_cnnviz.functional.drawing.colours import CLASSES
from lightning_cnnviz.functional.drawing.fonts import SURE, drawable, family_names
from lightning_cnnviz.functional.drawing.image import FloatArray as FloatArray
from lightning_cnnviz.functional.drawing.image import Picture
from lightning_cnnviz.functional.drawing.row_chart import MAX_ROW_LABELS
from lightning_cnnviz.functional.escaping import one_line

DPI = 100
COLOURS = [tuple(colour) for colour in (CLASSES / 255).tolist()]
SHAPING = matplotlib.__version_info__ >= (3, 11)
"""Whether matplotlib can write scripts that run from right to left, or whose letters change with their neighbours."""


def plain(text: str) -> str:
    """Escapes what no font has, and dollar signs, e.g. in a class name, which matplotlib would take for a formula."""
    lines = [drawable(line, shaping=SHAPING) for line in text.split("\n")]
    return "\n".join(lines).replace("$", r"\$")


def row_names(names: Sequence[str], at_most: int = 40) -> list[str]:
    """Prepares row names; long ones keep their end, which distinguishes layers, and leave space for the chart."""
    lines = map(one_line, names)
    return [plain(line if len(line) <= at_most else f"…{line[1 - at_most :]}") for line in lines]


def new_row_axes(rows: Sequence[str], title: str) -> Axes:
    """Returns axes for named rows, the first at the top; beyond `MAX_ROW_LABELS`, rows get thinner."""
    axes = new_axes(9, 1.5 + 0.25 * min(len(rows), MAX_ROW_LABELS), title)
    step = max(1, -(-len(rows) // MAX_ROW_LABELS))
    axes.set_yticks(np.arange(0, len(rows), step), row_names(rows[::step]), fontsize=9)
    return axes


def new_axes(width: float, height: float, title: str) -> Axes:
    """Returns axes on a new figure; size in inches of 100 pixels, title aligned on the left."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_title(plain(title), loc="left", fontsize=11)
    return axes


def figure_of(axes: Axes) -> Figure:
    """Returns the figure that axes belong to, with fonts for all its texts."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return with_fonts(figure)


@overload
def finished(figure: Figure, as_figure: Literal[False]) -> Picture: ...
@overload
def finished(figure: Figure, as_figure: Literal[True]) -> Figure: ...
@overload
def finished(figure: Figure, as_figure: bool) -> Picture | Figure: ...
def finished(figure: Figure, as_figure: bool) -> Picture | Figure:
    """Returns the result of a chart function: the rendered pixels, or the figure itself if `as_figure` is set."""
    return with_fonts(figure) if as_figure else render_figure(with_fonts(figure))


def with_fonts(figure: Figure) -> Figure:
    """Lets each text of a figure fall back on the installed fonts of its characters; returns the same figure."""
    for text in figure.findobj(Text):
        if not SURE.fullmatch(words := text.get_text()):  # slanted fonts have fewer characters
            text.set(fontfamily=[*text.get_fontfamily(), *family_names(words)], fontstyle="normal")
    return figure


def render_figure(figure: Figure) -> Picture:
    """Renders a figure at its own resolution."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3]  # type: ignore[no-untyped-call]


def line_figure(
    series: Mapping[str, tuple[FloatArray, FloatArray]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    mark: tuple[float, float, str] | None = None,
) -> Figure:
    """Draws lines over a common x axis; a single point is drawn as a point.

    Arguments as for `line_chart`.

    Example:
        >>> x = np.arange(3.0)
        >>> render_figure(line_figure({"train": (x, x)}, title="loss", x_label="epoch", y_label="loss")).shape
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
    return figure_of(axes)


def bar_figure(
    names: Sequence[str],
    bars: Mapping[str, FloatArray],
    *,
    title: str,
    value_label: str,
    notes: Mapping[int, str],
) -> Figure:
    """Draws horizontal bars on a log axis, one row per name, with the bars of a row on top of each other.

    Arguments as for `bar_chart`.

    Example:
        >>> figure = bar_figure(["a", "b"], {"g": np.array([1.0, 2.0])}, title="", value_label="", notes={})
        >>> render_figure(figure).shape
        (200, 900, 3)
    """
    axes = new_row_axes(names, title)
    drawable = [np.where(np.isfinite(values) & (values > 0), values, np.nan) for values in bars.values()]
    all_values = np.concatenate([*drawable, np.array([np.nan])])
    finite = all_values[np.isfinite(all_values)]
    low, high = (finite.min(), finite.max()) if finite.size else (1e-8, 1.0)
    axes.set_xscale("log")
    axes.set_xlim(low / 3, high * 2)
    rows = np.arange(len(names))
    for (label, values), colour in zip(zip(bars, drawable, strict=True), COLOURS, strict=False):
        axes.barh(rows, values - low / 3, left=low / 3, height=0.7, color=colour, label=plain(label))
    for row, note in notes.items():
        size = min(9, 9 * MAX_ROW_LABELS / len(names))
        axes.text(low / 2.7, row, plain(note), va="center", fontsize=size, style="italic")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(plain(value_label))
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.figure.legend(loc="outside lower right", ncols=len(bars), fontsize=9, frameon=False)
    return figure_of(axes)


def heat_map_figure(
    values: FloatArray, rows: Sequence[str], columns: Sequence[int], *, title: str, x_label: str, value_label: str
) -> Figure:
    """Draws a matrix of positive values on a logarithmic colour scale, with row names on the left.

    Arguments as for `heat_map`.

    Example:
        >>> figure = heat_map_figure(np.ones((2, 3)), ["a", "b"], [1, 2, 3], title="", x_label="", value_label="")
        >>> render_figure(figure).shape
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
    return figure_of(axes)
