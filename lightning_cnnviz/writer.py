"""The one door to the loggers: pictures are drawn and encoded in the background, in the order they came."""

import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from typing import Any, ClassVar, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch.utils.tensorboard.summary as summary
from PIL import Image
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_warn
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import FileWriter, SummaryWriter

from lightning_cnnviz.functional.image import Picture

MOST_WAITING = 64
"""Pictures that may wait; a caller with one more waits for room, since nothing is to be lost. Numbers take none."""


class Job(NamedTuple):
    """Something to be written: makes the summary, and takes what went wrong."""

    make: Callable[[], Summary]
    step: int
    failed: Callable[[Exception], None]
    is_picture: bool = False


class Writer:
    """Writes pictures and numbers to the loggers of a trainer; shared by all callbacks of that trainer.

    Pictures go to TensorBoard loggers, numbers to every logger. Everything that goes to TensorBoard passes one
    background thread, into the event file that the logger has open. The thread lives from the first `open`
    to the last `close`, and closing waits until everything is written.
    """

    _of_trainer: ClassVar["WeakKeyDictionary[Trainer, Writer]"] = WeakKeyDictionary()

    def __init__(self, trainer: Trainer) -> None:
        experiments = [(logger, getattr(logger, "experiment", None)) for logger in trainer.loggers]
        writing = trainer.is_global_zero
        self._boards = [board for _, board in experiments if isinstance(board, SummaryWriter) and writing]
        self._others = [logger for logger, board in experiments if not isinstance(board, SummaryWriter) and writing]
        self._users = 0
        self._resumed = False
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._room = threading.Semaphore(MOST_WAITING)
        self._thread: threading.Thread | None = None
        if writing and not self._boards:
            names = " and ".join(sorted({type(logger).__name__ for logger in trainer.loggers}))
            rank_zero_warn(
                f"lightning_cnnviz: {names} takes no pictures, only numbers are logged; "
                "for pictures use Trainer(logger=TensorBoardLogger(...))"
            )

    @property
    def takes_pictures(self) -> bool:
        """Whether pictures go anywhere: not without a logger for them, nor on other ranks than zero."""
        return bool(self._boards)

    @property
    def writes(self) -> bool:
        """Whether anything goes anywhere, be it numbers only: not without a logger, nor on other ranks than zero."""
        return bool(self._boards or self._others)

    @classmethod
    def open(cls, trainer: Trainer) -> "Writer":
        """The trainer's writer, made at the first call. Every `open` wants its `close`."""
        writer = cls._of_trainer.get(trainer)
        if writer is None:
            writer = cls._of_trainer[trainer] = cls(trainer)
        writer._users += 1
        return writer

    def close(self, trainer: Trainer) -> None:
        """Ends one use; the last one waits until everything is written and ends the thread."""
        self._users -= 1
        if self._users == 0:
            self._of_trainer.pop(trainer, None)
            if self._thread is not None:
                self._queue.put(None)
                self._thread.join()
                self._thread = None

    def resume(self, step: int) -> None:
        """Tells TensorBoard that what it holds of later steps was lost with a crash and comes again."""
        if not self._resumed and step > 0:
            for board in self._boards:
                start = SessionLog(status=SessionLog.START)
                _file_of(board).add_event(Event(step=step + 1, session_log=start))
        self._resumed = True

    def picture(
        self,
        tag: str,
        draw: Callable[[], Picture],
        step: int,
        failed: Callable[[Exception], None],
        at_once: bool = False,
    ) -> None:
        """Logs a picture.

        Args:
            tag: TensorBoard tag.
            draw: Makes the picture, later and on another thread: it must own what it draws.
            step: `trainer.global_step`; must not go back within a tag.
            failed: Called on the other thread with what `draw` raised.
            at_once: Draw on the caller's thread and let errors through, for debugging.
        """
        if not self.takes_pictures:
            return
        if at_once:
            picture = draw()
            self._put(Job(lambda: image_summary(tag, picture), step, failed, is_picture=True))
        else:
            self._put(Job(lambda: image_summary(tag, draw()), step, failed, is_picture=True))

    def scalars(self, values: Mapping[str, float], step: int, failed: Callable[[Exception], None]) -> None:
        """Logs numbers, tag → value; `failed` as for pictures."""
        if not values:
            return
        proto = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        if self._boards:
            self._put(Job(lambda: proto, step, failed))
        for logger in self._others:
            logger.log_metrics(dict(values), step=step)

    def texts(self, values: Mapping[str, str], step: int, failed: Callable[[Exception], None]) -> None:
        """Logs Markdown, tag → text; `failed` as for pictures."""
        for tag, text in values.items() if self._boards else ():
            self._put(Job(partial(summary.text, tag, text), step, failed))

    def chart_layout(self, layout: Mapping[str, Mapping[str, list[Any]]], failed: Callable[[Exception], None]) -> None:
        """Says which scalars TensorBoard's Custom Scalars tab draws together: category → chart → [kind, tags]."""
        if self._boards:
            proto = summary.custom_scalars(layout)  # type: ignore[no-untyped-call]
            self._put(Job(lambda: proto, 0, failed))

    def _put(self, job: Job) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="lightning_cnnviz.Writer", daemon=True)
            self._thread.start()
        if job.is_picture:
            self._room.acquire()
        self._queue.put(job)

    def _work(self) -> None:
        job: Job | None = None
        while True:
            last, job = job, self._queue.get()
            try:
                if job is not None:
                    proto = job.make()
                    for board in self._boards:
                        _file_of(board).add_summary(proto, job.step)
                if self._queue.empty():  # what is in the file survives the process
                    for board in self._boards:
                        board.flush()
            except Exception as error:
                if (blamed := job or last) is not None:
                    blamed.failed(error)
            if job is not None and job.is_picture:
                self._room.release()
            if job is None:
                return


def _file_of(board: SummaryWriter) -> FileWriter:
    # The event file that the logger writes into: a second one in the same folder would lose data.
    writer: FileWriter = board._get_file_writer()  # type: ignore[no-untyped-call]
    return writer


def image_summary(tag: str, picture: Picture) -> Summary:
    """A picture as TensorBoard's image summary, encoded as PNG."""
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG")
    height, width = picture.shape[:2]
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=buffer.getvalue())
    return Summary(value=[Summary.Value(tag=tag, image=image)])
