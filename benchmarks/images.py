"""What a logged image costs the thread that logs it."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from benchmarks.measure import paired_ratio
from benchmarks.rows import Row
from benchmarks.settings import Settings
from lightning_cnnviz.functional.drawing.image import Picture
from lightning_cnnviz.output.writer import Writer

SIDE = 512
PAUSE = 0.1
"""Seconds between two pictures, in which what the background has to do is done."""


def rows(settings: Settings) -> Iterator[Row]:
    """Seconds on the caller's thread of our writer, as a ratio to `SummaryWriter.add_image`."""
    waves = np.sin(np.linspace(0, 9, SIDE))[:, None] * np.cos(np.linspace(0, 7, SIDE))
    picture = np.repeat((127.5 * (1 + waves)).astype(np.uint8)[..., None], 3, axis=2)
    count = 5 if settings.quick else 40
    with tempfile.TemporaryDirectory() as folder:
        ours = _ours(picture, count, folder)
        again = _ours(picture, count, folder)
        board = SummaryWriter(f"{folder}/theirs")
        theirs = _seconds(lambda step: board.add_image("picture", picture, step, dataformats="HWC"), count)
        board.close()
    ratio, interval = paired_ratio(ours, theirs)
    _, floor = paired_ratio(again, ours)
    yield Row(
        f"training thread per image logged ({SIDE}×{SIDE})",
        ratio,
        "× SummaryWriter.add_image",
        interval,
        floor,
        at_most=1 / 20,
        note=f"({1000 * statistics.median(ours):.2f} ms, {1000 * statistics.median(theirs):.0f} ms); "
        "bare / bare: ours against itself",
        samples={"seconds": ours, "seconds_again": again, "seconds_add_image": theirs},
    )


def _ours(picture: Picture, count: int, folder: str) -> list[float]:
    trainer = pl.Trainer(logger=TensorBoardLogger(folder, name="ours"), enable_progress_bar=False, accelerator="cpu")
    writer = Writer.open(trainer)
    account = writer.ledger.open("benchmark")

    def log(step: int) -> None:
        snapshot = picture.copy()
        writer.picture(("picture", partial(np.asarray, snapshot)), step, account)

    seconds = _seconds(log, count)
    writer.close(trainer)
    if account.failures:
        raise account.failures[0].error
    return seconds


def _seconds(log: Callable[[int], None], count: int) -> list[float]:
    found = []
    for step in range(count):
        start = time.perf_counter()
        log(step)
        found.append(time.perf_counter() - start)
        time.sleep(PAUSE)
    return found
