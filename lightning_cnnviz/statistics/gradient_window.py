"""Statistics of gradients and weight updates since the last picture, accumulated on the device."""

from collections.abc import Container, Mapping

from torch import Tensor, nn

from lightning_cnnviz.functional.gradients.gradient_sums import norms, stored
from lightning_cnnviz.model.sharding import local_part, over_shards
from lightning_cnnviz.statistics.gradient_totals import GradientTotals
from lightning_cnnviz.statistics.weight_updates import WeightUpdates


class GradientWindow:
    """Accumulates statistics of gradients over optimizer steps; only `statistics` synchronises with the device.

    Statistics of sharded weights are over all shards; every rank must make the same calls then.

    Args:
        weights: Name → parameter. A parameter whose gradient is None in a step is excluded from that step.

    Example:
        >>> import torch
        >>> weight = nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> (weight**2).sum().backward()
        >>> window = GradientWindow({"fc": weight})
        >>> window.add()
        >>> window.statistics()["fc"]["norm"]
        10.0
    """

    def __init__(self, weights: Mapping[str, nn.Parameter]) -> None:
        filled = {name: weight for name, weight in weights.items() if weight.numel()}
        self._names, self._weights = list(filled), list(filled.values())
        self._totals = GradientTotals(self._weights)
        self._updates = WeightUpdates(self._weights)

    def clear(self) -> None:
        """Starts a new window."""
        self._totals.clear()
        self._updates.clear()

    @property
    def updating(self) -> bool:
        """Whether a weight update is being measured, to be completed by `end_update`."""
        return self._updates.begun

    def add(self, owned: Container[int] | None = None, loss_scale: Tensor | None = None) -> None:
        """Adds the current gradients. Call before an optimizer step.

        Args:
            owned: `id` of each parameter that will be updated; None for all.
            loss_scale: Factor by which the gradients are scaled (mixed precision), a scalar on their device.
        """
        self.end_update()
        rows, gradients = list[int](), list[Tensor]()
        for row, weight in enumerate(self._weights):
            if (gradient := weight.grad) is not None and (owned is None or id(weight) in owned):
                rows.append(row)
                gradients.append(gradient)
        if rows:
            self._totals.add(rows, gradients, loss_scale)
            self._updates.begin(rows, gradients)

    def end_update(self, skipped: Tensor | None = None) -> None:
        """Measures the weight update since the last `add`. Call after the optimizer step.

        Args:
            skipped: Whether a loss scaler has skipped the step, a scalar on the weights' device; None without one.
        """
        self._updates.end(skipped)

    def statistics(self) -> dict[str, dict[str, float]]:
        """Returns the `STATISTICS` over the steps so far and `weight_norm`, the current ‖w‖, for each name.

        Mean, maximum and norm are over the steps with a finite gradient, NaN if there are none. The share of zeros
        and the update ratio are over some of the steps, see `LookSchedule`. Names without any gradient are omitted.
        """
        sums = {**self._totals.read(), **self._updates.read()}
        if not sums:
            return {}
        lengths = norms(stored([local_part(weight.detach()) for weight in self._weights]))
        sums["weight_norm"] = over_shards(lengths.square(), self._weights, "sum").sqrt()
        columns = {name: values.tolist() for name, values in sums.items()}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        found = zip(self._names, self._weights, rows, strict=True)
        return {name: _means(row, weight.numel()) for name, weight, row in found if row["steps"]}


def _means(total: Mapping[str, float], entries: int) -> dict[str, float]:
    def mean(name: str, count: str) -> float:
        return total[name] / total[count] if total.get(count) else float("nan")

    return {
        "mean_abs": mean("sum_abs", "finite_steps") / entries,
        "max_abs": total["max_abs"] if total["finite_steps"] else float("nan"),
        "norm": mean("norm", "finite_norms"),
        "zero_share": 1 - mean("non_zeros", "inspected_steps") / entries,
        "non_finite": total["non_finite"],
        "update_ratio": mean("update_ratios", "updates"),
        "weight_norm": total["weight_norm"],
    }
