"""Gradients per layer: what their statistics mean in words, bars and a heat map."""

from collections.abc import Mapping, Sequence

import numpy as np

from lightning_cnnviz.functional.figure import Floats, bar_chart, heat_map
from lightning_cnnviz.functional.image import Picture
from lightning_cnnviz.functional.record import Record

STATISTICS = ("mean_abs", "max_abs", "norm", "zero_share", "non_finite", "update_ratio")
"""Mean |g|; max |g|; L2 norm ‖g‖; share of exact zeros, 0…1; entries that are NaN or infinite;
‖Δw‖ / ‖w‖ of an optimizer step. The first three have the unit of loss / weight."""


def diagnose(row: Mapping[str, float], vanishing: float, exploding: float) -> tuple[str, str] | None:
    """Says in words what is wrong with a layer's gradients.

    Vanishing is measured against the weights, as gradients get small by themselves in large layers: a ratio
    below float32's resolution of about 1e-7 means that a plain step at a learning rate of 1 would be lost in
    rounding.

    Args:
        row: Values of `STATISTICS` for one layer over a number of steps, and its `weight_norm` ‖w‖.
        vanishing: A ratio ‖g‖ / ‖w‖ below this, or a gradient of nothing but zeros, is vanishing.
        exploding: A mean |g| above this is exploding.

    Returns:
        The field's term for it and what was measured; None if nothing is wrong.

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


def gradient_record(
    names: Sequence[str], rows: Mapping[str, Mapping[str, float]], vanishing: float, exploding: float
) -> Record:
    """All statistics of all layers, and the health of each, for the tab.

    Args:
        names: Layers, in the order of the network.
        rows: Layer → values as for `diagnose`; layers without any gradient are missing.
        vanishing: As for `diagnose`.
        exploding: As for `diagnose`.

    Example:
        >>> row = dict.fromkeys([*STATISTICS, "weight_norm"], 1.0) | {"non_finite": 0.0}
        >>> gradient_record(["fc1", "fc2"], {"fc1": row}, 1e-7, 1e2).info["health"]
        ['ok', 'none']
    """
    problems = {name: diagnose(row, vanishing, exploding) or ("ok", "") for name, row in rows.items()}
    found = [problems.get(name, ("none", ""))[0] for name in names]
    empty = dict.fromkeys(STATISTICS, float("nan"))
    values = np.array([[rows.get(name, empty)[key] for key in STATISTICS] for name in names], dtype=np.float32)
    info = {"layers": list(names), "statistics": list(STATISTICS), "health": found}
    return Record("gradients", {}, info, {"values": values})


def gradient_bars(names: Sequence[str], mean_abs: Floats, max_abs: Floats, *, title: str = "") -> Picture:
    """Mean and maximum |gradient| of each layer as bars on a log axis, the network's input at the top.

    Args:
        names: Layers, in the order of the network.
        mean_abs: Mean |g| per layer; NaN where there was no gradient, or where it was not finite.
        max_abs: Max |g| per layer.
        title: Written above.

    Returns:
        Height × width × 3, uint8. Layers with nothing to draw say why.

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
    return bar_chart(
        names,
        {"max |g|": max_abs, "mean |g|": mean_abs},
        title=title,
        value_label="|gradient| of the loss with respect to the weights",
        notes=notes,
    )


def gradient_heat_map(names: Sequence[str], steps: Sequence[int], mean_abs: Floats, *, title: str = "") -> Picture:
    """Mean |gradient| of each layer through training: which layer, since when.

    Args:
        names: Layers, in the order of the network.
        steps: Optimizer step of each column, rising.
        mean_abs: Shape (layers, steps). NaN where there was no finite gradient (light grey).
        title: Written above.

    Returns:
        Height × width × 3, uint8; log colours, dark is small.

    Example:
        >>> gradient_heat_map(["conv1", "fc"], [10, 20], np.array([[1e-3, 1e-4], [1e-2, 1e-2]])).shape
        (200, 900, 3)
    """
    note = "grey: no finite gradient" if np.isnan(mean_abs).any() else ""
    return heat_map(
        mean_abs,
        names,
        steps,
        title=" · ".join(filter(None, [title, note])),
        x_label="optimizer step",
        value_label="mean |g|",
    )
