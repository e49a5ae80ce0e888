"""How soon a picture is in the file, beside other programs that keep the cores busy."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytorch_lightning as pl

from benchmarks.models import fashion, fit
from benchmarks.rows import Row
from benchmarks.settings import Settings
from lightning_cnnviz import cnnviz_callbacks
from lightning_cnnviz.output.event_file import EventFile
from recipes.fashion_cnn import FashionCNN

BUSY = 2
"""Other processes that keep a core busy."""
EPOCHS, PART = 6, {"limit_train_batches": 0.3}


@contextmanager
def busy_cores(count: int = BUSY) -> Iterator[None]:
    """Has other processes keep as many cores busy."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


class Arrivals(pl.Callback):
    """Notes when epochs end, and when records of their steps are written."""

    def __init__(self) -> None:
        self.due: dict[int, float] = {}
        self.written: dict[str, dict[int, float]] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins to listen."""
        self._write = EventFile.write

        def write(file: EventFile, summary: Any, step: int) -> None:
            self._write(file, summary, step)
            for value in summary.value:
                if value.HasField("image"):
                    self.written.setdefault(value.tag, {})[step] = time.perf_counter()

        EventFile.write = write  # type: ignore[method-assign]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes the time; goes first among a trainer's callbacks."""
        self.due[trainer.global_step] = time.perf_counter()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listens to nothing any more."""

    def delays(self) -> dict[str, list[float]]:
        """Returns for each tag how long its pictures took, in epochs: 1 is when the next of the tag was due."""
        EventFile.write = self._write  # type: ignore[method-assign]
        epoch = float(np.median(np.diff(list(self.due.values()))))
        return {
            tag: [(at - self.due[step]) / epoch for step, at in written.items() if step in self.due]
            for tag, written in self.written.items()
        }


def rows(settings: Settings) -> Iterator[Row]:
    """The longest delay of any picture of the standard set, in epochs."""
    arrivals = Arrivals()
    epochs, part = (3, {"limit_train_batches": 20, "limit_val_batches": 5}) if settings.quick else (EPOCHS, PART)
    with busy_cores():
        fit(FashionCNN(), fashion(), [arrivals, *cnnviz_callbacks()], max_epochs=epochs, **part)
    delays = {tag: found for tag, found in arrivals.delays().items() if len(found) > 1}
    worst = max(delays, key=lambda tag: max(delays[tag]))
    median = float(np.median([delay for found in delays.values() for delay in found]))
    yield Row(
        f"standard set beside {BUSY} busy processes: longest delay of a picture",
        max(delays[worst]),
        "epochs (1: as the next one is due)",
        at_most=1.0,
        note=f"{worst}; median of all pictures {median:.2f}",
        samples={f"epochs_{tag}": found for tag, found in delays.items()},
    )
