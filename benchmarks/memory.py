"""Growth of resident memory over a training, each in a process of its own: `python -m benchmarks.memory KIND …`."""

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
    """Resident megabytes of the process and its children after each step."""

    def __init__(self) -> None:
        self.megabytes: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Looks."""
        self.megabytes.append(resident_megabytes())


def rows(settings: Settings) -> Iterator[Row]:
    """Megabytes at step 2,000 less those at step 200."""
    first, last, every = (20, 60, 10) if settings.quick else (FIRST, LAST, EVERY)
    grown, samples = {}, {}
    for kind in ("bare", "standard"):
        command = [sys.executable, "-m", "benchmarks.memory", kind, str(last), str(every)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        megabytes = json.loads(run.stdout.splitlines()[-1])
        at = {step: statistics.median(megabytes[step - AROUND : step]) for step in (first, last)}
        grown[kind] = at[last] - at[first]
        samples[f"megabytes_{kind}"] = megabytes[every - 1 :: every]
    yield Row(
        f"resident memory from step {first:,} to {last:,}, a picture every {every}",
        grown["standard"],
        "MB more",
        floor=(min(0.0, grown["bare"]), max(0.0, grown["bare"])),
        at_most=5.0,
        note="standard set",
        samples=samples,
    )


def main() -> None:
    """Trains and prints the megabytes after each step."""
    kind, steps, every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    memory = Memory()
    fit(FashionCNN(), fashion(), [*KINDS[kind](every), memory], max_steps=steps, limit_val_batches=5)
    print(json.dumps([round(value, 2) for value in memory.megabytes]))


if __name__ == "__main__":
    main()
