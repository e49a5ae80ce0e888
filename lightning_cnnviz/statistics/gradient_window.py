"""Statistics of gradients and weight updates since the last picture, accumulated on the device."""

from collections.abc import Container, Mapping, Sequence

import torch
from torch import Tensor, nn

from lightning_cnnviz.functional.gradients.gradient_sums import (
    GradientSums,
    count_non_zeros,
    gradient_sums,
    gradient_sums_of_steps,
    norms,
    stored,
)
from lightning_cnnviz.model.torch_internals import differences
from lightning_cnnviz.statistics.step_buffer import StepBuffer

MAX_BUFFERED_SETS = 4
"""Sets of weights (several optimizers may step different ones) whose gradients are buffered."""
INSPECT_EVERY = 16
"""Interval in steps at which exact zeros are counted and the weight update is measured, which needs a copy."""


class GradientWindow:
    """Accumulates statistics of gradients over optimizer steps; only `statistics` synchronises with the device.

    Args:
        weights: Name → parameter. A parameter whose gradient is None in a step is excluded from that step.

    Example:
        >>> weight = nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> (weight**2).sum().backward()
        >>> window = GradientWindow({"fc": weight})
        >>> window.add()
        >>> window.statistics()["fc"]["norm"]
        10.0
    """

    def __init__(self, weights: Mapping[str, nn.Parameter]) -> None:
        self._names = list(weights)
        self._weights = list(weights.values())
        self._rows = [(row, weight) for row, weight in enumerate(self._weights) if weight.numel()]
        # Several optimizers may step different weights, so there are sums for each set of rows that step together.
        self._sums: dict[tuple[int, ...], _Sums] = {}
        self._before: tuple[tuple[int, ...], list[Tensor]] | None = None

    def clear(self) -> None:
        """Starts a new window."""
        self._sums = {rows: sums for rows, sums in self._sums.items() if sums.steps}
        for sums in self._sums.values():
            sums.clear()
        self._before = None

    @property
    def updating(self) -> bool:
        """Whether a weight update is being measured, to be completed by `end_update`."""
        return self._before is not None

    def add(self, owned: Container[int] | None = None, loss_scale: Tensor | None = None) -> None:
        """Adds the current gradients. Call before an optimizer step.

        Args:
            owned: `id` of each parameter that will be updated; None for all.
            loss_scale: Factor by which the gradients are scaled (mixed precision), a scalar on their device.
        """
        self.end_update()
        gradients = {
            row: weight.grad
            for row, weight in self._rows
            if weight.grad is not None and (owned is None or id(weight) in owned)
        }
        if not gradients:
            return
        rows = tuple(gradients)
        sums = self._sums.get(rows)
        if sums is None:
            sums = self._sums[rows] = _Sums(list(gradients.values()), buffered=len(self._sums) < MAX_BUFFERED_SETS)
        if sums.add(list(gradients.values()), loss_scale):
            self._before = rows, [self._weights[row].detach().clone() for row in rows]

    def end_update(self) -> None:
        """Measures the weight update since the last `add`. Call after the optimizer step."""
        if self._before is None:
            return
        (rows, before), self._before = self._before, None
        change = differences([self._weights[row].detach() for row in rows], before)
        self._sums[rows].add_update(norms(change), norms(before))

    def statistics(self) -> dict[str, dict[str, float]]:
        """Returns the `STATISTICS` over the steps so far and `weight_norm`, the current ‖w‖, for each name.

        Mean, maximum and norm are over the steps with a finite gradient, NaN if there are none. The share of zeros
        and the update ratio are over the first and every 16th step. Names without any gradient are omitted.
        """
        totals: dict[int, dict[str, float]] = {}
        for rows, sums in self._sums.items():
            if not sums.steps:
                continue
            lengths = norms([self._weights[row].detach() for row in rows])
            parts = {**sums.totals(), "weight_norm": lengths}
            columns = torch.stack([part.cpu().double() for part in parts.values()]).T.tolist()
            for row, column in zip(rows, columns, strict=True):
                own = dict(zip(parts, column, strict=True))
                before = totals.get(row, dict.fromkeys(own, 0.0))
                totals[row] = {name: before[name] + value for name, value in own.items()} | {
                    "max_abs": max(before["max_abs"], own["max_abs"]),
                    "weight_norm": own["weight_norm"],
                }
        return {self._names[row]: _means(totals[row], self._weights[row].numel()) for row in sorted(totals)}


