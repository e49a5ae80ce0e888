"""Processor time of the helper process per epoch: the standard set without the projection, LeNet-5 on MNIST.

Each training is a process of its own, whose only child is the helper, so that the system's account of the children
that have ended is the helper's whole time, its start and imports included. With another checkout of the package, the
two take turns, and the row is the ratio to it: `python -m benchmarks --only helper --baseline FOLDER`.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import paired_ratio
from benchmarks.rows import Row, missing
from benchmarks.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
NAME = "processor time of the helper per epoch, LeNet-5, no projection"
EPOCHS, REPEATS = 6, 7
"""Epochs of a training, few enough that all of their pictures are drawn; and trainings of each checkout."""
TRAINING = """
import resource, sys
from benchmarks.models import fit
from benchmarks.variants import standard_without_projection
from recipes.data import MNIST
from recipes.lenet5 import LeNet5
steps = {"limit_train_batches": 150, "limit_val_batches": 20}
fit(LeNet5(), MNIST(batch_size=64), standard_without_projection(), max_epochs=int(sys.argv[1]), **steps)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("seconds", used.ru_utime + used.ru_stime)
"""


def rows(settings: Settings) -> Iterator[Row]:
    """Seconds per epoch, or their ratio to another checkout's."""
    if not Path("/proc").exists():
        yield missing(NAME, "s", "the system keeps no account of child processes that we can read")
        return
    epochs, repeats = (1, 1) if settings.quick else (EPOCHS, REPEATS)
    folders = [ROOT] if settings.baseline is None else [ROOT, settings.baseline.resolve()]
    seconds: dict[Path, list[float]] = {folder: [] for folder in folders}
    for repeat in range(repeats):
        for folder in folders[:: -1 if repeat % 2 else 1]:
            seconds[folder].append(helper_seconds(folder, epochs) / epochs)
    ours = seconds[ROOT]
    if settings.baseline is None:
        note = f"{min(ours):.3f} … {max(ours):.3f} in {repeats} trainings of {epochs} epochs"
        yield Row(NAME, statistics.median(ours), "s", note=note, samples={"seconds_per_epoch": ours})
        return
    theirs = seconds[folders[1]]
    ratio, interval = paired_ratio(ours, theirs)
    note = f"({statistics.median(ours):.3f} s, {statistics.median(theirs):.3f} s)"
    samples = {"seconds_per_epoch": ours, "seconds_per_epoch_baseline": theirs}
    yield Row(NAME, ratio, f"× {folders[1].name}", interval, note=note, samples=samples)


def helper_seconds(folder: Path, epochs: int) -> float:
    """Trains once with the package in a folder; returns the processor time of all child processes, in seconds."""
    run = subprocess.run(
        [sys.executable, "-c", TRAINING, str(epochs)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return float(run.stdout.split("seconds")[-1])
