"""Sums of gradients without device synchronisation: of one step in place, or of several steps from copies."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_cnnviz.model.torch_internals import norms_of, scaled


class GradientSums(NamedTuple):
    """Sums over the entries of gradients, each of shape (..., tensors), on the gradients' device.

    Attributes:
        sum_abs: Sum of |g|, float32 (float64 for float64 gradients).
        max_abs: Largest |g|, same dtype.
        norm: L2 norm, same dtype.
        non_finite: Number of NaN or infinite entries, int64.
    """

    sum_abs: Tensor
    max_abs: Tensor
    norm: Tensor
    non_finite: Tensor


def gradient_sums(gradients: Sequence[Tensor]) -> GradientSums:
    """Computes the sums of the gradients of one step, without copying them.

    Args:
        gradients: Dense tensors of any shape and floating-point dtype on one device (see `stored`), at least one.

    Returns:
        Shape (tensors,), accumulated in at least float32, whatever the gradients' dtype.

    Example:
        >>> sums = gradient_sums([torch.tensor([3.0, -4.0, 0.0])])
        >>> [round(value.item(), 6) for value in sums]
        [7.0, 4.0, 5.0, 0]
    """
    tensors = list(gradients)
    precision = _precision(tensors)
    sum_abs, norm = (norms_of(tensors, order, precision) for order in (1, 2))
    if sum_abs.is_cpu:  # on the CPU, the infinity norm takes ten times as long as aminmax
        extremes = torch.stack([extreme for tensor in tensors for extreme in tensor.aminmax()])
        max_abs = extremes.to(precision).abs().view(-1, 2).amax(dim=1)
    else:
        max_abs = norms_of(tensors, torch.inf, precision)
    if _all_finite(max_abs):
        if not _all_finite(norm):  # their squares exceed float32
            sum_abs, norm = (norms_of(tensors, order, torch.float64) for order in (1, 2))
        return GradientSums(sum_abs, max_abs, norm, torch.zeros_like(max_abs, dtype=torch.int64))
    # 0 · g is zero if g is finite, otherwise NaN, which count_nonzero counts
    return GradientSums(sum_abs, max_abs, norm, count_non_zeros(scaled(tensors, 0.0)))


def gradient_sums_of_steps(gradients: Sequence[Tensor]) -> GradientSums:
    """Computes the sums of the gradients of several steps from copies, much faster if the gradients are small.

    Args:
        gradients: Floating-point tensors of shape (steps, ...) on one device, at least one. Replaced by |g| in place.

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
        if not _all_finite(norm):  # their squares exceed float32
            doubles = [row.double() for row in rows]
            sum_abs = torch.stack([row.sum(dim=1) for row in doubles], dim=1)
            norm = torch.stack([torch.linalg.vector_norm(row, dim=1) for row in doubles], dim=1)
        return GradientSums(sum_abs, max_abs, norm, torch.zeros_like(max_abs, dtype=torch.int64))
    non_finite = torch.stack([(~row.isfinite()).sum(dim=1) for row in rows], dim=1)
    return GradientSums(sum_abs, max_abs, norm, non_finite)


def stored(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Returns the detached gradients; for sparse ones, their stored values, for complex ones, their magnitudes."""
    dense = [_stored(gradient) if gradient.is_sparse else gradient.detach() for gradient in gradients]
    return _magnitudes(dense)


def count_non_zeros(tensors: Sequence[Tensor]) -> Tensor:
    """Counts the entries that are not exactly zero; int64 of shape (tensors,)."""
    return torch.stack([torch.count_nonzero(tensor) for tensor in tensors])


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """Computes the L2 norms of tensors on one device in one fused pass, in float32, or float64 if any of them is.

    Example:
        >>> norms([torch.tensor([3.0, 4.0]), torch.zeros(1)])
        tensor([5., 0.])
    """
    real = _magnitudes(tensors)
    return norms_of(real, 2, _precision(real))


def _magnitudes(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.abs() if tensor.is_complex() else tensor for tensor in tensors]


def _precision(tensors: Sequence[Tensor]) -> torch.dtype:
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


def _all_finite(max_abs: Tensor) -> bool:
    return max_abs.is_cpu and bool(max_abs.isfinite().all())  # on other devices, reading the value would synchronise


def _stored(gradient: Tensor) -> Tensor:
    values = gradient.detach().coalesce().values()
    return values if values.numel() else values.new_zeros(1)
