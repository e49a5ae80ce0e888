"""A bound on what the callbacks of this package may cost."""

import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info

from lightning_cnnviz.callbacks.base import VisualCallback
from lightning_cnnviz.callbacks.forgiving import ForgivingCallback

CHECK_EVERY = 1000
"""Optimizer steps after which the cost is looked at, where an epoch does not end before."""
LEAST_SAVING = 1e-4
"""Share of the training time that drawing less often has to be able to save."""
LEAST_ROOM = 1e-3
"""Share of the bytes below which pictures do not come yet less often."""


class CostLimit(ForgivingCallback):
    """Has costly callbacks draw less often until all of them together keep to a limit.

    What counts is the time on the training thread that this package's callbacks measure themselves, as a share of
    the time that passes, and the bytes of their records in the event file. Whenever the limit is exceeded since the
    last change, the interval of the callback to blame is doubled, and one line says so.

    Args:
        max_overhead: Share of the training time, above 0 and below 1; None for no limit.
        max_event_mb: Megabytes in the event file, or of pictures without one, above 0; None for no limit. At half of
            it, at three quarters, and so on, pictures become rarer; at all of it there are no more, only numbers.

    Raises:
        ValueError: If a limit is impossible, or there is none.

    Example:
        >>> from lightning_cnnviz import cnnviz_callbacks
        >>> type(cnnviz_callbacks(max_overhead=0.05)[-1]).__name__
        'CostLimit'
    """

    def __init__(self, *, max_overhead: float | None = 0.05, max_event_mb: float | None = None) -> None:
        super().__init__()
        if max_overhead is None and max_event_mb is None:
            raise ValueError("expected max_overhead or max_event_mb, got neither; for no limit leave CostLimit out")
        if max_overhead is not None and not 0 < max_overhead < 1:
            raise ValueError(f"expected max_overhead to be a share between 0 and 1, got {max_overhead}")
        if max_event_mb is not None and not max_event_mb > 0:
            raise ValueError(f"expected max_event_mb to be above 0, got {max_event_mb}")
        self.max_overhead = max_overhead
        self.max_event_mb = max_event_mb
        self._since: tuple[float, int, dict[VisualCallback, tuple[float, float]]] = (0.0, 0, {})
        self._room_left = 1.0
        self._helpless = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins to measure."""
        self._room_left, self._helpless = 1.0, False
        for visual in _visuals(trainer):
            visual.limit_bytes(None if self.max_event_mb is None else int(self.max_event_mb * 1e6))
        self._begin(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the cost in epochs that are long."""
        if trainer.global_step - self._since[1] >= CHECK_EVERY:
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the cost."""
        self._check(trainer)

    def _begin(self, trainer: Trainer) -> None:
        spent = {visual: (visual.account.seconds, visual.account.flexible) for visual in _visuals(trainer)}
        self._since = time.perf_counter(), trainer.global_step, spent

    def _check(self, trainer: Trainer) -> None:
        blamed, words = None, ""
        if trainer.is_global_zero:
            blamed, words = self._too_slow(trainer) or self._too_large(trainer) or (None, "")
        # Every rank does as rank zero, since some callbacks draw together.
        blamed = trainer.strategy.broadcast(blamed)
        if blamed is not None:
            visual = _visuals(trainer)[blamed]
            visual.stretch *= 2
            words = f"{words}; {visual.account.name} now draws {visual.schedule.in_words(visual.stretch)}"
            self._begin(trainer)
        if words:
            rank_zero_info(f"CostLimit: {words}")

    def _too_slow(self, trainer: Trainer) -> tuple[int | None, str] | None:
        start, step, before = self._since
        elapsed = time.perf_counter() - start
        spent = [visual.account.seconds - before[visual][0] for visual in before]
        if self.max_overhead is None or self._helpless or sum(spent) <= self.max_overhead * elapsed:
            return None
        words = f"the callbacks took {sum(spent) / elapsed:.1%} of the time since step {step}"
        words = f"{words}, the limit is {self.max_overhead:.1%}"
        savings = [visual.account.flexible - before[visual][1] for visual in before]
        costliest = savings.index(max(savings))
        if savings[costliest] < LEAST_SAVING * elapsed:
            self._helpless = True
            return None, f"{words}; drawing less often does not help, leave callbacks out"
        return costliest, words

    def _too_large(self, trainer: Trainer) -> tuple[int, str] | None:
        if self.max_event_mb is None:
            return None
        written, limit = [visual.account.written for visual in _visuals(trainer)], self.max_event_mb * 1e6
        if limit - sum(written) > self._room_left / 2 * limit or self._room_left < LEAST_ROOM:
            return None
        self._room_left /= 2
        words = f"{sum(written) / 1e6:.2f} of {limit / 1e6:g} MB of the event file are written"
        return written.index(max(written)), words


def _visuals(trainer: Trainer) -> list[VisualCallback]:
    return [callback for callback in trainer.callbacks if isinstance(callback, VisualCallback)]  # type: ignore[attr-defined]
