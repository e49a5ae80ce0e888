"""Gradients per layer: statistics in one fused pass, what they mean in words, bars and a heat map."""

import math
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
    """What one step adds to the statistics; each of shape (tensors,), on the gradients' device.

    Attributes:
        sum_abs: Sum of |g|, float32 (float64 for such gradients).
        max_abs: Largest |g|, likewise.
        norm: L2 norm, likewise.
        non_zeros: Number of entries that are not exactly zero, int64.
        non_finite: Number of entries that are NaN or infinite, int64.
    """

    sum_abs: torch.Tensor
    max_abs: torch.Tensor
    norm: torch.Tensor
    non_zeros: torch.Tensor
    non_finite: torch.Tensor


def gradient_sums(gradients: Sequence[torch.Tensor]) -> GradientSums:
    """Reads gradients with a handful of fused kernels and without waiting for the device.

    Args:
        gradients: Tensors of any shapes and floating dtypes, dense or sparse, on one device; at least one.

    Returns:
        One number per tensor and statistic, accumulated in at least float32 whatever the gradients' dtype.

    Example:
        >>> sums = gradient_sums([torch.tensor([3.0, -4.0, 0.0])])
        >>> [round(value.item(), 6) for value in sums]
        [7.0, 4.0, 5.0, 2, 0]
    """
    tensors = stored(gradients)
    raw = torch.stack(raw_magnitudes(tensors))
    on_cpu = raw.device.type == "cpu"  # there looking costs nothing; elsewhere it would be a wait
    non_zeros = count_non_zeros(tensors)
    finite = on_cpu and all_finite(raw.tolist())
    non_finite = torch.zeros_like(non_zeros) if finite else count_non_finite(tensors)
    sum_abs, norm, max_abs = magnitudes(raw, len(tensors))
    return GradientSums(sum_abs, max_abs, norm, non_zeros, non_finite)


def stored(gradients: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What gradients hold: themselves, without history, and of sparse ones the entries that they store."""
    return [_stored(gradient) if gradient.is_sparse else gradient.detach() for gradient in gradients]


def raw_magnitudes(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """All that `magnitudes` needs, in as few kernels as there are, since it is taken at every step.

    Returns:
        Scalars, a row of one per tensor after the other: sums of |g|, L2 norms, and one or more rows of which the
        largest absolute value is max |g|.
    """
    precision = torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
    sum_abs, norm = (torch._foreach_norm(tensors, order, dtype=precision) for order in (1, 2))
    if tensors[0].device.type == "cpu":  # where a norm of infinite order takes ten times as long as the extremes
        lowest, highest = zip(*[tensor.aminmax() for tensor in tensors], strict=True)
        return [*sum_abs, *norm, *lowest, *highest]
    return [*sum_abs, *norm, *torch._foreach_norm(tensors, torch.inf, dtype=precision)]


def magnitudes(raw: torch.Tensor, tensors: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sums of |g|, L2 norms and max |g| of so many tensors, each of shape (..., tensors).

    Args:
        raw: What `raw_magnitudes` gives, along the last dimension.
        tensors: Their number.

    Example:
        >>> raw = raw_magnitudes([torch.tensor([3.0, -4.0]), torch.zeros(1)])
        >>> magnitudes(torch.stack(raw), 2)
        (tensor([7., 0.]), tensor([5., 0.]), tensor([4., 0.]))
    """
    sum_abs, norm, *extremes = torch.split(raw, tensors, dim=-1)
    return sum_abs, norm, torch.stack(extremes).abs().amax(dim=0)


def all_finite(raw: Sequence[float]) -> bool:
    """Whether all entries were finite and none of the sums over them went beyond the range of numbers."""
    return math.isfinite(sum(raw))


def count_non_zeros(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Number of entries that are not exactly zero, int64 of shape (tensors,)."""
    return torch.stack([torch.count_nonzero(tensor) for tensor in tensors])


def count_non_finite(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Number of entries that are NaN or infinite, int64 of shape (tensors,)."""
    # 0 · g is zero where g is finite, and NaN, which counts as non-zero, where it is not
    return count_non_zeros(torch._foreach_mul(tensors, 0.0))


def _stored(gradient: torch.Tensor) -> torch.Tensor:
    values = gradient.detach().coalesce().values()
    return values if values.numel() else values.new_zeros(1)


def norms(tensors: Sequence[torch.Tensor], order: float = 2) -> torch.Tensor:
    """Norms of tensors on one device in one fused pass, in float32, or in float64 if one of them is.

    Example:
        >>> norms([torch.tensor([3.0, 4.0]), torch.zeros(1)])
        tensor([5., 0.])
    """
    precision = torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
    return torch.stack(torch._foreach_norm(list(tensors), order, dtype=precision))


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
