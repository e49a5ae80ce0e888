"""Statistics of gradients and weight updates since the last picture, accumulated on the device."""

import math
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

MAX_SETS = 4
"""Sets of weights (several optimizers may step different ones) with sums of their own; all others share theirs."""
INSPECTED_SHARE = 1 / 8
"""Share of the steps at which exact zeros are counted and the weight update is measured, which needs a copy."""


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
        # Where sets keep changing, as with layers that are dropped at random, there are common sums for all rows.
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
        rows, tensors = tuple(gradients), list(gradients.values())
        sums, places = self._sums_of(rows, tensors[0].device)
        if sums.add(tensors, loss_scale, places):
            self._before = rows, [self._weights[row].detach().clone() for row in rows]

    def end_update(self) -> None:
        """Measures the weight update since the last `add`. Call after the optimizer step."""
        if self._before is None:
            return
        (rows, before), self._before = self._before, None
        change = differences([self._weights[row].detach() for row in rows], before)
        sums, places = self._sums_of(rows, change[0].device)
        sums.add_update(norms(change), norms(before), places)

    def _sums_of(self, rows: tuple[int, ...], device: torch.device) -> tuple["_Sums", Tensor | None]:
        """The sums for a set of rows and, if these are the common ones, the places of the rows in them."""
        own = self._sums.get(rows)
        if own is None and len(self._sums) < MAX_SETS:
            own = self._sums[rows] = _Sums(len(rows), device, buffered=True)
        if own is not None:
            return own, None
        everything = (*range(len(self._weights)), -1)
        common = self._sums.get(everything)
        if common is None:
            for sums in self._sums.values():
                sums.stop_buffering()  # a set will hardly come twice in a row
            common = self._sums[everything] = _Sums(len(self._weights), device, buffered=False)
        return common, torch.tensor(rows, device=device)

    def statistics(self) -> dict[str, dict[str, float]]:
        """Returns the `STATISTICS` over the steps so far and `weight_norm`, the current ‖w‖, for each name.

        Mean, maximum and norm are over the steps with a finite gradient, NaN if there are none. The share of zeros
        and the update ratio are over every eighth step, on average. Names without any gradient are omitted.
        """
        totals: dict[int, dict[str, float]] = {}
        for rows, sums in self._sums.items():
            if not sums.steps:
                continue
            rows = tuple(row for row in rows if row >= 0)
            lengths = norms([self._weights[row].detach() for row in rows])
            parts = {**sums.totals(), "weight_norm": lengths}
            columns = torch.stack([part.cpu().double() for part in parts.values()]).T.tolist()
            for row, column in zip(rows, columns, strict=True):
                own = dict(zip(parts, column, strict=True))
                if not own["steps"]:
                    continue
                before = totals.get(row, dict.fromkeys(own, 0.0))
                totals[row] = {name: before[name] + value for name, value in own.items()} | {
                    "max_abs": max(before["max_abs"], own["max_abs"]),
                    "weight_norm": own["weight_norm"],
                }
        return {self._names[row]: _means(totals[row], self._weights[row].numel()) for row in sorted(totals)}


