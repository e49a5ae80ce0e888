"""Sums of gradients over steps, whichever of the weights take part in each."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_cnnviz.functional.gradients.gradient_sums import (
    GradientSums,
    gradient_sums,
    gradient_sums_of_steps,
    stored,
)
from lightning_cnnviz.model.sharding import is_shard, local_part, over_shards
from lightning_cnnviz.statistics.step_buffer import MAX_STEPS, StepBuffer

Rows = Sequence[int]


class GradientTotals:
    """Sums over steps, each with one entry per weight; a mask says which weights take part in a step.

    Args:
        weights: All weights; a sharded one has the sums over all of its shards.

    Example:
        >>> totals = GradientTotals([torch.zeros(2), torch.zeros(1)])
        >>> totals.add([0, 1], [torch.tensor([3.0, 4.0]), torch.ones(1)])
        >>> totals.add([0], [torch.tensor([0.0, 1.0])])
        >>> totals.read()["norm"].tolist()
        [6.0, 1.0]
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._weights = weights
        self._sharded = any(map(is_shard, weights))
        self._buffer = StepBuffer(self._read_buffer)
        self._buffered: list[tuple[Rows, Tensor | None]] = []
        self._waiting: list[tuple[Rows, GradientSums, Tensor | None]] = []
        self.clear()

    def clear(self) -> None:
        """Resets all sums."""
        self._buffer.clear()
        self._buffered.clear()
        self._waiting.clear()
        self._totals: dict[str, Tensor] = {}

    def add(self, rows: Rows, gradients: Sequence[Tensor], loss_scale: Tensor | None = None) -> None:
        """Adds a step.

        Args:
            rows: Which of the weights have a gradient, ascending.
            gradients: The gradients of these.
            loss_scale: Factor by which they are scaled, a scalar on their device.
        """
        tensors = stored(list(map(local_part, gradients)))
        places: list[Tensor | None] = [None] * len(self._weights)
        for row, tensor in zip(rows, tensors, strict=True):
            places[row] = tensor
        # Ranks must add up over shards at the same steps, whatever the size of their own.
        fits = not self._sharded and not any(gradient.is_sparse for gradient in gradients)
        if fits and self._buffer.add(places):  # which may read the steps before this one
            self._buffered.append((rows, loss_scale))
            return
        self._waiting.append((rows, gradient_sums(tensors), loss_scale))
        if len(self._waiting) == MAX_STEPS:
            self._read_waiting()

    def read(self) -> dict[str, Tensor]:
        """Returns the sums so far, and the maximum of `max_abs`; nothing if there was no step."""
        self._buffer.read()
        self._read_waiting()
        return self._totals

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_buffered": []}  # as in a copy the buffer is empty

    def _read_buffer(self, copies: list[Tensor]) -> None:
        steps, self._buffered = self._buffered, []
        present: dict[int, list[int]] = {}
        for step, (rows, _) in enumerate(steps):
            for row in rows:
                present.setdefault(row, []).append(step)
        ordered = sorted(present)
        sums = gradient_sums_of_steps([copy for copy in copies if len(copy)])
        self._sum_up(
            [row for row in ordered for _ in present[row]],
            [step for row in ordered for step in present[row]],
            sums,
            [scale for _, scale in steps],
        )

    def _read_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._sum_up(
                [row for rows, _, _ in waiting for row in rows],
                [step for step, (rows, _, _) in enumerate(waiting) for _ in rows],
                GradientSums(*map(torch.cat, zip(*(sums for _, sums, _ in waiting), strict=True))),
                [scale for _, _, scale in waiting],
            )

    def _sum_up(self, rows: list[int], steps: list[int], sums: GradientSums, scales: list[Tensor | None]) -> None:
        """Adds sums of shape (entries,) that belong to these rows and steps."""
        device, precision = sums.norm.device, sums.norm.dtype
        sum_abs, max_abs, norm, non_finite = sums
        if self._sharded:
            weights = [self._weights[row] for row in rows]
            added = torch.stack([sum_abs, norm.square(), non_finite.to(precision)], dim=1)
            sum_abs, squares, non_finite = over_shards(added, weights, "sum").unbind(dim=1)
            max_abs, norm = over_shards(max_abs, weights, "max"), squares.sqrt()
        values = torch.stack([sum_abs, norm, non_finite.to(precision), max_abs], dim=1)
        values, present = spread(values, rows, steps, (len(scales), len(self._weights)))
        sum_abs, norm, non_finite, max_abs = values.unbind(dim=2)
        if any(scale is not None for scale in scales):
            one = torch.ones((), device=device)
            scale = torch.stack([one if scale is None else scale.to(one) for scale in scales]).to(precision)[:, None]
            sum_abs, norm, max_abs = sum_abs / scale, norm / scale, max_abs / scale
        finite = present & (non_finite == 0)
        bounded = finite & norm.isfinite()  # where there is no float64, a norm may exceed the range of its dtype
        new = {
            "steps": present.sum(dim=0),
            "sum_abs": torch.where(finite, sum_abs, 0).sum(dim=0),
            "norm": torch.where(bounded, norm, 0).sum(dim=0),
            "non_finite": non_finite.sum(dim=0),
            "finite_steps": finite.sum(dim=0),
            "finite_norms": bounded.sum(dim=0),
        }
        most = torch.where(finite, max_abs, 0).amax(dim=0)
        before = self._totals or dict.fromkeys([*new, "max_abs"], torch.zeros_like(most))
        self._totals = {name: before[name] + value for name, value in new.items()}
        self._totals["max_abs"] = torch.maximum(before["max_abs"], most)


def spread(values: Tensor, rows: Rows, steps: Sequence[int], shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Puts values into a table, whose device is not waited for.

    Args:
        values: Shape (entries, facts).
        rows: The weight that each entry belongs to.
        steps: The step that each entry belongs to.
        shape: Number of steps and of weights.

    Returns:
        Shape (steps, weights, facts), zero where there is no entry; and a mask of shape (steps, weights).

    Example:
        >>> spread(torch.tensor([[7.0]]), [1], [0], (1, 2))
        (tensor([[[0.],
                 [7.]]]), tensor([[False,  True]]))
    """
    places = torch.tensor([steps, rows])
    if values.is_cuda:
        places = places.pin_memory().to(values.device, non_blocking=True)
    step, row = places.to(values.device)
    table = values.new_zeros(*shape, values.shape[1])
    table[step, row] = values
    mask = torch.zeros(shape, dtype=torch.bool, device=values.device)
    mask[step, row] = torch.ones_like(values[:, 0], dtype=torch.bool)
    return table, mask
