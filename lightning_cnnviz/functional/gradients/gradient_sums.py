"""Sums of gradients without device synchronisation: of one step in place, or of several steps from copies."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_cnnviz.model.torch_internals import norms_of

PIECE = 2**17
"""Entries of a large tensor that are read at once, so that what is computed between fits into the cache."""
SMALL = 2**14
"""Entries up to which a tensor may be copied in double precision as a whole."""
SAFE = 1e-12, 1e12
"""Range of the largest |g| in which squares neither overflow nor vanish in float32; beyond it they are in float64."""


class GradientSums(NamedTuple):
    """Sums over the entries of gradients, on the gradients' device.

    Attributes:
        sum_abs: Sum of |g|, float64 (float32 on devices that have no other).
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

    Exact to 1e-5 whatever the number of entries and their size: on the CPU, norms by PyTorch itself add up in float32
    and lose more than half of 2^26 entries.

    Args:
        gradients: Dense tensors of any shape and floating-point dtype on one device (see `stored`), at least one.

    Returns:
        Each of shape (tensors,).

    Example:
        >>> sums = gradient_sums([torch.tensor([3.0, -4.0, 0.0])])
        >>> [round(value.item(), 6) for value in sums]
        [7.0, 4.0, 5.0, 0]
    """
    tensors = list(gradients)
    if tensors[0].is_cpu:
        table = torch.tensor([_sums_on_cpu(tensor) for tensor in tensors], dtype=torch.float64)
        sum_abs, max_abs, norm, non_finite = table.unbind(dim=1)
        return GradientSums(sum_abs, max_abs, norm, non_finite.long())
    precision = _precision(tensors[0].device)
    sum_abs, max_abs, norm = (norms_of(tensors, order, precision) for order in (1, torch.inf, 2))
    # 0 · g is zero if g is finite, otherwise NaN, which count_nonzero counts
    counts = [_total([torch.count_nonzero(0 * piece) for piece in pieces(tensor, 16 * PIECE)]) for tensor in tensors]
    return GradientSums(sum_abs, max_abs, norm, torch.stack(counts))


def gradient_sums_of_steps(gradients: Sequence[Tensor]) -> GradientSums:
    """Computes the sums of the gradients of several steps from copies, much faster if the gradients are small.

    Args:
        gradients: Floating-point tensors of shape (steps, ...) on one device, at least one; the number of steps may
            differ. Overwritten.

    Returns:
        Each of shape (sum of all steps,): all steps of the first tensor, then those of the second, and so on.

    Example:
        >>> sums = gradient_sums_of_steps([torch.tensor([[3.0, -4.0], [1.0, 0.0]]), torch.tensor([[2.0]])])
        >>> sums.norm.tolist()
        [5.0, 1.0, 2.0]
    """
    precision = _precision(gradients[0].device)
    rows = [gradient.abs_().reshape(len(gradient), -1) for gradient in gradients]
    largest = [row.amax(dim=1) for row in rows]
    max_abs = torch.cat([value.to(precision) for value in largest])
    unsafe = not max_abs.is_cpu or not bool(((max_abs == 0) | (max_abs > SAFE[0]) & (max_abs < SAFE[1])).all())
    if unsafe or any(row.dtype.itemsize < 4 for row in rows):
        rows = [row.to(precision) for row in rows]
    sum_abs = torch.cat([row.sum(dim=1) for row in rows]).to(precision)
    if unsafe:
        non_finite = torch.cat([row.isfinite().logical_not_().sum(dim=1) for row in rows])
    else:
        non_finite = torch.zeros_like(max_abs, dtype=torch.int64)
    squares = torch.cat([row.square_().sum(dim=1) for row in rows]).to(precision)
    return GradientSums(sum_abs, max_abs, squares.sqrt(), non_finite)


def stored(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Returns the detached gradients; for sparse ones, their stored values, for complex ones, their magnitudes.

    One that has no entries, such as a rank's part of a small sharded weight, becomes a zero.
    """
    dense = [
        gradient.detach().coalesce().values() if gradient.is_sparse else gradient.detach() for gradient in gradients
    ]
    real = [tensor.abs() if tensor.is_complex() else tensor for tensor in dense]
    return [tensor if tensor.numel() else tensor.new_zeros(1) for tensor in real]


def count_non_zeros(tensors: Sequence[Tensor]) -> Tensor:
    """Counts the entries that are not exactly zero; int64 of shape (tensors,)."""
    counts = [[torch.count_nonzero(piece) for piece in pieces(tensor, 16 * PIECE)] for tensor in tensors]
    return torch.stack([_total(of_tensor) for of_tensor in counts])


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """Computes the L2 norms of tensors on one device, as exactly as `gradient_sums`.

    Example:
        >>> norms([torch.tensor([3.0, 4.0]), torch.zeros(1)]).tolist()
        [5.0, 0.0]
    """
    precision = _precision(tensors[0].device)
    large = [place for place, tensor in enumerate(tensors) if tensor.is_cpu and tensor.numel() > SMALL]
    found = norms_of([tensor[:0] if place in large else tensor for place, tensor in enumerate(tensors)], 2, precision)
    for place in large:
        found[place] = _sums_on_cpu(tensors[place])[2]
    return found


def pieces(tensor: Tensor, size: int = PIECE) -> Iterator[Tensor]:
    """Yields views that have all entries of a dense tensor, at most `size` each; a copy if its memory has gaps.

    Example:
        >>> [piece.tolist() for piece in pieces(torch.arange(6).view(2, 3), 4)]
        [[0, 1, 2, 3], [4, 5]]
    """
    yield from (tensor,) if tensor.numel() <= size else torch.split(in_memory_order(tensor), size)


def in_memory_order(tensor: Tensor) -> Tensor:
    """Returns all entries in one dimension, in the order in which they lie in memory.

    Example:
        >>> in_memory_order(torch.arange(4).view(2, 2).T).tolist()
        [0, 1, 2, 3]
    """
    return tensor.permute(sorted(range(tensor.ndim), key=tensor.stride, reverse=True)).reshape(-1)


def _sums_on_cpu(tensor: Tensor) -> tuple[float, float, float, int]:
    sum_abs = max_abs = squares = 0.0
    non_finite = 0
    working = torch.promote_types(tensor.dtype, torch.float32)
    scratch = torch.empty(min(tensor.numel(), PIECE), dtype=working)  # allocating anew takes longer than the sums
    for piece in pieces(tensor):
        magnitudes = scratch[: piece.numel()].view_as(piece).copy_(piece).abs_()
        largest = float(magnitudes.amax())
        max_abs = float(np.maximum(max_abs, largest))  # NaN if one of them is
        if not math.isfinite(largest):
            non_finite += int(magnitudes.isfinite().logical_not_().sum())
        if not (largest == 0 or SAFE[0] < largest < SAFE[1]):
            magnitudes = magnitudes.double()
        sum_abs += float(magnitudes.sum())
        squares += float(magnitudes.square_().sum())
    return sum_abs, max_abs, math.sqrt(squares), non_finite


def _precision(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def _total(counts: list[Tensor]) -> Tensor:
    return counts[0] if len(counts) == 1 else torch.stack(counts).sum()