class _Sums:
    """Sums over steps; each tensor has one entry per weight.

    The weights are those that are always updated together. Or they are all there are, and each call says the places of
    those that it is about.
    """

    def __init__(self, weights: int, device: torch.device, buffered: bool) -> None:
        self._weights, self._device, self._buffered = weights, device, buffered
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
            ("steps", "finite_steps", "finite_norms", "non_finite", "inspected_steps", "non_zeros", "updates"), whole
        )

    def stop_buffering(self) -> None:
        """Reads what is buffered, and frees the memory."""
        self._buffer.read()
        self._buffer, self._buffered = StepBuffer(self._read), False

    def add(self, gradients: Sequence[Tensor], loss_scale: Tensor | None, places: Tensor | None = None) -> bool:
        """Adds a step's gradients; returns whether the weight update of this step is to be measured."""
        tensors = stored(gradients)
        buffered = self._buffered and not any(gradient.is_sparse for gradient in gradients)
        if not buffered or not self._buffer.add(tensors if loss_scale is None else [*tensors, loss_scale]):
            self._sum_up(GradientSums(*(value[None] for value in gradient_sums(tensors))), loss_scale, places)
        inspect = _is_inspected(self.steps)
        self.steps += 1
        if inspect:
            non_zeros = count_non_zeros(tensors)
            self._increase(places, non_zeros=non_zeros, inspected_steps=torch.ones_like(non_zeros))
        return inspect

    def add_update(self, change: Tensor, before: Tensor, places: Tensor | None = None) -> None:
        """Adds the norms of the weight update of a step and of the weights before it, shape (weights,).

        A step in which nothing moves was skipped, as by a loss scaler.
        """
        sized = (before > 0) & (change > 0).any()  # a weight that starts at zero has no ratio yet
        self._increase(places, update_ratios=torch.where(sized, change / before, 0), updates=sized.long())

    def totals(self) -> dict[str, Tensor]:
        """Returns the sums so far, and the maximum of `max_abs`."""
        self._buffer.read()
        return self._totals

    def _read(self, copies: list[Tensor]) -> None:
        gradients, scales = copies[: self._weights], copies[self._weights :]
        self._sum_up(gradient_sums_of_steps(gradients), scales[0][:, None] if scales else None)

    def _sum_up(self, sums: GradientSums, loss_scale: Tensor | None, places: Tensor | None = None) -> None:
        """Adds sums of shape (steps, weights)."""
        finite = sums.max_abs.isfinite()
        bounded = finite & sums.norm.isfinite()  # a norm may exceed the range of its dtype
        scale = 1 if loss_scale is None else loss_scale
        sum_abs, max_abs = (torch.where(finite, value / scale, 0) for value in (sums.sum_abs, sums.max_abs))
        self._increase(
            places,
            sum_abs=sum_abs.sum(dim=0),
            norm=torch.where(bounded, sums.norm / scale, 0).to(self._totals["norm"].dtype).sum(dim=0),
            non_finite=sums.non_finite.sum(dim=0),
            steps=torch.ones_like(finite, dtype=torch.int64).sum(dim=0),
            finite_steps=finite.sum(dim=0),
            finite_norms=bounded.sum(dim=0),
        )
        most = self._spread(max_abs.amax(dim=0), places).to(self._totals["max_abs"].dtype)
        self._totals["max_abs"] = torch.maximum(self._totals["max_abs"], most)

    def _increase(self, places: Tensor | None, **values: Tensor) -> None:
        for name, value in values.items():
            total = self._totals[name]
            self._totals[name] = total + self._spread(value.to(total.dtype), places)

    def _spread(self, values: Tensor, places: Tensor | None) -> Tensor:
        """Values of some weights as values of all, zero for the others."""
        return values if places is None else values.new_zeros(self._weights).index_copy(0, places, values)


def _means(total: dict[str, float], entries: int) -> dict[str, float]:
    finite_steps = total["finite_steps"] or float("nan")
    return {
        "mean_abs": total["sum_abs"] / (finite_steps * entries),
        "max_abs": total["max_abs"] if total["finite_steps"] else float("nan"),
        "norm": total["norm"] / (total["finite_norms"] or float("nan")),
        "zero_share": 1 - total["non_zeros"] / ((total["inspected_steps"] or float("nan")) * entries),
        "non_finite": total["non_finite"],
        "update_ratio": total["update_ratios"] / (total["updates"] or float("nan")),
        "weight_norm": total["weight_norm"],
    }


def _is_inspected(step: int) -> bool:
    """Chooses pairs of steps evenly but at no fixed interval, in which something periodic could hide.

    In a pair, two tasks that take turns are both seen. The first pair is chosen.
    """
    golden_ratio = (1 + math.sqrt(5)) / 2
    return (step // 2 * golden_ratio) % 1 < INSPECTED_SHARE
