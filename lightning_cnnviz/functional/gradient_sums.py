"""Statistics of gradients, without waiting for the device: of a step where they are, of several from copies."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class GradientSums(NamedTuple):
    """What steps add to the statistics; each of shape (..., tensors), on the gradients' device.

    Attributes:
        sum_abs: Sum of |g|, float32 (float64 for such gradients).
        max_abs: Largest |g|, likewise.
        norm: L2 norm, likewise.
        non_finite: Number of entries that are NaN or infinite, int64.
    """

    sum_abs: Tensor
    max_abs: Tensor
    norm: Tensor
    non_finite: Tensor


def gradient_sums(gradients: Sequence[Tensor]) -> GradientSums:
    """Reads the gradients of a step where they are.

    Args:
        gradients: Dense tensors of any shapes and floating dtypes on one device (see `stored`), at least one.

    Returns:
        Shape (tensors,), accumulated in at least float32 whatever the gradients' dtype.

    Example:
        >>> sums = gradient_sums([torch.tensor([3.0, -4.0, 0.0])])
        >>> [round(value.item(), 6) for value in sums]
        [7.0, 4.0, 5.0, 0]
    """
    tensors = list(gradients)
    precision = _precision(tensors)
    sum_abs, norm = (torch.stack(torch._foreach_norm(tensors, order, dtype=precision)) for order in (1, 2))
    if sum_abs.is_cpu:  # where a norm of infinite order takes ten times as long as the extremes
        extremes = torch.stack([extreme for tensor in tensors for extreme in tensor.aminmax()])
        max_abs = extremes.to(precision).abs().view(-1, 2).amax(dim=1)
    else:
        max_abs = torch.stack(torch._foreach_norm(tensors, torch.inf, dtype=precision))
    if _all_finite(max_abs):
        return GradientSums(sum_abs, max_abs, norm, torch.zeros_like(max_abs, dtype=torch.int64))
    # 0 · g is zero where g is finite, and NaN, which counts as non-zero, where it is not
    return GradientSums(sum_abs, max_abs, norm, count_non_zeros(torch._foreach_mul(tensors, 0.0)))


def gradient_sums_of_steps(gradients: Sequence[Tensor]) -> GradientSums:
    """Reads copies of the gradients of several steps, which takes a fraction of the time where they are small.

    Args:
        gradients: Tensors of shape (steps, ...), floating, on one device; at least one. They become |g|.

    Returns:
        Shape (steps, tensors), accumulated in at least float32.

    Example:
        >>> sums = gradient_sums_of_steps([torch.tensor([[3.0, -4.0], [1.0, 0.0]]), torch.tensor([[0.0], [2.0]])])
        >>> sums.norm.tolist()
        [[5.0, 0.0], [1.0, 2.0]]
    """
    precision = _precision(gradients)
    rows = [gradient.abs_().reshape(len(gradient), -1) for gradient in gradients]
    sum_abs = torch.stack([row.sum(dim=1, dtype=precision) for row in rows], dim=1)
    max_abs = torch.stack([row.amax(dim=1).to(precision) for row in rows], dim=1)
    norm = torch.stack([torch.linalg.vector_norm(row, dim=1, dtype=precision) for row in rows], dim=1)
    if _all_finite(max_abs):
        return GradientSums(sum_abs, max_abs, norm, torch.zeros_like(max_abs, dtype=torch.int64))
    non_finite = torch.stack([(~row.isfinite()).sum(dim=1) for row in rows], dim=1)
    return GradientSums(sum_abs, max_abs, norm, non_finite)


def stored(gradients: Sequence[Tensor]) -> list[Tensor]:
    """What gradients hold: themselves, without history, and of sparse ones the entries that they store."""
    return [_stored(gradient) if gradient.is_sparse else gradient.detach() for gradient in gradients]


def count_non_zeros(tensors: Sequence[Tensor]) -> Tensor:
    """Number of entries that are not exactly zero, int64 of shape (tensors,)."""
    return torch.stack([torch.count_nonzero(tensor) for tensor in tensors])


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norms of tensors on one device in one fused pass, in float32, or in float64 if one of them is.

    Example:
        >>> norms([torch.tensor([3.0, 4.0]), torch.zeros(1)])
        tensor([5., 0.])
    """
    precision = _precision(tensors)
    return torch.stack(torch._foreach_norm(list(tensors), 2, dtype=precision))


def _precision(tensors: Sequence[Tensor]) -> torch.dtype:
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


def _all_finite(max_abs: Tensor) -> bool:
    return max_abs.is_cpu and bool(max_abs.isfinite().all())  # elsewhere looking would be a wait


def _stored(gradient: Tensor) -> Tensor:
    values = gradient.detach().coalesce().values()
    return values if values.numel() else values.new_zeros(1)
