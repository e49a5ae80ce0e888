"""Sums over the values of an activation, as it is computed: on its device, exact whatever their number."""

import math

import torch
from torch import Tensor

from lightning_cnnviz.functional.gradients.gradient_sums import SAFE, in_memory_order, pieces

CHUNK = 2**17
"""Values whose squares are added up in single precision; longer sums would lose too much."""
FEWEST_DIGITS = 1e-2
"""Variance, as a share of the mean square, below which the difference of the two needs double precision."""
SUMS = ("total", "squares", "low", "high", "non_finite", "saturated")


def value_sums(values: Tensor, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Tensor:
    """Adds up the values of a tensor, without copying it from its device.

    Mean and standard deviation that follow are exact to 1e-4, also of many values that differ little from each other.

    Args:
        values: Floating-point, of any shape, at least one value.
        bounds: Values up to the first and from the second count as saturated.

    Returns:
        Float64 of shape (6,), on the device: sum, sum of squares, smallest and largest of the finite values, number
        of values that are NaN or infinite, number of saturated ones. Without finite values the extremes are ±∞.

    Example:
        >>> value_sums(torch.tensor([[1.0, -2.0], [4.0, torch.nan]]), bounds=(-2, 3)).tolist()
        [3.0, 21.0, -2.0, 4.0, 1.0, 2.0]
    """
    flat = in_memory_order(values.detach())
    saturated = [torch.count_nonzero(flat <= bounds[0])] if bounds[0] > -math.inf else []
    saturated += [torch.count_nonzero(flat >= bounds[1])] if bounds[1] < math.inf else []
    if not flat.is_cpu:
        return _sums_on_device(flat, saturated)
    non_finite = 0
    low, high = float(flat.amin()), float(flat.amax())  # in half the time of `aminmax`
    if not math.isfinite(low + high):
        finite = flat[flat.isfinite()]
        non_finite = len(flat) - len(finite)
        flat = finite
        low, high = (float(flat.amin()), float(flat.amax())) if len(flat) else (math.inf, -math.inf)
    largest = max(abs(low), abs(high))
    total, squares = _sums(flat) if largest == 0 or SAFE[0] < largest < SAFE[1] else _exact_sums(flat)
    if squares * len(flat) - total * total < FEWEST_DIGITS * squares * len(flat):
        total, squares = _exact_sums(flat)
    numbers = (total, squares, low, high, non_finite, sum(map(int, saturated)))
    return torch.tensor(numbers, dtype=torch.float64)


def _sums(flat: Tensor) -> tuple[float, float]:
    wide = flat if flat.dtype.itemsize >= 4 else flat.float()
    return float(wide.sum()), math.fsum(float(torch.dot(part, part)) for part in torch.split(wide, CHUNK))


def _exact_sums(flat: Tensor) -> tuple[float, float]:
    parts = [part.double() for part in pieces(flat)] if len(flat) else []
    return math.fsum(float(part.sum()) for part in parts), math.fsum(float(torch.dot(part, part)) for part in parts)


def _sums_on_device(flat: Tensor, saturated: list[Tensor]) -> Tensor:
    precision = torch.float32 if flat.device.type == "mps" else torch.float64
    found = []
    for part in pieces(flat, 16 * CHUNK):
        finite = part.isfinite()
        wide = torch.where(finite, part, 0).to(precision)
        ends = torch.where(finite, part, math.inf).amin(), torch.where(finite, part, -math.inf).amax()
        missing = part.numel() - torch.count_nonzero(finite)
        found.append(torch.stack([wide.sum(), wide.square().sum(), *(end.to(precision) for end in (*ends, missing))]))
    table = torch.stack(found)
    table = table.cpu().double() if precision is torch.float32 else table
    both = torch.stack(
        [table[:, 0].sum(), table[:, 1].sum(), table[:, 2].amin(), table[:, 3].amax(), table[:, 4].sum()]
    )
    more = torch.stack(saturated).sum().to(both) if saturated else both.new_zeros(())
    return torch.cat([both, more[None]])
