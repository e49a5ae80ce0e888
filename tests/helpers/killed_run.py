"""A run that is killed with SIGKILL once its pictures have reached the event file. Argument: a folder."""

import os
import signal
import sys
import time
from pathlib import Path

import pytorch_lightning as pl

from helpers.tiny import fit, image_steps
from lightning_cnnviz import cnnviz_callbacks


class Killer(pl.Callback):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_validation_end(self, trainer, *_):
        if trainer.global_step == 4:
            deadline = time.monotonic() + 180
            while time.monotonic() < deadline:
                steps = image_steps(self.folder)
                late = [found[-1] for tag, found in steps.items() if tag != "architecture/diagram"]  # drawn once
                if "projection/act/tsne" in steps and set(late) == {4}:
                    break
                time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    fit(where, [*cnnviz_callbacks(every_n_train_steps=1), Killer(where)], val_check_interval=1)
