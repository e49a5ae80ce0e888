"""An account of one training: what callbacks take on its thread, what they take beside it, where they hold it up."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl

from benchmarks.background import Background
from benchmarks.measure import Switchboard
from benchmarks.models import fit
from lightning_cnnviz.callbacks import Diagnosis, VisualCallback
from recipes.classifier import Classifier


class Account(NamedTuple):
    """One training.

    Attributes:
        seconds: From `fit` to its return.
        step: Median seconds from one step's end to the next.
        hiccup: Seconds by which the longest step, with what comes before its end, is longer than the median.
        hooks: Seconds on the training thread by callback, but for waiting at the end.
        stalls: By callback the longest seconds on the training thread at one go between first and last step; of
            a projection without its forward pass.
        background: CPU seconds of threads and processes that the training itself does not need.
        tail: Seconds from the last step until `fit` returns.
    """

    seconds: float
    step: float
    hiccup: float
    hooks: dict[str, float]
    stalls: dict[str, float]
    background: float
    tail: float


class StepTimes(pl.Callback):
    """When each step began and ended. Goes last among a trainer's callbacks."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.ends: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Notes the time."""
        self.starts.append(time.perf_counter())

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Notes the time."""
        self.ends.append(time.perf_counter())


def ledger(
    model: Classifier,
    data: pl.LightningDataModule,
    callbacks: Sequence[pl.Callback],
    epochs: int,
    options: dict[str, Any],
) -> Account:
    """Trains once and takes account.

    Args:
        model: What is trained.
        data: What it is trained on.
        callbacks: What is accounted for.
        epochs: How many; what is drawn at the end of the last counts among the hooks, not among the stalls.
        options: Of the trainer.
    """
    board, times = Switchboard(callbacks), StepTimes()
    forwards = [_timed_forward(callback) for callback in callbacks if type(callback).__name__ == "EmbeddingProjection"]
    with Background().watched() as background:
        start = time.perf_counter()
        fit(model, data, [*board.callbacks, times], max_epochs=epochs, **options)
        end = time.perf_counter()
    hooks: Counter[str] = Counter()
    stalls: dict[str, float] = {}
    for call in board.calls:
        if call.hook != "teardown":
            hooks[call.callback] += call.seconds
        if times.starts[0] < call.start < times.ends[-1]:
            ended = call.start + call.seconds
            aside = sum(seconds for passes in forwards for at, seconds in passes if call.start <= at < ended)
            stalls[call.callback] = max(stalls.get(call.callback, 0.0), call.seconds - aside)
    for callback in callbacks:
        if isinstance(
            callback, (VisualCallback, Diagnosis)
        ):  # whose account knows of work within the model's own passes, too
            name = type(callback).__name__
            hooks[name] = max(hooks[name], callback.account.seconds)
    step = float(np.median(np.diff(times.ends)))
    steps = np.subtract(times.ends, times.starts)
    hiccup = float(steps.max() - np.median(steps))
    return Account(end - start, step, hiccup, dict(hooks), stalls, background.seconds, end - times.ends[-1])


def _timed_forward(callback: Any) -> list[tuple[float, float]]:
    """Start and seconds of each forward pass that a callback makes, from now on."""
    passes: list[tuple[float, float]] = []
    look = callback.activations

    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return look(*arguments)
        finally:
            passes.append((start, time.perf_counter() - start))

    callback.activations = timed
    return passes
