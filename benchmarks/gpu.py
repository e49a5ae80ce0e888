"""On a GPU: how often a step waits for the device, and time per step."""

import statistics
import warnings
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.measure import Blocks, Switchboard, paired_ratio
from benchmarks.models import CASES, FASHION_CNN, fit
from benchmarks.rows import BARE, Row, missing
from benchmarks.settings import Settings
from benchmarks.variants import gradient_flow

STEPS = 200
FIRST = 20
"""Steps that are not counted: the first ones set things up."""
BLOCKS = {"3c3d": (50, 20), "VGG-16": (50, 20), FASHION_CNN: (50, 16)}
"""Steps of a block and pairs of blocks."""


class Waits(pl.Callback):
    """Counts the warnings by which PyTorch tells of each wait for the device. Goes last among the callbacks."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        """Ends the count of a step."""
        self.counts.append(len(self._told))
        self._told.clear()
        torch.cuda.set_sync_debug_mode("warn" if index < STEPS - 2 else "default")

    def of(self, callbacks: list[pl.Callback]) -> list[int]:
        """Waits in each step of a training that draws nothing before its end."""
        case = CASES[FASHION_CNN]
        with warnings.catch_warnings(record=True) as self._told:
            warnings.simplefilter("always")
            try:
                data, own = case.data(), [*callbacks, self]
                fit(case.model(), data, own, accelerator="gpu", max_steps=STEPS, limit_val_batches=0)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return self.counts[FIRST : STEPS - 2]


def rows(settings: Settings) -> Iterator[Row]:
    """Waits per step beyond bare training's, and ratios of steps with and without."""
    if not torch.cuda.is_available():
        yield missing("GPU: waits per step between pictures", "waits", "no CUDA device here")
        return
    bare, ours = Waits().of([]), Waits().of(gradient_flow())
    yield Row(
        "GPU: GradientFlow, waits per step between pictures",
        statistics.fmean(ours) - statistics.fmean(bare),
        "waits beyond bare",
        at_most=0.0,
        note=f"(bare training: {statistics.fmean(bare):.2f})",
        samples={"waits": ours, "waits_bare": bare},
    )
    for name, (steps, pairs) in BLOCKS.items():
        found = {}
        for kind, callbacks in (("bare", []), ("ours", gradient_flow())):
            board = Switchboard(callbacks)
            blocks = Blocks(board, steps=steps, pairs=3 if settings.quick else pairs, budget=30)
            case = CASES[name]
            own = [blocks, *board.callbacks]
            fit(case.model(), case.data(), own, accelerator="gpu", limit_val_batches=0)
            found[kind] = blocks.seconds
        _, floor = paired_ratio(found["bare"]["on"], found["bare"]["off"])
        ratio, interval = paired_ratio(found["ours"]["on"], found["ours"]["off"])
        note = f"{1000 * statistics.median(found['ours']['off']):.2f} ms a bare step"
        samples = {f"seconds_per_step_{state}": values for state, values in found["ours"].items()}
        yield Row(f"GPU: {name}: GradientFlow, every step", ratio, BARE, interval, floor, note=note, samples=samples)
