"""A closer look at some steps: exact zeros of the gradients, and how far the optimizer moves the weights."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_cnnviz.functional.gradients.gradient_sums import count_non_zeros, in_memory_order, norms, stored
from lightning_cnnviz.model.sharding import is_shard, local_part, over_shards
from lightning_cnnviz.statistics.gradient_totals import Rows, spread
from lightning_cnnviz.statistics.look_schedule import MAX_COPIED, LookSchedule
from lightning_cnnviz.statistics.step_buffer import MAX_STEPS

MAX_SAMPLE = 2**20
"""Entries that stand for a weight of more than `MAX_COPIED`, or somewhat fewer."""
TOLERANCE = 0.02
"""How well these must give the norms of the gradient and of the weight, which are known, to stand for the update."""


class _Copy:
    """Entries of a weight before a step: of a large one only some, evenly spread, and others at each turn."""

    def __init__(self, weight: Tensor, turn: int) -> None:
        self.whole = local_part(weight).detach()
        self._stride = _stride(self.whole.shape) if weight.numel() > MAX_COPIED else 0
        self._first = turn * 0x9E3779B1 % self._stride if self._stride else 0  # 2³² / golden ratio: evenly spread
        self.before = self.of(self.whole).clone()

    @property
    def is_sample(self) -> bool:
        return self._stride > 0

    @property
    def factor(self) -> float:
        """By which a sum over the copied entries has to be multiplied to stand for all of them."""
        return self.whole.numel() / max(1, self.before.numel())

    def of(self, tensor: Tensor) -> Tensor:
        """The same entries of a tensor of the same shape."""
        return in_memory_order(tensor)[self._first :: self._stride] if self._stride else tensor

    def change(self) -> Tensor:
        """Takes the place of the copy."""
        precise = torch.promote_types(self.before.dtype, torch.float32)
        return self.before.to(precise).sub_(self.of(self.whole))


class _Look(NamedTuple):
    """Weights that are looked at in a step.

    Attributes:
        rows: Which weights.
        copies: Of each of them.
        facts: Shape (rows, 7): how many entries of the gradient are not zero; squared norms of the gradient and of
            the weight before the step, over all entries, and then of both as told from a sample; the squared norm of
            the update, NaN as long as it is not known; 1 if the step is known to have been skipped.
    """

    rows: Rows
    copies: list[_Copy]
    facts: Tensor


class WeightUpdates:
    """Measures ‖Δw‖ / ‖w‖ of optimizer steps and counts zeros, with copies of at most `MAX_COPIED` entries at a time.

    Of a larger weight up to a million entries are copied. Where these do not give the norms of the gradient and of
    the weight within 2 %, no update is told from them.

    Args:
        weights: All weights.

    Example:
        >>> weight = torch.ones(4)
        >>> updates = WeightUpdates([weight])
        >>> updates.begin([0], [torch.ones(4)])
        >>> weight *= 1.5
        >>> updates.end()
        >>> updates.read()["update_ratios"].tolist()
        [0.5]
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._weights = weights
        self._sharded = any(map(is_shard, weights))
        entries = [weight.numel() for weight in weights]
        self._schedule = LookSchedule([MAX_SAMPLE if count > MAX_COPIED else count for count in entries])
        self._turn = 0
        self.clear()

    def clear(self) -> None:
        """Resets all sums."""
        self._schedule.clear()
        self._begun: _Look | None = None
        self._looks: list[tuple[Rows, Tensor]] = []
        self._totals: dict[str, Tensor] = {}

    @property
    def begun(self) -> bool:
        """Whether an update is being measured, to be completed by `end`."""
        return self._begun is not None

    def begin(self, rows: Rows, gradients: Sequence[Tensor]) -> None:
        """Copies those weights whose turn it is. Call before an optimizer step.

        Args:
            rows: Which of the weights have a gradient, ascending.
            gradients: The gradients of these.
        """
        looked = self._schedule.choose(rows)
        if not looked:
            return
        if len(self._looks) == MAX_STEPS:
            self._sum_up()
        self._turn += 1
        of_row = dict(zip(rows, gradients, strict=True))
        own = stored([local_part(of_row[row]) for row in looked])
        copies = [_Copy(self._weights[row], self._turn) for row in looked]
        squares = norms(stored([copy.whole for copy in copies])).square()
        facts = squares.new_zeros(len(looked), 7)
        facts[:, 0] = count_non_zeros(own)
        facts[:, 2] = facts[:, 4] = squares
        facts[:, 5] = torch.nan
        for place, copy in enumerate(copies):
            if copy.is_sample:
                fact, gradient = facts[place], own[place]
                dense = gradient.numel() == copy.whole.numel()  # a sparse one has no entries in the same places
                sample = copy.of(gradient) if dense else torch.full_like(gradient[:1], torch.nan)
                whole, part, weight = norms(stored([gradient, sample, copy.before])).square()
                fact[1], fact[3], fact[4] = whole, part * copy.factor, weight * copy.factor
        self._begun = _Look(looked, copies, facts)
        self._looks.append((looked, facts))

    def end(self, skipped: Tensor | None = None) -> None:
        """Measures the update of the step that `begin` has seen, if weights were copied. Call after the step.

        Args:
            skipped: Whether the step was skipped, as by a loss scaler; a scalar on the weights' device. A step in
                which no weight moves although it has a gradient counts as skipped in any case.
        """
        if self._begun is None:
            return
        (_, copies, facts), self._begun = self._begun, None
        squares = norms(stored([copy.change() for copy in copies])).square()
        facts[:, 5] = squares
        for place, copy in enumerate(copies):
            if copy.is_sample:
                facts[place, 5] *= copy.factor
        if skipped is not None:
            facts[:, 6] = skipped

    def read(self) -> dict[str, Tensor]:
        """Returns the sums so far, each of shape (weights,); nothing if no step was looked at."""
        self._sum_up()
        return self._totals

    def _sum_up(self) -> None:
        looks, self._looks = self._looks, []
        if not looks:
            return
        rows = [row for of_look, _ in looks for row in of_look]
        facts = torch.cat([facts for _, facts in looks])
        if self._sharded:
            facts = over_shards(facts, [self._weights[row] for row in rows], "sum")
        steps = [step for step, (of_look, _) in enumerate(looks) for _ in of_look]
        known, present = spread(facts, rows, steps, (len(looks), len(self._weights)))
        non_zeros, gradient, weight, sampled_gradient, sampled_weight, change, skipped = known.unbind(dim=2)
        moved = (change > 0).any(dim=1)
        without_gradient = (non_zeros == 0).all(dim=1) & (skipped == 0).all(dim=1)
        taken = (moved | without_gradient)[:, None]
        certain = _agree(sampled_gradient, gradient) & _agree(sampled_weight, weight)
        counted = present & taken & certain & change.isfinite() & (weight > 0)  # one that starts at zero has no ratio
        new = {
            "inspected_steps": present.sum(dim=0),
            "non_zeros": non_zeros.sum(dim=0),
            "update_ratios": torch.where(counted, (change / weight).sqrt(), 0).sum(dim=0),
            "updates": counted.sum(dim=0),
        }
        before = self._totals or {name: torch.zeros_like(value) for name, value in new.items()}
        self._totals = {name: before[name] + value for name, value in new.items()}


def _agree(squares: Tensor, true: Tensor) -> Tensor:
    return (squares.sqrt() - true.sqrt()).abs() <= TOLERANCE * true.sqrt()


def _stride(shape: torch.Size) -> int:
    """The smallest stride that leaves `MAX_SAMPLE` entries and meets every index of every dimension equally often."""
    stride = max(1, math.ceil(shape.numel() / MAX_SAMPLE))
    while any(math.gcd(stride, size) > 1 for size in shape):
        stride += 1
    return stride
