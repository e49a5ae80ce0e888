"""Gradients per layer: statistics in one fused pass, what they mean in words, bars and a heat map."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from lightning_cnnviz.functional.figure import Floats, bar_chart, heat_map
from lightning_cnnviz.functional.image import Picture

STATISTICS = ("mean_abs", "max_abs", "norm", "zero_share", "non_finite", "update_ratio")
"""Mean |g|; max |g|; L2 norm ‖g‖; share of exact zeros, 0…1; entries that are NaN or infinite;
‖Δw‖ / ‖w‖ of an optimizer step. The first three have the unit of loss / weight."""


class GradientSums(NamedTuple):
    """What one step adds to the statistics; each of shape (tensors,), float32, on the gradients' device."""

    sum_abs: torch.Tensor
    max_abs: torch.Tensor
    norm: torch.Tensor
    zeros: torch.Tensor
    non_finite: torch.Tensor


def gradient_sums(gradients: Sequence[torch.Tensor]) -> GradientSums:
    """Reads gradients with a handful of fused kernels and without waiting for the device.

    Args:
        gradients: Tensors of any shapes and floating dtypes, dense or sparse, on one device; at least one.

    Returns:
        One number per tensor and statistic, accumulated in float32 whatever the gradients' dtype.

    Example:
        >>> sums = gradient_sums([torch.tensor([3.0, -4.0, 0.0])])
        >>> [round(value.item(), 6) for value in sums]
        [7.0, 4.0, 5.0, 1.0, 0.0]
    """
    tensors = [gradient.coalesce().values() if gradient.is_sparse else gradient.detach() for gradient in gradients]
    sum_abs, norm, max_abs = (
        torch.stack(torch._foreach_norm(tensors, order, dtype=torch.float32)) for order in (1, 2, torch.inf)
    )
    sizes = torch.tensor([gradient.numel() for gradient in gradients], dtype=torch.float32)
    non_zeros = torch.stack([torch.count_nonzero(tensor) for tensor in tensors])
    zeros = sizes.to(non_zeros.device, non_blocking=True) - non_zeros
    if sum_abs.device.type == "cpu" and bool(sum_abs.isfinite().all()):
        non_finite = torch.zeros_like(sum_abs)  # here looking costs nothing; elsewhere it would be a wait
    else:  # 0 · g is zero where g is finite, and NaN, which counts as non-zero, where it is not
        broken = [torch.count_nonzero(product) for product in torch._foreach_mul(tensors, 0.0)]
        non_finite = torch.stack(broken).to(torch.float32)
    return GradientSums(sum_abs, max_abs, norm, zeros.to(torch.float32), non_finite)


def diagnose(statistics: Mapping[str, float], vanishing: float, exploding: float) -> str | None:
    """Says in words what is wrong with a layer's gradients; None if nothing is.

    Args:
        statistics: Values of `STATISTICS` for one layer over a number of steps.
        vanishing: Mean |g| below this is said to vanish.
        exploding: Mean |g| above this is said to explode.

    Example:
        >>> diagnose({"mean_abs": 1e-9, "non_finite": 0, "zero_share": 0.5}, 1e-7, 1e2)
        'vanishes: mean |g| is 1e-09, below 1e-07'
    """
    mean = statistics["mean_abs"]
    if statistics["non_finite"] > 0:
        return f"turns non-finite: {statistics['non_finite']:.0f} entries of its gradient were NaN or infinite"
    if statistics["zero_share"] == 1:
        return "vanishes: every entry of its gradient is exactly zero"
    if mean < vanishing:
        return f"vanishes: mean |g| is {mean:.3g}, below {vanishing:.3g}"
    if mean > exploding:
        return f"explodes: mean |g| is {mean:.3g}, above {exploding:.3g}"
    return None


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
        if np.isnan(mean) and np.isnan(largest):
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
    note = " · grey: no finite gradient" if np.isnan(mean_abs).any() else ""
    return heat_map(
        mean_abs,
        names,
        steps,
        title=title + note,
        x_label="optimizer step",
        value_label="mean |g|",
    )
