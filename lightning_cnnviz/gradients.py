"""Gradients and weight updates since the last picture, summed up on the device."""

from collections import Counter
from collections.abc import Container, Mapping

import torch
from torch import Tensor, nn

from lightning_cnnviz.functional.gradient_flow import gradient_sums, norms

UPDATE_EVERY = 16
"""Optimizer steps from one look at the weights' update to the next; a look takes a copy of the weights."""


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
        self.clear()

    def clear(self) -> None:
        """Begins a new window."""
        self._steps: Counter[tuple[int, ...]] = Counter()
        # Several optimizers step different weights: sums are kept for each set of rows that came together.
        self._sums: dict[tuple[int, ...], dict[str, Tensor]] = {}
        self._before: tuple[tuple[int, ...], list[Tensor]] | None = None

    def add(self, owned: Container[int] | None = None, loss_scale: Tensor | None = None) -> None:
        """Takes the gradients as they are now. To be called before an optimizer step.

        Args:
            owned: `id`s of the parameters that will step; None for all.
            loss_scale: By how much the gradients are too large (mixed precision), a scalar on their device.
        """
        self.end_update()
        chosen = [
            (row, weight)
            for row, weight in enumerate(self._weights)
            if weight.grad is not None and weight.numel() and (owned is None or id(weight) in owned)
        ]
        if not chosen:
            return
        rows = tuple(row for row, _ in chosen)
        sums = gradient_sums([weight.grad for _, weight in chosen if weight.grad is not None])
        finite = sums.max_abs.isfinite()
        scaled = [sums.sum_abs, sums.max_abs, sums.norm]
        if loss_scale is not None:
            scaled = [value / loss_scale for value in scaled]
        sum_abs, max_abs, norm = (torch.where(finite, value, 0) for value in scaled)
        step = {
            "sum_abs": sum_abs,
            "norm": norm,
            "non_zeros": sums.non_zeros,
            "non_finite": sums.non_finite,
            "finite_steps": finite.long(),
            "steps": torch.ones_like(sums.non_zeros),
        }
        if rows in self._sums:
            total = self._sums[rows]
            torch._foreach_add_([total[name] for name in step], list(step.values()))
            total["max_abs"] = torch.maximum(total["max_abs"], max_abs)
        else:
            none = {"ratios": torch.zeros_like(norm), "looks": torch.zeros_like(sums.non_zeros)}
            self._sums[rows] = {**step, **none, "max_abs": max_abs}
        if self._steps[rows] % UPDATE_EVERY == 0:
            self._before = rows, [weight.detach().clone() for _, weight in chosen]
        self._steps[rows] += 1

    def end_update(self) -> None:
        """Compares the weights with what they were at the last `add`. To be called after the optimizer step."""
        if self._before is None:
            return
        (rows, before), self._before = self._before, None
        change = torch._foreach_sub([self._weights[row].detach() for row in rows], before)
        lengths = [norms(part) for part in (change, before)]
        sized = lengths[1] > 0  # a weight that starts at zero has no ratio yet
        self._sums[rows]["ratios"] += torch.where(sized, lengths[0] / lengths[1], 0)
        self._sums[rows]["looks"] += sized

    def statistics(self) -> dict[str, dict[str, float]]:
        """Name → values of `STATISTICS` over the steps so far, and `weight_norm` ‖w‖ as it is now.

        Mean, maximum and norm are over the steps whose gradient was finite, NaN if none was. Names without any
        gradient are left out.
        """
        totals: dict[int, dict[str, float]] = {}
        for rows, sums in self._sums.items():
            lengths = norms([self._weights[row].detach() for row in rows])
            columns = torch.stack([part.cpu().double() for part in (*sums.values(), lengths)]).T.tolist()
            for row, column in zip(rows, columns, strict=True):
                own = dict(zip([*sums, "weight_norm"], column, strict=True))
                before = totals.get(row, dict.fromkeys(own, 0.0))
                totals[row] = {name: before[name] + value for name, value in own.items()} | {
                    "max_abs": max(before["max_abs"], own["max_abs"]),
                    "weight_norm": own["weight_norm"],
                }
        return {self._names[row]: _means(totals[row], self._weights[row].numel()) for row in sorted(totals)}


def _means(total: dict[str, float], entries: int) -> dict[str, float]:
    finite_steps = total["finite_steps"] or float("nan")
    return {
        "mean_abs": total["sum_abs"] / (finite_steps * entries),
        "max_abs": total["max_abs"] if total["finite_steps"] else float("nan"),
        "norm": total["norm"] / finite_steps,
        "zero_share": 1 - total["non_zeros"] / (total["steps"] * entries),
        "non_finite": total["non_finite"],
        "update_ratio": total["ratios"] / (total["looks"] or float("nan")),
        "weight_norm": total["weight_norm"],
    }