class _Sums:
    """Sums over steps for weights that are updated together; each tensor has one entry per weight."""

    def __init__(self, gradients: Sequence[Tensor], buffered: bool) -> None:
        self._weights, self._device, self._buffered = len(gradients), gradients[0].device, buffered
        self._buffer = StepBuffer(self._read)
        self.clear()

    def clear(self) -> None:
        """Resets all sums."""
        self.steps = 0
        self._buffer.clear()
        precision = torch.float32 if self._device.type == "mps" else torch.float64
        real = torch.zeros(self._weights, device=self._device, dtype=precision)
        whole = torch.zeros(self._weights, dtype=torch.int64, device=self._device)
        self._totals = dict.fromkeys(("sum_abs", "norm", "max_abs", "update_ratios"), real) | dict.fromkeys(
            ("finite_steps", "non_finite", "inspected_steps", "non_zeros", "updates"), whole
        )

    def add(self, gradients: Sequence[Tensor], loss_scale: Tensor | None) -> bool:
        """Adds a step's gradients; returns whether the weight update of this step is to be measured."""
        tensors = stored(gradients)
        buffered = self._buffered and not any(gradient.is_sparse for gradient in gradients)
        if not buffered or not self._buffer.add(tensors if loss_scale is None else [*tensors, loss_scale]):
            self._sum_up(GradientSums(*(value[None] for value in gradient_sums(tensors))), loss_scale)
        inspect = self.steps % INSPECT_EVERY == 0
        self.steps += 1
        if inspect:
            self._totals["non_zeros"] = self._totals["non_zeros"] + count_non_zeros(tensors)
            self._totals["inspected_steps"] = self._totals["inspected_steps"] + 1
        return inspect

    def add_update(self, change: Tensor, before: Tensor) -> None:
        """Adds the norms of the weight update of a step and of the weights before it, shape (weights,)."""
        sized = before > 0  # a weight that starts at zero has no ratio yet
        self._totals["update_ratios"] = self._totals["update_ratios"] + torch.where(sized, change / before, 0)
        self._totals["updates"] = self._totals["updates"] + sized

    def totals(self) -> dict[str, Tensor]:
        """Returns the sums so far, and the maximum of `max_abs`."""
        self._buffer.read()
        return self._totals

    def _read(self, copies: list[Tensor]) -> None:
        gradients, scales = copies[: self._weights], copies[self._weights :]
        self._sum_up(gradient_sums_of_steps(gradients), scales[0][:, None] if scales else None)

    def _sum_up(self, sums: GradientSums, loss_scale: Tensor | None) -> None:
        """Adds sums of shape (steps, weights)."""
        finite = sums.max_abs.isfinite()
        scale = 1 if loss_scale is None else loss_scale
        totals = self._totals
        sum_abs, max_abs, norm = (torch.where(finite, value / scale, 0).to(totals["norm"].dtype) for value in sums[:3])
        totals["sum_abs"] = totals["sum_abs"] + sum_abs.sum(dim=0)
        totals["max_abs"] = torch.maximum(totals["max_abs"], max_abs.amax(dim=0))
        totals["norm"] = totals["norm"] + norm.sum(dim=0)
        totals["non_finite"] = totals["non_finite"] + sums.non_finite.sum(dim=0)
        totals["finite_steps"] = totals["finite_steps"] + finite.sum(dim=0)


def _means(total: dict[str, float], entries: int) -> dict[str, float]:
    finite_steps = total["finite_steps"] or float("nan")
    return {
        "mean_abs": total["sum_abs"] / (finite_steps * entries),
        "max_abs": total["max_abs"] if total["finite_steps"] else float("nan"),
        "norm": total["norm"] / finite_steps,
        "zero_share": 1 - total["non_zeros"] / (total["inspected_steps"] * entries),
        "non_finite": total["non_finite"],
        "update_ratio": total["update_ratios"] / (total["updates"] or float("nan")),
        "weight_norm": total["weight_norm"],
    }
