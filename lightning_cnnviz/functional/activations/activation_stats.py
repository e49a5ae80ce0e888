"""Activation statistics per layer: heat map, and data for the tab."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lightning_cnnviz.functional.activations.histogram import Histogram
from lightning_cnnviz.functional.drawing.image import FloatArray, Picture
from lightning_cnnviz.functional.drawing.row_chart import even_columns, heat_map
from lightning_cnnviz.functional.tab.data import TabData

STATISTICS = ("mean", "std", "dead", "saturated")
"""Mean and standard deviation of all values of a layer; share of units that were never positive; share of values at a
bound; both shares 0…1, NaN where they mean nothing."""


class ActivationStatistics(NamedTuple):
    """Statistics of a layer's output over a window of samples.

    Attributes:
        mean: Mean of the finite values; NaN if there are none.
        std: Their standard deviation, likewise.
        dead: Share of units, channels or features, that were never positive at any place of any sample, 0…1. NaN where
            that means nothing, or where the units are not known.
        saturated: Share of values within 1 % of the range from a bound, 0…1; NaN where there is no bound.
        units: Number of units that `dead` is a share of; 0 where it is NaN.
        non_finite: Number of values that are NaN or infinite.
        histogram: Distribution of the finite values; None if there are none.
    """

    mean: float
    std: float
    dead: float
    saturated: float
    units: int
    non_finite: int
    histogram: Histogram | None

    def known(self) -> dict[str, float]:
        """Returns the `STATISTICS` that are not NaN, by name.

        Example:
            >>> nan = float("nan")
            >>> ActivationStatistics(0.5, 1.0, nan, nan, 0, 0, None).known()
            {'mean': 0.5, 'std': 1.0}
        """
        values = {name: float(getattr(self, name)) for name in STATISTICS}
        return {name: value for name, value in values.items() if np.isfinite(value)}


def activation_heat_map(
    names: Sequence[str],
    steps: Sequence[int],
    deviations: FloatArray,
    *,
    notes: Mapping[str, str] | None = None,
    start: int = 0,
    title: str = "",
) -> Picture:
    """Draws the standard deviation of each layer's output over the course of training as a heat map.

    Args:
        names: Layer names, in network order.
        steps: Optimizer step of each column, ascending. A column reaches from the step before it to its own.
        deviations: Shape (layers, steps). NaN (light grey) where nothing was measured; zero, where a layer gives the
            same value everywhere, is hatched.
        notes: Layer → what to write behind its name.
        start: Optimizer step after which the first column begins.
        title: Written above the chart.

    Returns:
        Height × width × 3, uint8. The colour scale is logarithmic, dark is small.

    Example:
        >>> activation_heat_map(["conv1", "relu1"], [10, 20], np.array([[0.5, 0.4], [0.3, 0.0]])).shape
        (200, 900, 3)
    """
    columns, ends = even_columns([start, *steps])
    values = np.asarray(deviations)[:, columns]
    rows = [f"{name} · {notes[name]}" if notes and name in notes else name for name in names]
    full_title = " · ".join(filter(None, [title, "grey: not measured" if np.isnan(values).any() else ""]))
    return heat_map(
        values,
        rows,
        ends.tolist(),
        title=full_title,
        x_label="optimizer step",
        value_label="standard deviation",
        zero="the same value everywhere",
    )


def row_notes(statistics: Mapping[str, ActivationStatistics]) -> dict[str, str]:
    """Returns what is wrong with layers, in words, by name: dead units, and values that are saturated or not finite.

    Example:
        >>> nan = float("nan")
        >>> row_notes({"relu1": ActivationStatistics(0.5, 1.0, 0.25, nan, 16, 0, None)})
        {'relu1': '25 % dead'}
    """
    found = {}
    for name, row in statistics.items():
        words = [
            f"{_percent(getattr(row, share))} {share}" for share in ("dead", "saturated") if getattr(row, share) > 0
        ]
        words += [f"{row.non_finite} not finite"] if row.non_finite else []
        if words:
            found[name] = ", ".join(words)
    return found


def activation_tab_data(layer: str, statistics: ActivationStatistics, split: str, samples: int) -> TabData:
    """Returns the statistics of a layer as data for the tab.

    Args:
        layer: Name of the layer.
        statistics: Its statistics.
        split: `"training"` or `"validation"`: where the samples come from.
        samples: Number of samples.

    Example:
        >>> histogram = Histogram(np.ones(4), 0.0, 1.0, 4, 2.0, 1.5)
        >>> data = activation_tab_data("fc1", ActivationStatistics(0.5, 0.3, 0.0, 0.0, 8, 0, histogram), "training", 2)
        >>> data.info["low"], data.arrays["counts"].tolist()
        (0.0, [1.0, 1.0, 1.0, 1.0])
    """
    histogram = statistics.histogram
    info: dict[str, Any] = {name: getattr(statistics, name) for name in (*STATISTICS, "units", "non_finite")}
    info |= {"split": split, "samples": samples}
    info |= {} if histogram is None else {"low": histogram.low, "high": histogram.high, "number": histogram.number}
    counts = np.zeros(0) if histogram is None else histogram.counts
    return TabData("activations", {"layer": layer}, info, {"counts": counts.astype(np.float32)})


def _percent(share: float) -> str:
    """Returns a positive share in per cent; never 0 % or 100 % of what is not quite none or all."""
    if share == 1:
        return "100 %"
    return "< 1 %" if share < 0.01 else f"{min(share * 100, 99.4):.0f} %"
