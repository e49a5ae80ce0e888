"""A limit on the cost of this package's callbacks."""

import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info

from lightning_cnnviz.callbacks.base import VisualCallback
from lightning_cnnviz.callbacks.guarded import GuardedCallback
from lightning_cnnviz.lightning import logged_step

CHECK_AFTER_STEPS = 1000
"""Optimizer steps after which the cost is also checked within an epoch."""
MIN_SAVING = 1e-4
"""Share of the elapsed time that drawing less often must be able to save."""
MIN_FREE_SHARE = 1e-3
"""Share of the byte limit; intervals are no longer doubled once less than this is free."""


class CostLimit(GuardedCallback):
    """Makes costly callbacks draw less often, so that all of them together stay within a limit.

    The cost is the time that this package's callbacks spend on the training thread (as measured by themselves) and the
    processor time that drawing and computing take beside it, together as a share of the elapsed time, and the size of
    their records in the event file. Whenever the cost since the last
    change exceeds the limit, the interval of the costliest callback is doubled and the change is reported in one line.

    Args:
        max_overhead: Share of the training time, above 0 and below 1; None for no limit. Both the training thread and
            the helper process count.
        max_event_mb: Megabytes in the event file (of pictures, if there is no event file), above 0; None for no
            limit. An interval is doubled when half of it is used, three quarters, and so on; once all of it is used,
            only scalars are logged.

    Raises:
        ValueError: If a limit is out of range, or if neither is given.

    Example:
        >>> from lightning_cnnviz import cnnviz_callbacks
        >>> type(cnnviz_callbacks(max_overhead=0.05)[-1]).__name__
        'CostLimit'
    """

    def __init__(self, *, max_overhead: float | None = 0.05, max_event_mb: float | None = None) -> None:
        super().__init__()
        self.account.task = "limit the cost"
        if max_overhead is None and max_event_mb is None:
            raise ValueError("expected max_overhead or max_event_mb, got neither; for no limit remove CostLimit")
        if max_overhead is not None and not 0 < max_overhead < 1:
            raise ValueError(f"expected max_overhead to be a share between 0 and 1, got {max_overhead}")
        if max_event_mb is not None and not max_event_mb > 0:
            raise ValueError(f"expected max_event_mb to be above 0, got {max_event_mb}")
        self.max_overhead = max_overhead
        self.max_event_mb = max_event_mb
        self._last_check = 0
        self._baseline: tuple[float, int, dict[VisualCallback, tuple[float, float]]] = (0.0, 0, {})
        self._free_share = 1.0
        self._out_of_savings = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts measuring."""
        self._free_share, self._out_of_savings = 1.0, False
        for visual in _visuals(trainer):
            visual.limit_bytes(None if self.max_event_mb is None else int(self.max_event_mb * 1e6))
        self._reset_baseline(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Checks the cost in long epochs."""
        if logged_step(trainer) - self._last_check >= CHECK_AFTER_STEPS:
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks the cost."""
        self._check(trainer)

    def _reset_baseline(self, trainer: Trainer) -> None:
        spent = {visual: _spent(visual) for visual in _visuals(trainer)}
        self._baseline = time.perf_counter(), logged_step(trainer), spent
        self._last_check = logged_step(trainer)

    def _check(self, trainer: Trainer) -> None:
        self._last_check = logged_step(trainer)
        costliest, message = None, ""
        if trainer.is_global_zero:
            costliest, message = self._too_slow(trainer) or self._too_large(trainer) or (None, "")
        # All ranks follow rank 0, since some callbacks draw collectively.
        costliest = trainer.strategy.broadcast(costliest)
        if costliest is not None:
            visual = _visuals(trainer)[costliest]
            visual.stretch *= 2
            message = f"{message}; {visual.account.name} now draws {visual.schedule.in_words(visual.stretch)}"
            self._reset_baseline(trainer)
        if message:
            rank_zero_info(f"CostLimit: {message}")

    def _too_slow(self, trainer: Trainer) -> tuple[int | None, str] | None:
        start, step, before = self._baseline
        elapsed = time.perf_counter() - start
        spent = [_spent(visual)[0] - before[visual][0] for visual in before]
        if self.max_overhead is None or self._out_of_savings or sum(spent) <= self.max_overhead * elapsed:
            return None
        message = f"the callbacks took {sum(spent) / elapsed:.1%} of the time since step {step}, their helper included"
        message = f"{message}; the limit is {self.max_overhead:.1%}"
        savings = [_spent(visual)[1] - before[visual][1] for visual in before]
        costliest = savings.index(max(savings))
        if savings[costliest] < MIN_SAVING * elapsed:
            self._out_of_savings = True
            return None, f"{message}; drawing less often does not help; remove callbacks"
        return costliest, message

    def _too_large(self, trainer: Trainer) -> tuple[int, str] | None:
        if self.max_event_mb is None:
            return None
        written, limit = [visual.account.written for visual in _visuals(trainer)], self.max_event_mb * 1e6
        if limit - sum(written) > self._free_share / 2 * limit or self._free_share < MIN_FREE_SHARE:
            return None
        self._free_share /= 2
        message = f"event file: {sum(written) / 1e6:.2f} of {limit / 1e6:g} MB used"
        return written.index(max(written)), message


def _spent(visual: VisualCallback) -> tuple[float, float]:
    """Returns the seconds that a callback has taken, and those that drawing less often would save."""
    account = visual.account
    return account.seconds + account.background, account.flexible + account.background


def _visuals(trainer: Trainer) -> list[VisualCallback]:
    return [callback for callback in trainer.callbacks if isinstance(callback, VisualCallback)]  # type: ignore[attr-defined]
