"""The single interface to the loggers; pictures are drawn and encoded in the background, in order of arrival."""

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, TypeAlias, TypeVar, cast
from weakref import WeakKeyDictionary

from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from lightning_cnnviz.functional.activations.histogram import Histogram
from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.functional.tab.drawn import Drawn, draw_encoded
from lightning_cnnviz.lightning import logged_step
from lightning_cnnviz.output.closing import cancel, finish
from lightning_cnnviz.output.costs import Account, Failure, Ledger
from lightning_cnnviz.output.job_queue import JobQueue
from lightning_cnnviz.output.owned import owned_bytes
from lightning_cnnviz.output.run_file import MAX_SECONDS, RunFile, limited, put
from lightning_cnnviz.output.sinks import Sink, sink_for
from lightning_cnnviz.output.size_limit import SizeLimit
from lightning_cnnviz.output.waiting import Job
from lightning_cnnviz.worker.client import Worker
from lightning_cnnviz.worker.helper import WorkerDiedError

MAX_WAITING_BYTES = 2**27
"""Bytes that may wait to be drawn, and as many to be computed, before what waits is thinned."""

T = TypeVar("T")
Drawing: TypeAlias = tuple[str, Callable[[], Drawn]]
"""A tag, and a function that later draws the picture (or makes the tab's data) in another process; owns its data."""
Run: TypeAlias = Callable[[Callable[[], Any]], Any]
"""Runs a function in the helper process and returns its result."""
Results: TypeAlias = tuple[Iterable[Drawing], Mapping[str, float]]
Computation: TypeAlias = Callable[[Run], Results]
"""A slow computation, called on another thread, that returns pictures and scalars."""


