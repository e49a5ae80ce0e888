"""Measures that resolve two percent on a noisy machine.

Whole trainings differ by more from one to the next. So callbacks are switched on and off in turn within one training,
in blocks of steps short enough that whatever else the machine does hits neighbours alike; and the time inside their
hooks is taken hook by hook, which no other process's noise hides.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch

from benchmarks.rows import Range

LIFE = {"setup", "teardown", "on_fit_start", "on_fit_end", "on_train_start", "on_train_end", "on_exception"}
"""Hooks that are called whether a callback is switched on or not."""
HOOKS = [name for name in vars(pl.Callback) if name.startswith("on_") or name in LIFE]
RESAMPLES = 2000
WARM_UP = 2
"""Pairs of blocks that come before the measured ones."""


class Call(NamedTuple):
    """One call of a callback's hook: its start and duration in seconds, and the optimizer step it came after."""

    callback: str
    hook: str
    step: int
    start: float
    seconds: float


class Switchboard:
    """Times the hooks of any callbacks and switches the callbacks off and on, leaving their classes as they are.

    A callback that keeps hooks of its own elsewhere (on parameters, say) has a method `switched(on)` to take part.
    """

    def __init__(self, callbacks: Iterable[pl.Callback]) -> None:
        self.callbacks = list(callbacks)
        self.calls: list[Call] = []
        self._off: set[str] = set()
        self._inside = False
        for callback in self.callbacks:
            for hook in HOOKS:
                if getattr(type(callback), hook) is not getattr(pl.Callback, hook):
                    setattr(callback, hook, self._timed(callback, hook))

    def switch(self, on: Callable[[pl.Callback], bool]) -> None:
        """Switches each callback on or off."""
        self._off = {type(callback).__name__ for callback in self.callbacks if not on(callback)}
        for callback in self.callbacks:
            if hasattr(callback, "switched"):
                callback.switched(on(callback))

    def _timed(self, callback: pl.Callback, hook: str) -> Callable[..., Any]:
        function, name = getattr(callback, hook), type(callback).__name__

        @wraps(function)
        def timed(trainer: pl.Trainer, *arguments: Any, **options: Any) -> Any:
            if name in self._off and hook not in LIFE:
                return None
            if self._inside:  # a hook that calls another is one call
                return function(trainer, *arguments, **options)
            self._inside = True
            start = time.perf_counter()
            try:
                return function(trainer, *arguments, **options)
            finally:
                seconds = time.perf_counter() - start
                self.calls.append(Call(name, hook, trainer.global_step, start, seconds))
                self._inside = False

        return timed


class Blocks(pl.Callback):
    """Switches all callbacks off and on in blocks of training steps and takes each block's seconds.

    Goes first among a trainer's callbacks. Blocks come as off, on, on, off, …, so that a drift cancels.

    Args:
        board: What is switched; without callbacks it is bare against bare.
        steps: Steps of a block.
        pairs: Pairs of blocks to measure.
        budget: Seconds after which the pairs so far must do, if there are three.
    """

    def __init__(self, board: Switchboard, *, steps: int, pairs: int, budget: float) -> None:
        self.board = board
        self.steps = steps
        self.pairs = pairs
        self.budget = budget
        self._blocks: list[float] = []
        self._begun = self._start = 0.0

    @property
    def seconds(self) -> dict[str, list[float]]:
        """Seconds per step of the measured blocks, `"off"` and `"on"`, pair by pair."""
        found: dict[str, list[float]] = {"off": [], "on": []}
        for number, block in enumerate(self._blocks[: len(self._blocks) // 2 * 2]):
            if number >= 2 * WARM_UP:
                found["on" if self._is_on(number) else "off"].append(block / self.steps)
        return found

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        """Ends a block and begins the next."""
        if index % self.steps:
            return
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self._begun = self._begun or now
        if index:
            self._blocks.append(now - self._start)
        else:  # a new epoch: what has no partner, or contains the loader's start, is left out
            del self._blocks[len(self._blocks) // 2 * 2 :]
        pairs, odd = divmod(len(self._blocks), 2)
        enough = pairs - WARM_UP >= self.pairs or (pairs - WARM_UP >= 3 and now - self._begun > self.budget)
        trainer.should_stop = enough and not odd
        self.board.switch(lambda _: self._is_on(len(self._blocks)))
        self._start = time.perf_counter()

    @staticmethod
    def _is_on(number: int) -> bool:
        return number % 4 in (1, 2)


def paired_ratio(measured: Sequence[float], reference: Sequence[float]) -> tuple[float, Range]:
    """The median of neighbours' ratios, and its 95 % interval by the bootstrap (seed fixed).

    Args:
        measured: Durations.
        reference: As many, each the neighbour of the duration at its place.

    Example:
        >>> paired_ratio([2.0, 3.0, 8.0], [1.0, 1.0, 4.0])
        (2.0, (2.0, 3.0))
    """
    ratios = np.asarray(measured) / np.asarray(reference)
    chosen = np.random.default_rng(0).integers(len(ratios), size=(RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(ratios[chosen], axis=1), [0.025, 0.975])
    return float(np.median(ratios)), (float(low), float(high))
