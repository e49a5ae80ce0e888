"""Gradient statistics per layer: diagnosis, bar chart and heat map."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from lightning_cnnviz.functional.drawing.image import FloatArray, Picture
from lightning_cnnviz.functional.drawing.row_chart import bar_chart, even_columns, heat_map
from lightning_cnnviz.functional.tab.data import TabData

if TYPE_CHECKING:  # imported where a figure is asked for: it takes three tenths of a second
    from matplotlib.figure import Figure

STATISTICS = ("mean_abs", "max_abs", "norm", "zero_share", "non_finite", "update_ratio")
"""Mean |g|; max |g|; L2 norm ‖g‖; share of exact zeros, 0…1; number of NaN or infinite entries;
‖Δw‖ / ‖w‖ of an optimizer step. The first three have the unit of loss / weight."""


def diagnose(row: Mapping[str, float], vanishing: float, exploding: float) -> tuple[str, str] | None:
    """Diagnoses vanishing, exploding or non-finite gradients of a layer.

    Vanishing gradients are detected relative to the weights, because gradients naturally get smaller in larger
    layers: a ratio below float32's resolution of about 1e-7 means that a plain SGD step with a learning rate of 1
    would be lost to rounding.

    Args:
        row: Values of `STATISTICS` for one layer over one or more steps, and its `weight_norm` ‖w‖.
        vanishing: A ratio ‖g‖ / ‖w‖ below this, or an all-zero gradient, counts as vanishing.
        exploding: A mean |g| above this counts as exploding.

    Returns:
        The name of the problem and the measured value; None if there is no problem.

    Example:
        >>> row = {"mean_abs": 1e-9, "max_abs": 1e-8, "norm": 1e-8, "weight_norm": 2.0, "non_finite": 0}
        >>> diagnose(row, 1e-7, 1e2)
        ('vanishing', '‖g‖/‖w‖ = 5e-09, below 1e-07')
    """
    if row["non_finite"] > 0:
        return "non-finite", f"{row['non_finite']:.0f} entries NaN or infinite"
    if row["max_abs"] == 0:
        return "vanishing", "all exactly zero"
    if row["norm"] < vanishing * row["weight_norm"]:
        return "vanishing", f"‖g‖/‖w‖ = {row['norm'] / row['weight_norm']:.3g}, below {vanishing:.3g}"
    if row["mean_abs"] > exploding:
        return "exploding", f"mean |g| = {row['mean_abs']:.3g}, above {exploding:.3g}"
    return None


def gradient_tab_data(
    names: Sequence[str], rows: Mapping[str, Mapping[str, float]], vanishing: float, exploding: float
) -> TabData:
    """Returns the gradient statistics of all layers, with a diagnosis for each, as data for the tab.

    Args:
        names: Layer names, in network order.
        rows: Layer → values as for `diagnose`; layers without a gradient are omitted.
        vanishing: As for `diagnose`.
        exploding: As for `diagnose`.

    Example:
        >>> row = dict.fromkeys([*STATISTICS, "weight_norm"], 1.0) | {"non_finite": 0.0}
        >>> gradient_tab_data(["fc1", "fc2"], {"fc1": row}, 1e-7, 1e2).info["health"]
        ['ok', 'none']
    """
    problems = {name: diagnose(row, vanishing, exploding) or ("ok", "") for name, row in rows.items()}
    found = [problems.get(name, ("none", ""))[0] for name in names]
    empty = dict.fromkeys(STATISTICS, float("nan"))
    values = np.array([[rows.get(name, empty)[key] for key in STATISTICS] for name in names], dtype=np.float32)
    info = {"layers": list(names), "statistics": list(STATISTICS), "health": found}
    return TabData("gradients", {}, info, {"values": values})


@overload
def gradient_bars(
    names: Sequence[str],
    mean_abs: FloatArray,
    max_abs: FloatArray,
    *,
    title: str = "",
    as_figure: Literal[False] = False,
) -> Picture: ...
@overload
def gradient_bars(
    names: Sequence[str], mean_abs: FloatArray, max_abs: FloatArray, *, title: str = "", as_figure: Literal[True]
) -> "Figure": ...
def gradient_bars(
    names: Sequence[str], mean_abs: FloatArray, max_abs: FloatArray, *, title: str = "", as_figure: bool = False
) -> "Picture | Figure":
    """Draws mean and maximum |gradient| of each layer as bars on a log axis, with the first layer at the top.

    Args:
        names: Layer names, in network order.
        mean_abs: Mean |g| per layer; NaN if there was no gradient, or it was not finite.
        max_abs: Max |g| per layer.
        title: Written above the chart.
        as_figure: Return a matplotlib figure of the same content, e.g. to restyle it for a paper.

    Returns:
        Height × width × 3, uint8; or the figure if `as_figure` is set. For layers without bars, a note states why.

    Example:
        >>> gradient_bars(["conv1", "fc"], np.array([1e-3, np.nan]), np.array([0.1, np.nan])).shape
        (200, 900, 3)
    """
    notes = {}
    for row, (mean, largest) in enumerate(zip(mean_abs, max_abs, strict=True)):
        if not (np.isfinite(mean) and np.isfinite(largest)):
            notes[row] = "no finite gradient"
        elif largest == 0:
            notes[row] = "all zero"
    bars = {"max |g|": np.asarray(max_abs), "mean |g|": np.asarray(mean_abs)}
    label = "|gradient| of the loss with respect to the weights"
    if not as_figure:
        return bar_chart(names, bars, title=title, value_label=label, notes=notes)
    from lightning_cnnviz.functional.drawing.figure import bar_figure

    return bar_figure(names, bars, title=title, value_label=label, notes=notes)


@overload
def gradient_heat_map(
    names: Sequence[str],
    steps: Sequence[int],
    mean_abs: FloatArray,
    *,
    start: int = 0,
    title: str = "",
    as_figure: Literal[False] = False,
) -> Picture: ...
@overload
def gradient_heat_map(
    names: Sequence[str],
    steps: Sequence[int],
    mean_abs: FloatArray,
    *,
    start: int = 0,
    title: str = "",
    as_figure: Literal[True],
) -> "Figure": ...
def gradient_heat_map(
    names: Sequence[str],
    steps: Sequence[int],
    mean_abs: FloatArray,
    *,
    start: int = 0,
    title: str = "",
    as_figure: bool = False,
) -> "Picture | Figure":
    """Draws the mean |gradient| of each layer over the course of training as a heat map.

    Args:
        names: Layer names, in network order.
        steps: Optimizer step of each column, ascending. A column reaches from the step before it to its own, so that
            the axis is true to scale also where the steps are at uneven distances.
        mean_abs: Shape (layers, steps). NaN (light grey) if there was no finite gradient.
        start: Optimizer step after which the first column begins.
        title: Written above the chart.
        as_figure: Return a matplotlib figure of the same content, e.g. to restyle it for a paper.

    Returns:
        Height × width × 3, uint8; or the figure if `as_figure` is set. The colour scale is logarithmic, dark is small.

    Example:
        >>> gradient_heat_map(["conv1", "fc"], [10, 20], np.array([[1e-3, 1e-4], [1e-2, 1e-2]])).shape
        (200, 900, 3)
    """
    columns, ends = even_columns([start, *steps])
    values = np.asarray(mean_abs)[:, columns]
    note = "grey: no finite gradient" if np.isnan(values).any() else ""
    full_title = " · ".join(filter(None, [title, note]))
    labels, x_label = ends.tolist(), "optimizer step"
    if not as_figure:
        return heat_map(values, names, labels, title=full_title, x_label=x_label, value_label="mean |g|")
    from lightning_cnnviz.functional.drawing.figure import heat_map_figure

    return heat_map_figure(values, names, labels, title=full_title, x_label=x_label, value_label="mean |g|")