class Writer:
    """Writes pictures, scalars and texts to the loggers of a trainer; shared by all callbacks of that trainer.

    Each logger has a `Sink`. Drawing and computing are done in a helper process (see `Worker`). One thread of this
    process sends drawings to it and passes the results to the sinks; another does so for slow computations. Both live
    from the first use to the last `close`, which waits until everything is written.
    """

    _of_trainer: ClassVar["WeakKeyDictionary[Trainer, Writer]"] = WeakKeyDictionary()

    def __init__(self, trainer: Trainer) -> None:
        self._sinks: list[Sink] = [sink_for(logger) for logger in trainer.loggers] if trainer.is_global_zero else []
        self.ledger = Ledger()
        self.size_limit = SizeLimit()
        self._users = 0
        self._begun = False
        self._files: list[RunFile] = []
        self._claims: dict[str, object] = {}
        self._owners: dict[str, Account] = {}
        self._logged_by: dict[str, Account] = {}
        self._of_others = Account("lightning_cnnviz", task="write to the event file")
        self._shared_tags: set[str] = set()
        self._thinning_reported = False
        self._noted = False
        self._spending = threading.Lock()
        self._drawing = JobQueue("Writer", max_bytes=MAX_WAITING_BYTES, idle=self._flush)
        self._computing = JobQueue("Computing", max_bytes=MAX_WAITING_BYTES)
        self._worker = Worker.acquire()
        self._wanted = True
        if without_images := sorted({type(sink.logger).__name__ for sink in self._sinks if not sink.takes_pictures}):
            rank_zero_warn(
                f"lightning_cnnviz: {' and '.join(without_images)} cannot log images; only scalars are logged; "
                "for images use Trainer(logger=TensorBoardLogger(...))"
            )

    @property
    def takes_pictures(self) -> bool:
        """Whether pictures are logged: only on rank 0, and only with a logger that supports images."""
        return any(sink.takes_pictures for sink in self._sinks)

    @property
    def writes(self) -> bool:
        """Whether anything is logged, even if only scalars: only on rank 0, and only with a logger."""
        return bool(self._sinks)

    @property
    def folder(self) -> str:
        """The folder of the run's event file; empty on other ranks than 0, and where no logger has one."""
        return next((sink.folder for sink in self._sinks if sink.folder), "")

    @classmethod
    def open(cls, trainer: Trainer) -> "Writer":
        """Returns the trainer's writer, which the first call creates; each `open` needs a `close`."""
        writer = cls._of_trainer.get(trainer)
        if writer is None:
            writer = cls._of_trainer[trainer] = cls(trainer)
        writer._users += 1
        return writer

    def close(self, trainer: Trainer) -> None:
        """Ends one use; the last one waits until everything is written and reports the total cost."""
        self._users -= 1
        if self._users:
            return
        self._of_trainer.pop(trainer, None)
        queues = (self._computing, self._drawing)  # in this order, since computations enqueue pictures
        try:
            self.ledger.end(logged_step(trainer))
            if not (finished := finish(queues, trainer) and self._make_files(trainer)):
                self._wanted = False
                cancel(queues, self._worker)
        finally:
            self._worker.release()
        self._run_deferred(self.ledger.last())
        for sink in self._sinks:
            _run_guarded(sink.close, self.ledger.last())
        self._note_losses()
        for account in (*self.ledger.accounts, self._of_others):  # what failed while others were already through
            if not finished:  # what was left out on request has not failed
                account.failures[:] = [one for one in account.failures if not isinstance(one.error, WorkerDiedError)]
            account.report_rest()
        if not finished and not trainer.interrupted:
            raise KeyboardInterrupt
        if self.writes and (table := self.ledger.table()):
            rank_zero_info(f"Cost of lightning_cnnviz on the training thread:\n{table}")
        for line in filter(None, [sink.invitation() for sink in self._sinks]):
            rank_zero_info(line)

    def claim(self, what: str, owner: T) -> T:
        """Claims something that only one callback can own; returns its owner, the first to claim it."""
        return cast(T, self._claims.setdefault(what, owner))

    def begin(self, step: int) -> None:
        """Tells the loggers, once, at which step training begins: records of later ones will be logged again."""
        if not self._begun:
            for sink in self._sinks:
                sink.begin(step)
        self._begun = True

    def picture(
        self, drawing: Drawing, step: int, account: Account, synchronous: bool = False, cumulative: bool = False
    ) -> None:
        """Logs a picture.

        Args:
            drawing: Tag, and the function that draws the picture.
            step: `trainer.global_step`; must not decrease within a tag.
            account: Account of the callback, which records failures.
            synchronous: Draw on the caller's thread and propagate exceptions, for debugging.
            cumulative: Whether it shows all that older ones of its tag show, which then need not be drawn.
        """
        tag, draw = drawing
        if not self.takes_pictures:
            return
        owner = self._owners.setdefault(tag, account)
        if owner is not account and tag.startswith("cnnviz/"):
            return  # the tab has one series of each: that of the first callback
        if owner is not account and tag not in self._shared_tags:
            self._shared_tags.add(tag)
            rank_zero_warn(
                f"{owner.name} and {account.name} both write pictures under the tag {tag!r}, which mixes them up; "
                f'give one of them a tag of its own, e.g. {account.name.partition("-")[0]}(tag="...")'
            )
        record = tag.startswith("cnnviz/")
        if not record and self.size_limit.leaves_out(tag, step, self.ledger.written()):
            account.dropped += 1
            return
        if synchronous or (record and self._drawing.full):  # a record is small once it is made
            work, size = partial(self._write_drawn, tag, draw_encoded(draw), step, account), 0
        else:
            work, size = partial(self._draw, tag, draw, step, account), owned_bytes(draw)
        guarded = partial(_run_guarded, work, account, f"{tag} at step {step}")
        left_out = partial(self._leave_out, account, self._drawing)
        self._drawing.put(Job(guarded, tag, step, size, kept=record, cumulative=cumulative, dropped=left_out))

    def compute(
        self, computation: Computation, step: int, account: Account, synchronous: bool = False, key: str = ""
    ) -> None:
        """Logs the results of a slow computation.

        Args:
            computation: Computes pictures and scalars; computations run in the order of the calls.
            step: `trainer.global_step`.
            account: Account of the callback, which records failures.
            synchronous: Compute on the caller's thread and propagate exceptions, for debugging.
            key: Tells an account's computations apart.
        """
        if synchronous:
            self._compute(computation, lambda call: call(), step, account, synchronous)
        else:
            run = partial(self._worker.run, executor="compute", wanted=self._is_wanted, spend=self._spend_by(account))
            work = partial(self._compute, computation, run, step, account)
            guarded = partial(_run_guarded, work, account, f"what it computes at step {step}")
            left_out = partial(self._leave_out, account, self._computing)
            tag = f"{account.name} {key}"
            self._computing.put(Job(guarded, tag, step, owned_bytes(computation), dropped=left_out))

    def scalars(self, values: Mapping[str, float], step: int, account: Account) -> None:
        """Logs scalars, tag → value."""
        self._run_deferred(account)
        if values:
            self._write_numbers(values, step, account)
            self._run_deferred(account)

    def tab_data(self, data: TabData, step: int, account: Account) -> None:
        """Logs data for the tab, which are never dropped."""
        self._put(lambda sink: sink.tab_data(data, step), account, data.tag, step)

    def texts(self, values: Mapping[str, str], step: int, account: Account) -> None:
        """Logs Markdown, tag → text."""
        for tag, text in values.items():
            self._put(partial(_write_text, tag, text, step), account, tag, step)

    def histograms(self, values: Mapping[str, Histogram], step: int, account: Account) -> None:
        """Logs distributions, tag → histogram."""
        for tag, histogram in values.items():
            self._put(partial(_write_histogram, tag, histogram, step), account, tag, step)

    def chart_layout(self, layout: Mapping[str, Mapping[str, list[Any]]], account: Account) -> None:
        """Sets the charts of TensorBoard's Custom Scalars tab: category → chart → [kind, tags]."""
        self._put(lambda sink: sink.chart_layout(layout), account, "the layout of the Custom Scalars tab", 0)

    def file_at_end(self, file: RunFile) -> None:
        """Has a file made of the run when all else is written; it goes into the folder and to the loggers."""
        self._files.append(file)

    def _make_files(self, trainer: Trainer) -> bool:
        """Makes the files of the run; returns False on Ctrl-C."""
        for file in self._files:
            name, account = file.name, file.account
            with account.guard(background=True, lost=name), TemporaryDirectory(prefix="cnnviz-") as empty:
                for sink in self._sinks:
                    sink.flush(now=True)
                path, made = Path(empty, name), list[Path]()
                work = partial(self._make_file, file, path, made)
                self._drawing.put(Job(partial(_run_guarded, work, account, name), name))
                if not finish((self._drawing,), trainer, f"writing {name}; Ctrl-C leaves it out"):
                    rank_zero_info(f"lightning_cnnviz: {name} left out")
                    return False
                if made:
                    size, place = path.stat().st_size, put(path, self.folder)
                    rank_zero_info(f"lightning_cnnviz: the run as one file, {size / 1e6:.1f} MB: {place}")
                    for sink in self._sinks:
                        _run_guarded(partial(sink.file, path), account, f"{name} as an artifact")
        return True

    # ---- on the queues' threads

    def _make_file(self, file: RunFile, path: Path, made: list[Path]) -> None:
        make = partial(file.make, self.folder, str(path))
        with limited(MAX_SECONDS, self._give_up):
            self._worker.run(make, wanted=self._is_wanted, spend=self._spend_by(file.account))
        made.append(path)

    def _give_up(self) -> None:
        self._wanted = False
        self._worker.kill()

    def _put(self, write: Callable[[Sink], int], account: Account, tag: str, step: int) -> None:
        if self._sinks:
            self._drawing.put(Job(partial(self._write, write, account, tag, step)))

    def _leave_out(self, account: Account, queue: JobQueue) -> None:
        account.dropped += 1
        if self._wanted and not self._thinning_reported:
            self._thinning_reported = True
            callback = account.name.partition("-")[0]
            rank_zero_warn(
                f"lightning_cnnviz: more is to be drawn than there is time for, and {MAX_WAITING_BYTES >> 20} MB of "
                f"it wait, now also for {account.name}; what waits is thinned, evenly over the run, first and last "
                f"kept; to have all of it, draw less often, e.g. {callback}(every_n_epochs=2), or fewer layers"
            )

    def _is_wanted(self) -> bool:
        return self._wanted

    def _spend_by(self, account: Account) -> Callable[[float], None]:
        def spend(seconds: float) -> None:
            with self._spending:  # several threads do
                account.background += seconds

        return spend

    def _compute(
        self, computation: Computation, run: Run, step: int, account: Account, synchronous: bool = False
    ) -> None:
        drawings, numbers = computation(run)
        for drawing in drawings:
            self.picture(drawing, step, account, synchronous)
        self._write_numbers(numbers, step, account)

    def _draw(self, tag: str, draw: Callable[[], Drawn], step: int, account: Account) -> None:
        drawn = self._worker.run(partial(draw_encoded, draw), wanted=self._is_wanted, spend=self._spend_by(account))
        self._write_drawn(tag, drawn, step, account)

    def _write_drawn(self, tag: str, drawn: list[Encoded | TabData | str], step: int, account: Account) -> None:
        for part in drawn:
            if isinstance(part, str):
                self._note(part)
                continue
            if self.size_limit.exceeded(part.size(), self.ledger.written()):
                account.dropped += 1
                continue
            size = self._write(partial(_write_part, tag, part, step), account, tag, step)
            account.pictures += size > 0 and isinstance(part, Encoded)

    def _note(self, words: str) -> None:
        if not self._noted:
            self._noted = True
            rank_zero_warn(f"lightning_cnnviz: {words}")

    def _write_numbers(self, values: Mapping[str, float], step: int, account: Account) -> None:
        if not values:
            return
        own = dict(values)
        names = next(iter(own)) + (f" and {len(own) - 1} more scalars" if len(own) > 1 else "")
        for sink in self._sinks:
            if sink.defers_numbers:
                log = partial(sink.numbers, own, step)
                sink.deferred.append(partial(_run_guarded, log, account, f"{names} at step {step}"))
        self._logged_by.update(dict.fromkeys(own, account))
        self._put(lambda sink: 0 if sink.defers_numbers else sink.numbers(own, step), account, names, step)

    def _write(self, write: Callable[[Sink], int], account: Account, tag: str, step: int) -> int:
        size = 0
        self._logged_by[tag] = account
        for sink in self._sinks:  # a failing sink does not affect the others
            with account.guard(background=True, lost=f"{tag} at step {step}"):
                size = max(size, write(sink))
        self._note_losses()
        account.written += size
        return size

    def _note_losses(self) -> None:
        """Tells the failures of records, which are written later, to those who logged them."""
        for sink in self._sinks:
            for tag, step, error in sink.losses():
                account = self._logged_by.get(tag.removesuffix("/text_summary"), self._of_others)
                account.failures.append(Failure(error, f"{tag} at step {step}"))

    def _flush(self) -> None:
        for sink in self._sinks:
            _run_guarded(sink.flush, self.ledger.last())
        self._note_losses()

    def _run_deferred(self, account: Account) -> None:
        for sink in self._sinks:
            while sink.deferred:
                _run_guarded(sink.deferred.popleft(), account)


def _run_guarded(work: Callable[[], object], account: Account, lost: str = "") -> None:
    with account.guard(background=True, lost=lost):
        work()


def _write_text(tag: str, text: str, step: int, sink: Sink) -> int:
    return sink.text(tag, text, step)


def _write_histogram(tag: str, histogram: Histogram, step: int, sink: Sink) -> int:
    return sink.histogram(tag, histogram, step)


def _write_part(tag: str, part: Encoded | TabData, step: int, sink: Sink) -> int:
    return sink.tab_data(part, step) if isinstance(part, TabData) else sink.picture(tag, part, step)
