"""Statistics of gradients in a few fused passes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch


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
