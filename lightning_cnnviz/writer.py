"""The one door to the loggers: pictures are drawn and encoded elsewhere, in the order they came."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeAlias
from weakref import WeakKeyDictionary

import torch.utils.tensorboard.summary as summary
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from lightning_cnnviz.costs import Account, Ledger
from lightning_cnnviz.event_file import EventFile, image_summary, scalar_summary
from lightning_cnnviz.functional.encode import Encoded, draw_encoded
from lightning_cnnviz.functional.image import Picture
from lightning_cnnviz.lane import Job, Lane
from lightning_cnnviz.worker import Worker

MOST_WAITING = 128
"""Pictures that may wait to be drawn; more take the place of older ones of the same tag."""
SHOWN = 10
"""Images of a tag that TensorBoard keeps unless it is told otherwise."""
PATIENCE = 3
"""Seconds at the end of a run after which a line says what is being waited for."""

Drawing: TypeAlias = tuple[str, Callable[[], "Picture | Encoded"]]
"""A tag, and what makes the picture later and elsewhere: it has to own what it draws."""
Run: TypeAlias = Callable[[Callable[[], Any]], Any]
"""Runs a function in the helper process and returns what it returned."""
Results: TypeAlias = tuple[Iterable[Drawing], Mapping[str, float]]
"""Pictures and numbers."""
Computation: TypeAlias = Callable[[Run], Results]
"""What takes long to compute, called on another thread."""


class Writer:
    """Writes pictures and numbers to the loggers of a trainer; shared by all callbacks of that trainer.

    Pictures go to TensorBoard loggers, numbers to every logger. What is drawn or computed runs in a helper process
    (see `Worker`), one thread here hands it there and writes what comes back into the event file that the logger has
    open, another does so for long computations. Both live from the first use to the last `close`, and closing waits
    until everything is written.
    """

    _of_trainer: ClassVar["WeakKeyDictionary[Trainer, Writer]"] = WeakKeyDictionary()

    def __init__(self, trainer: Trainer) -> None:
        experiments = [(logger, getattr(logger, "experiment", None)) for logger in trainer.loggers]
        writing = trainer.is_global_zero
        self._files = [EventFile(board) for _, board in experiments if isinstance(board, SummaryWriter) and writing]
        self._others = [logger for logger, board in experiments if not isinstance(board, SummaryWriter) and writing]
        self.ledger = Ledger()
        self.most_bytes: int | None = None
        """Bytes that pictures may add to the event file; those beyond are left out."""
        self._users = 0
        self._resumed = False
        self._shown: Counter[str] = Counter()
        self._told: set[str] = set()
        self._last = Account("")
        self._late: deque[tuple[dict[str, float], int]] = deque()
        self._drawing = Lane("Writer", room=MOST_WAITING, per_key=MOST_WAITING, idle=self._flush)
        self._computing = Lane("Computing", room=MOST_WAITING, per_key=1)
        self._worker = Worker.acquire()
        if writing and not self._files:
            names = " and ".join(sorted({type(logger).__name__ for logger in trainer.loggers}))
            rank_zero_warn(
                f"lightning_cnnviz: {names} takes no pictures, only numbers are logged; "
                "for pictures use Trainer(logger=TensorBoardLogger(...))"
            )

    @property
    def takes_pictures(self) -> bool:
        """Whether pictures go anywhere: not without a logger for them, nor on other ranks than zero."""
        return bool(self._files)

    @property
    def writes(self) -> bool:
        """Whether anything goes anywhere, be it numbers only: not without a logger, nor on other ranks than zero."""
        return bool(self._files or self._others)

    @classmethod
    def open(cls, trainer: Trainer) -> "Writer":
        """The trainer's writer, made at the first call. Every `open` wants its `close`."""
        writer = cls._of_trainer.get(trainer)
        if writer is None:
            writer = cls._of_trainer[trainer] = cls(trainer)
        writer._users += 1
        return writer

    def close(self, trainer: Trainer) -> None:
        """Ends one use; the last one waits until everything is written, and says what it all cost."""
        self._users -= 1
        if self._users:
            return
        self._of_trainer.pop(trainer, None)
        lanes = (self._computing, self._drawing)  # computations give pictures
        try:
            self.ledger.end(trainer.global_step)
            for lane in lanes:
                if not lane.close(PATIENCE):
                    words = f"{lane.waiting() + 1} of the last pictures are still being drawn; Ctrl-C leaves them out"
                    rank_zero_info(f"lightning_cnnviz: {words}")
                    lane.close()
        except KeyboardInterrupt:
            for lane in lanes:
                lane.clear()
            self._worker.kill()
            for lane in lanes:
                lane.close()
            raise
        finally:
            self._worker.release()
        self._deliver()
        if self.writes and (table := self.ledger.table()):
            rank_zero_info(f"What lightning_cnnviz cost on the training thread:\n{table}")

    def resume(self, step: int) -> None:
        """Tells TensorBoard that what it holds of later steps was lost with a crash and comes again."""
        if not self._resumed and step > 0:
            for file in self._files:
                file.resume(step)
        self._resumed = True

    def picture(self, drawing: Drawing, step: int, account: Account, at_once: bool = False) -> None:
        """Logs a picture.

        Args:
            drawing: Tag, and what makes the picture.
            step: `trainer.global_step`; must not go back within a tag.
            account: Whose picture it is; takes what went wrong.
            at_once: Draw on the caller's thread and let errors through, for debugging.
        """
        tag, draw = drawing
        if not self._files:
            return
        if at_once:
            work = partial(self._write_picture, tag, draw_encoded(draw), step, account)
        else:
            work = partial(self._draw, tag, draw, step, account)
        self._drawing.put(self._job(work, account, tag))

    def compute(
        self, computation: Computation, step: int, account: Account, at_once: bool = False, key: str = ""
    ) -> None:
        """Logs what takes long to compute.

        Args:
            computation: Computes pictures and numbers, in the order of the calls.
            step: `trainer.global_step`.
            account: Whose computation it is; takes what went wrong.
            at_once: Compute on the caller's thread and let errors through, for debugging.
            key: Of an account's computations with one key only the newest waits.
        """
        if at_once:
            self._compute(computation, _here, step, account, at_once)
        else:
            run = partial(self._worker.run, lane="compute")
            work = partial(self._compute, computation, run, step, account)
            self._computing.put(self._job(work, account, f"{account.name} {key}"))

    def scalars(self, values: Mapping[str, float], step: int, account: Account) -> None:
        """Logs numbers, tag → value."""
        self._deliver()
        if values:
            self._write_numbers(dict(values), step, account)
            self._deliver()

    def texts(self, values: Mapping[str, str], step: int, account: Account) -> None:
        """Logs Markdown, tag → text."""
        for tag, text in values.items() if self._files else ():
            self._put(partial(summary.text, tag, text), step, account)

    def chart_layout(self, layout: Mapping[str, Mapping[str, list[Any]]], account: Account) -> None:
        """Says which scalars TensorBoard's Custom Scalars tab draws together: category → chart → [kind, tags]."""
        if self._files:
            proto = summary.custom_scalars(layout)  # type: ignore[no-untyped-call]
            self._put(lambda: proto, 0, account)

    # ---- on the lanes' threads

    def _job(self, work: Callable[[], None], account: Account, key: str | None = None) -> Job:
        return Job(partial(_attempt, work, account), key, partial(_leave_out, account))

    def _put(self, make: Callable[[], Summary], step: int, account: Account) -> None:
        self._drawing.put(self._job(lambda: self._write(make(), step, account), account))

    def _compute(self, computation: Computation, run: Run, step: int, account: Account, at_once: bool = False) -> None:
        drawings, numbers = computation(run)
        for drawing in drawings:
            self.picture(drawing, step, account, at_once)
        self._write_numbers(dict(numbers), step, account)

    def _draw(self, tag: str, draw: Callable[[], Picture | Encoded], step: int, account: Account) -> None:
        self._write_picture(tag, self._worker.run(partial(draw_encoded, draw)), step, account)

    def _write_picture(self, tag: str, encoded: Encoded, step: int, account: Account) -> None:
        if self.most_bytes is not None and self.ledger.written() + len(encoded.data) > self.most_bytes:
            _leave_out(account)
            self._tell("full", f"the event file may take {self.most_bytes / 1e6:g} MB and is full: no more pictures")
            return
        self._write(image_summary(tag, encoded), step, account)
        account.pictures += 1
        if encoded.kept:
            for file in self._files:
                file.keep(f"{tag.replace('/', '_')}.png", encoded.data)
        self._shown[tag] += 1
        if self._shown[tag] > SHOWN:
            words = f"TensorBoard shows {SHOWN} pictures of {tag}, chosen at random, as of every tag; to see all:"
            folder = self._files[0].folder
            self._tell("hidden", f"{words} tensorboard --samples_per_plugin images=10000 --logdir {folder}")

    def _tell(self, what: str, words: str) -> None:
        if what not in self._told:
            self._told.add(what)
            rank_zero_info(f"lightning_cnnviz: {words}")

    def _write_numbers(self, values: dict[str, float], step: int, account: Account) -> None:
        if self._files and values:
            self._put(partial(scalar_summary, values), step, account)
        if self._others and values:
            self._late.append((values, step))

    def _deliver(self) -> None:
        while self._late:  # by the training thread: not every logger may be called by others
            values, step = self._late.popleft()
            for logger in self._others:
                logger.log_metrics(values, step=step)

    def _write(self, proto: Summary, step: int, account: Account) -> None:
        self._last = account
        for file in self._files:
            file.write(proto, step)
        account.written += proto.ByteSize()

    def _flush(self) -> None:
        for file in self._files:
            _attempt(file.flush, self._last)


def _attempt(work: Callable[[], None], account: Account) -> None:
    try:
        work()
    except Exception as error:
        account.failures.append(error)


def _leave_out(account: Account) -> None:
    account.dropped += 1


def _here(call: Callable[[], Any]) -> Any:
    return call()
