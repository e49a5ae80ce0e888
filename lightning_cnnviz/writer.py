"""The one door to the loggers: pictures are drawn and encoded elsewhere, in the order they came."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeAlias, TypeVar, cast
from weakref import WeakKeyDictionary

from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from lightning_cnnviz.costs import Account, Ledger
from lightning_cnnviz.functional.encode import Drawn, Encoded, draw_encoded
from lightning_cnnviz.functional.record import Record
from lightning_cnnviz.lane import Job, Lane
from lightning_cnnviz.sinks import Sink, sink_for
from lightning_cnnviz.worker import Worker

MOST_WAITING = 128
"""Pictures that may wait to be drawn; more take the place of older ones of the same tag."""
PATIENCE = 3
"""Seconds at the end of a run after which a line says what is being waited for."""

T = TypeVar("T")
Drawing: TypeAlias = tuple[str, Callable[[], Drawn]]
"""A tag, and what makes the picture (or the data for the tab) later and elsewhere: it has to own what it draws."""
Run: TypeAlias = Callable[[Callable[[], Any]], Any]
"""Runs a function in the helper process and returns what it returned."""
Results: TypeAlias = tuple[Iterable[Drawing], Mapping[str, float]]
Computation: TypeAlias = Callable[[Run], Results]
"""What takes long to compute, called on another thread: gives pictures and numbers."""


class Writer:
    """Writes pictures and numbers to the loggers of a trainer; shared by all callbacks of that trainer.

    Each logger has its `Sink`. What is drawn or computed runs in a helper process (see `Worker`), one thread here
    hands it there and gives what comes back to the sinks, another does so for long computations. Both live from the
    first use to the last `close`, and closing waits until everything is written.
    """

    _of_trainer: ClassVar["WeakKeyDictionary[Trainer, Writer]"] = WeakKeyDictionary()

    def __init__(self, trainer: Trainer) -> None:
        self._sinks: list[Sink] = [sink_for(logger) for logger in trainer.loggers] if trainer.is_global_zero else []
        self.ledger = Ledger()
        self.most_bytes: int | None = None
        """Bytes that pictures may add to the event file; those beyond are left out."""
        self._users = 0
        self._resumed = False
        self._full = False
        self._claims: dict[str, object] = {}
        self._drawing = Lane("Writer", room=MOST_WAITING, per_key=MOST_WAITING, idle=self._flush)
        self._computing = Lane("Computing", room=MOST_WAITING, per_key=1)
        self._worker = Worker.acquire()
        if blind := sorted({type(sink.logger).__name__ for sink in self._sinks if not sink.takes_pictures}):
            rank_zero_warn(
                f"lightning_cnnviz: {' and '.join(blind)} takes no pictures, only numbers are logged; "
                "for pictures use Trainer(logger=TensorBoardLogger(...))"
            )

    @property
    def takes_pictures(self) -> bool:
        """Whether pictures go anywhere: not without a logger for them, nor on other ranks than zero."""
        return any(sink.takes_pictures for sink in self._sinks)

    @property
    def writes(self) -> bool:
        """Whether anything goes anywhere, be it numbers only: not without a logger, nor on other ranks than zero."""
        return bool(self._sinks)

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
        self._deliver(self.ledger.last())
        if self.writes and (table := self.ledger.table()):
            rank_zero_info(f"What lightning_cnnviz cost on the training thread:\n{table}")

    def claim(self, what: str, owner: T) -> T:
        """Who has what only one of the callbacks can have: the first to claim it."""
        return cast(T, self._claims.setdefault(what, owner))

    def resume(self, step: int) -> None:
        """Tells the loggers that what they hold of later steps was lost with a crash and comes again."""
        if not self._resumed and step > 0:
            for sink in self._sinks:
                sink.resume(step)
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
        if not self.takes_pictures:
            return
        if at_once:
            work = partial(self._write_drawn, tag, draw_encoded(draw), step, account)
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
            self._compute(computation, lambda call: call(), step, account, at_once)
        else:
            run = partial(self._worker.run, lane="compute")
            work = partial(self._compute, computation, run, step, account)
            self._computing.put(self._job(work, account, f"{account.name} {key}"))

    def scalars(self, values: Mapping[str, float], step: int, account: Account) -> None:
        """Logs numbers, tag → value."""
        self._deliver(account)
        if values:
            self._write_numbers(values, step, account)
            self._deliver(account)

    def record(self, record: Record, step: int, account: Account) -> None:
        """Logs data for the tab that is ready and never left out."""
        self._put(lambda sink: sink.record(record, step), account)

    def texts(self, values: Mapping[str, str], step: int, account: Account) -> None:
        """Logs Markdown, tag → text."""
        for tag, text in values.items():
            self._put(partial(_write_text, tag, text, step), account)

    def chart_layout(self, layout: Mapping[str, Mapping[str, list[Any]]], account: Account) -> None:
        """Says which scalars TensorBoard's Custom Scalars tab draws together: category → chart → [kind, tags]."""
        self._put(lambda sink: sink.chart_layout(layout), account)

    # ---- on the lanes' threads

    def _job(self, work: Callable[[], object], account: Account, key: str | None = None) -> Job:
        return Job(partial(_attempt, work, account), key, partial(_leave_out, account))

    def _put(self, write: Callable[[Sink], int], account: Account) -> None:
        if self._sinks:
            self._drawing.put(self._job(partial(self._write, write, account), account))

    def _compute(self, computation: Computation, run: Run, step: int, account: Account, at_once: bool = False) -> None:
        drawings, numbers = computation(run)
        for drawing in drawings:
            self.picture(drawing, step, account, at_once)
        self._write_numbers(numbers, step, account)

    def _draw(self, tag: str, draw: Callable[[], Drawn], step: int, account: Account) -> None:
        self._write_drawn(tag, self._worker.run(partial(draw_encoded, draw)), step, account)

    def _write_drawn(self, tag: str, drawn: list[Encoded | Record], step: int, account: Account) -> None:
        for part in drawn:
            if self.most_bytes is not None and self.ledger.written() + part.size() > self.most_bytes:
                _leave_out(account)
                if not self._full:
                    self._full = True
                    words = f"the event file may take {self.most_bytes / 1e6:g} MB and is full: no more pictures"
                    rank_zero_info(f"lightning_cnnviz: {words}")
                continue
            size = self._write(partial(_write_part, tag, part, step), account)
            account.pictures += size > 0 and isinstance(part, Encoded)

    def _write_numbers(self, values: Mapping[str, float], step: int, account: Account) -> None:
        if not values:
            return
        own = dict(values)
        for sink in self._sinks:
            if sink.numbers_late:
                sink.late.append(partial(sink.numbers, own, step))
        self._put(lambda sink: 0 if sink.numbers_late else sink.numbers(own, step), account)

    def _write(self, write: Callable[[Sink], int], account: Account) -> int:
        size = 0
        for sink in self._sinks:  # one that fails costs the others nothing
            try:
                size = max(size, write(sink))
            except Exception as error:
                account.failures.append(error)
        account.written += size
        return size

    def _flush(self) -> None:
        for sink in self._sinks:
            _attempt(sink.flush, self.ledger.last())

    def _deliver(self, account: Account) -> None:
        for sink in self._sinks:
            while sink.late:
                _attempt(sink.late.popleft(), account)


def _attempt(work: Callable[[], object], account: Account) -> None:
    try:
        work()
    except Exception as error:
        account.failures.append(error)


def _write_text(tag: str, text: str, step: int, sink: Sink) -> int:
    return sink.text(tag, text, step)


def _write_part(tag: str, part: Encoded | Record, step: int, sink: Sink) -> int:
    return sink.record(part, step) if isinstance(part, Record) else sink.picture(tag, part, step)


def _leave_out(account: Account) -> None:
    account.dropped += 1
