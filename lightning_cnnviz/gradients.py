"""Gradients and weight updates since the last picture, summed up on the device."""

from collections.abc import Container, Mapping, Sequence

import torch
from torch import Tensor, nn

from lightning_cnnviz.functional.gradient_sums import (
    GradientSums,
    count_non_zeros,
    gradient_sums,
    gradient_sums_of_steps,
    norms,
    stored,
)
from lightning_cnnviz.waiting import Waiting

MOST_SETS = 4
"""Sets of weights, as several optimizers step them, whose gradients wait to be read together."""
LOOK_EVERY = 16
"""Steps from one closer look to the next: at exact zeros, and at the weights' update, which takes a copy of them."""


class GradientWindow:
    """Sums statistics of gradients over optimizer steps; waits for the device only in `statistics`.

    Args:
        weights: Name → parameter. One whose gradient is None in a step is left out of that step.

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
        # Several optimizers step different weights: sums are kept for each set of rows that came together.
        self._sums: dict[tuple[int, ...], _Sums] = {}
        self._before: tuple[tuple[int, ...], list[Tensor]] | None = None

    def clear(self) -> None:
        """Begins a new window."""
        self._sums = {rows: sums for rows, sums in self._sums.items() if sums.steps}
        for sums in self._sums.values():
            sums.clear()
        self._before = None

    @property
    def updating(self) -> bool:
        """Whether `end_update` has something to compare."""
        return self._before is not None

    def add(self, owned: Container[int] | None = None, loss_scale: Tensor | None = None) -> None:
        """Takes the gradients as they are now. To be called before an optimizer step.

        Args:
            owned: `id`s of the parameters that will step; None for all.
            loss_scale: By how much the gradients are too large (mixed precision), a scalar on their device.
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
            sums = self._sums[rows] = _Sums(list(gradients.values()), waits=len(self._sums) < MOST_SETS)
        if sums.add(list(gradients.values()), loss_scale):
            self._before = rows, [self._weights[row].detach().clone() for row in rows]

    def end_update(self) -> None:
        """Compares the weights with what they were at the last `add`. To be called after the optimizer step."""
        if self._before is None:
            return
        (rows, before), self._before = self._before, None
        change = torch._foreach_sub([self._weights[row].detach() for row in rows], before)
        self._sums[rows].add_update(norms(change), norms(before))

    def statistics(self) -> dict[str, dict[str, float]]:
        """Name → values of `STATISTICS` over the steps so far, and `weight_norm` ‖w‖ as it is now.

        Mean, maximum and norm are over the steps whose gradient was finite, NaN if none was. The share of zeros and
        the update ratio are over the first and every 16th step. Names without any gradient are left out.
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
    """Sums over the steps of weights that step together; each tensor in it has one entry per weight."""

    def __init__(self, gradients: Sequence[Tensor], waits: bool) -> None:
        self._weights, self._device, self._waits = len(gradients), gradients[0].device, waits
        self._waiting = Waiting(self._read)
        self.clear()

    def clear(self) -> None:
        """Begins anew."""
        self.steps = 0
        self._waiting.forget()
        precision = torch.float32 if self._device.type == "mps" else torch.float64
        real = torch.zeros(self._weights, device=self._device, dtype=precision)
        whole = torch.zeros(self._weights, dtype=torch.int64, device=self._device)
        self._totals = dict.fromkeys(("sum_abs", "norm", "max_abs", "update_ratios"), real) | dict.fromkeys(
            ("finite_steps", "non_finite", "looks", "non_zeros", "updates"), whole
        )

    def add(self, gradients: Sequence[Tensor], loss_scale: Tensor | None) -> bool:
        """Takes a step's gradients; returns whether this step is one for a closer look."""
        tensors = stored(gradients)
        waits = self._waits and not any(gradient.is_sparse for gradient in gradients)
        if not waits or not self._waiting.add(tensors if loss_scale is None else [*tensors, loss_scale]):
            self._sum_up(GradientSums(*(value[None] for value in gradient_sums(tensors))), loss_scale)
        look = self.steps % LOOK_EVERY == 0
        self.steps += 1
        if look:
            self._totals["non_zeros"] = self._totals["non_zeros"] + count_non_zeros(tensors)
            self._totals["looks"] = self._totals["looks"] + 1
        return look

    def add_update(self, change: Tensor, before: Tensor) -> None:
        """Takes the norms of the weights' change in a step and of the weights before it."""
        sized = before > 0  # a weight that starts at zero has no ratio yet
        self._totals["update_ratios"] = self._totals["update_ratios"] + torch.where(sized, change / before, 0)
        self._totals["updates"] = self._totals["updates"] + sized

    def totals(self) -> dict[str, Tensor]:
        """Everything so far; of `max_abs` the maximum, of all else the sum."""
        self._waiting.read()
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
        "zero_share": 1 - total["non_zeros"] / (total["looks"] * entries),
        "non_finite": total["non_finite"],
        "update_ratio": total["update_ratios"] / (total["updates"] or float("nan")),
        "weight_norm": total["weight_norm"],
    }
