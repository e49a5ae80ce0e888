"""Whole runs of the FashionMNIST CNN with the standard set, against bare ones.

What a user pays: processor time of the training process and of its helper together, and the time from `fit` until it
returns, with all that is still drawn after the last step. Bare runs and runs with callbacks alternate, so that what
else the machine does hits neighbours alike; of the two, processor time is the one that other programs disturb less.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytorch_lightning as pl

from benchmarks.measure import paired_ratio
from benchmarks.models import fashion, fit
from benchmarks.rows import BARE, Row, missing
from benchmarks.settings import Settings
from lightning_cnnviz import cnnviz_callbacks
from recipes.fashion_cnn import FashionCNN

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]


class Length(NamedTuple):
    """How long a run is.

    Attributes:
        name: Of its epochs, after what they take on two idle cores.
        batches: Share of the training data's batches in an epoch.
        epochs: Epochs of a run.
        pairs: Pairs of runs.
        at_most: Bound of the ratio of processor times.
    """

    name: str
    batches: float
    epochs: int
    pairs: int
    at_most: float


LENGTHS = (Length("10-second", 1.0, 4, 4, 1.06), Length("3-second", 0.3, 6, 6, 1.2))


class Spent(NamedTuple):
    """What a run took, in seconds.

    Attributes:
        processor: Processor time of this process and of the child processes that have ended.
        clock: From `fit` until it returns.
    """

    processor: float
    clock: float


def spent_by(callbacks: list[pl.Callback], epochs: int, options: dict[str, Any]) -> Spent:
    """Trains once."""
    start, before = time.perf_counter(), _processor_seconds()
    fit(FashionCNN(), fashion(), callbacks, max_epochs=epochs, **options)
    return Spent(_processor_seconds() - before, time.perf_counter() - start)


def rows(settings: Settings) -> Iterator[Row]:
    """Ratios of processor time and of time by the clock."""
    if resource is None:
        yield missing("standard set, whole run, processor time", BARE, "needs a Unix", LENGTHS[0].at_most)
        return
    for length in LENGTHS:
        options: dict[str, Any] = {"limit_train_batches": length.batches}
        epochs, pairs = length.epochs, length.pairs
        if settings.quick:
            options, epochs, pairs = {"limit_train_batches": 20, "limit_val_batches": 2}, 1, 1
        spent_by(cnnviz_callbacks(), 1, {"limit_train_batches": 5, "limit_val_batches": 2})  # all is imported now
        found: dict[str, list[Spent]] = {"bare": [], "standard": [], "again": []}
        for number in range(pairs):
            for name in list(found)[:: -1 if number % 2 else 1]:
                callbacks = cnnviz_callbacks() if name == "standard" else []
                found[name].append(spent_by(callbacks, epochs, options))
        for what, at_most in (("processor", length.at_most), ("clock", None)):
            seconds = {name: [getattr(one, what) for one in runs] for name, runs in found.items()}
            ratio, interval = paired_ratio(seconds["standard"], seconds["bare"])
            _, floor = paired_ratio(seconds["again"], seconds["bare"])
            words = {"processor": "processor time, helper included", "clock": "from fit to its return"}[what]
            note = f"{sorted(seconds['bare'])[pairs // 2]:.1f} s a bare run of {epochs} epochs"
            samples = {f"{what}_seconds_{name}": values for name, values in seconds.items()}
            name = f"standard set, {length.name} epochs: {words}"
            yield Row(name, ratio, BARE, interval, floor, at_most, note, samples)


def _processor_seconds() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
