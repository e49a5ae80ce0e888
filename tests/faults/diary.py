"""What a run says of itself while it runs, line by line, in a file that outlives it."""

import hashlib
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_cnnviz.output.event_file import EventFile
from lightning_cnnviz.output.writer import Writer


class Diary:
    """Lines of JSON, each on the disk as soon as it is written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, **entry: Any) -> None:
        os.write(self._file, json.dumps(entry).encode() + b"\n")

    def listen(self) -> None:
        """Notes pictures that are asked for, flushed, and told to be lost, the closing and all warnings."""
        picture, close = Writer.picture, Writer.close
        write, flush, losses = EventFile.write, EventFile.flush, EventFile.losses
        unflushed: list[tuple[str, int]] = []

        def noting_picture(writer, drawing, step, *args, **options):
            self.note(asked=[drawing[0], step])
            return picture(writer, drawing, step, *args, **options)

        def noting_close(writer, trainer):
            self.note(closing=writer._users)
            return close(writer, trainer)

        def noting_write(file, summary, step):
            try:
                write(file, summary, step)
            except BaseException:
                unflushed.clear()  # nobody knows which of them the disk took
                raise
            unflushed.extend((value.tag, step) for value in summary.value if value.HasField("image"))

        def noting_flush(file, *now):
            try:
                flush(file, *now)
                if unflushed:
                    self.note(flushed=unflushed)
            finally:
                unflushed.clear()

        def noting_losses(file):
            lost = losses(file)
            if lost:
                self.note(lost=[(tag, step) for tag, step, _ in lost])
            return lost

        Writer.picture, Writer.close = noting_picture, noting_close
        EventFile.write, EventFile.flush, EventFile.losses = noting_write, noting_flush, noting_losses
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: self.note(warning=str(message))


class Steps(pl.Callback):
    """Notes a digest of the weights after every step, and gives faults some time to happen."""

    def __init__(self, diary: Diary, pause: float) -> None:
        self.diary, self.pause = diary, pause

    def on_train_batch_end(self, trainer, pl_module, *_):
        state = {name: value.numpy().tobytes() for name, value in pl_module.state_dict().items()}
        self.diary.note(step=trainer.global_step, weights=digest(state))
        time.sleep(self.pause)


def digest(state: dict[str, Any]) -> str:
    """A few letters for a lot of bytes."""
    return hashlib.sha256(repr(sorted(state.items())).encode()).hexdigest()[:16]
