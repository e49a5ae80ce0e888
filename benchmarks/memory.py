"""Growth of a training process's memory, each in a process of its own: `python -m benchmarks.memory KIND …`."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl

from benchmarks.background import resident_megabytes
from benchmarks.models import fashion, fit
from benchmarks.rows import Row
from benchmarks.settings import Settings
from lightning_cnnviz import cnnviz_callbacks
from recipes.fashion_cnn import FashionCNN

KINDS = {
    "bare": lambda _: [],
    "standard": lambda every: cnnviz_callbacks(every_n_train_steps=every),
}
FIRST, LAST, EVERY = 200, 2000, 100
AROUND = 10
"""Steps before a moment over which the median is taken."""


class Memory(pl.Callback):
    """Resident megabytes of the process, and of its children, after each step."""

    def __init__(self) -> None:
        self.megabytes: list[tuple[float, float]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Looks."""
        self.megabytes.append(resident_megabytes())


def rows(settings: Settings) -> Iterator[Row]:
    """Megabytes at step 2,000 less those at step 200, and what the helper process takes at step 2,000."""
    first, last, every = (10, 30, 10) if settings.quick else (FIRST, LAST, EVERY)
    grown, samples, helper = {}, {}, 0.0
    for kind in ("bare", "standard"):
        command = [sys.executable, "-m", "benchmarks.memory", kind, str(last), str(every)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        own, helpers = zip(*json.loads(run.stdout.splitlines()[-1]), strict=True)
        at = {step: statistics.median(own[step - AROUND : step]) for step in (first, last)}
        grown[kind], helper = at[last] - at[first], statistics.median(helpers[-AROUND:])
        samples[f"megabytes_{kind}"] = list(own[every - 1 :: every])
        samples[f"megabytes_helper_{kind}"] = list(helpers[every - 1 :: every])
    yield Row(
        f"resident memory from step {first:,} to {last:,}, a picture every {every}",
        grown["standard"],
        "MB more",
        floor=(min(0.0, grown["bare"]), max(0.0, grown["bare"])),
        at_most=5.0,
        note=f"standard set; beside it the helper process: {helper:.0f} MB",
        samples=samples,
    )


def main() -> None:
    """Trains and prints the megabytes after each step."""
    kind, steps, every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    memory = Memory()
    fit(FashionCNN(), fashion(), [*KINDS[kind](every), memory], max_steps=steps, limit_val_batches=5)
    print(json.dumps([[round(value, 2) for value in each] for each in memory.megabytes]))


if __name__ == "__main__":
    main()
