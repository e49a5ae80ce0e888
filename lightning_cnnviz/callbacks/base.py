"""The template that every callback fills in: when, what, and that a run never suffers from it."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from lightning_cnnviz.callbacks.duty import Duty
from lightning_cnnviz.callbacks.forgiving import ForgivingCallback
from lightning_cnnviz.capture import isolated_rng
from lightning_cnnviz.costs import Account
from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.functional.record import Record
from lightning_cnnviz.schedule import Schedule
from lightning_cnnviz.writer import Computation, Drawing, Writer

OnError: TypeAlias = Literal["warn", "raise"]
Layers: TypeAlias = str | list[str] | None


class VisualCallback(ForgivingCallback):
    """What all callbacks of this package share.

    A subclass says which layers it shows (`_select`), what is to be drawn now (`_drawings`) and which numbers
    go with it (`_numbers`). Hooks of its own do their work inside `with self._duty():`, which measures the time
    and keeps errors from what comes after it, and only while `self._writer` is not None.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`; None for the callback's default.
        tag: First part of the tags.
        on_error: `"warn"`: a failing picture gives one warning and training goes on. `"raise"`: it ends the
            run, with its traceback, for debugging.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument has an impossible value; at the start of `fit`, if `layers` matches nothing.
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None,
        every_n_train_steps: int | None,
        layers: Layers,
        tag: str,
        on_error: OnError,
    ) -> None:
        super().__init__()
        names = [layers] if isinstance(layers, str) else layers
        if names is not None and not (isinstance(names, list) and names and all(isinstance(n, str) for n in names)):
            raise TypeError(f"expected layers to be a name, a list of names or None, got {layers!r}")
        if not isinstance(tag, str) or not tag:
            raise TypeError(f"expected tag to be a text, got {tag!r}")
        if on_error not in ("warn", "raise"):
            raise ValueError(f'expected on_error to be "warn" or "raise", got {on_error!r}')
        self.schedule = Schedule(every_n_epochs, every_n_train_steps)
        self.layers = layers
        self.tag = tag
        self.on_error = on_error
        self.auto = False  # whether only CNNVIZ_AUTO asked for it; where others were asked for, it stays out
        self._writer: Writer | None = None
        self._selected: Sequence[str] = []
        self.account = Account(type(self).__name__)
        """What the callback has cost in this run."""
        self.stretch = 1
        """By how much the interval is longer than the user asked for; see `CostLimit`."""
        self._billed = (0.0, 0.0)
        self._last_step = 0
        self._drawn: int | None = None
        self._warned = False

    @property
    def state_key(self) -> str:
        """Tells callbacks of one class apart in a checkpoint, by their tag."""
        return self._generate_state_key(tag=self.tag)

    def _generate_state_key(self, **kwargs: Any) -> str:
        return super()._generate_state_key(**kwargs, **({"auto": True} if self.auto else {}))

    # ---- what a subclass fills in

    def _select(self, module: LightningModule) -> Sequence[str]:
        """Names of the layers to show; raises ValueError where the user's choice does not fit the model."""
        return []

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        """Called once before the first step."""

    def _drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        """What is to be drawn now. Called on the training thread; what it gives must own its data."""
        return ()

    def _computation(self, trainer: Trainer, module: LightningModule) -> Computation | None:
        """What takes long to compute and gives pictures and numbers only then; called after `_drawings`."""
        return None

    def _numbers(self) -> Mapping[str, float]:
        """Scalars that go with the pictures; called after `_drawings`."""
        return {}

    def _records(self) -> Iterable[Record]:
        """Data for the tab that go with the pictures and are never left out; called after `_drawings`."""
        return ()

    def _texts(self) -> Mapping[str, str]:
        """Markdown that goes with the pictures; called after `_numbers`."""
        return {}

    def limit_bytes(self, most: int | None) -> None:
        """Has pictures left out that would make the event file larger, of all callbacks of the trainer."""
        if self._writer is not None:
            self._writer.most_bytes = most

    # ---- Lightning's hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks the choice of layers against the model and opens the way to the loggers."""
        if self.auto and not all(getattr(other, "auto", True) for other in trainer.callbacks):  # type: ignore[attr-defined]
            return
        try:
            self._selected = self._select(pl_module)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        self.stretch = 1
        if not trainer.loggers:
            rank_zero_warn(
                "lightning_cnnviz: the Trainer has no logger, so nothing is drawn; "
                "use Trainer(logger=TensorBoardLogger(...))"
            )
        elif not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._writer = Writer.open(trainer)
            self.account = self._writer.ledger.open(type(self).__name__)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prepares for the first picture."""
        if self._writer is not None:
            self._last_step = trainer.global_step
            self._drawn = trainer.global_step or None  # a resumed run has its picture of this step
            self._warned = False
            self._billed = (time.perf_counter(), self.account.seconds)
            self._writer.ledger.begin(trainer.global_step)
            with self._duty():
                self._writer.resume(trainer.global_step)
                self._begin(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draws if this optimizer step is due."""
        by_step = self.schedule.every_n_train_steps is not None  # asked first, as this is every step
        if by_step and self.schedule.step_due(self._last_step, trainer.global_step, self.stretch):
            self._draw(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws if this epoch is due."""
        if self.schedule.epoch_due(trainer.current_epoch, self.stretch):
            self._draw(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Writes what is still waiting; an ordinary exception skips `teardown`."""
        self._end(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes what is still waiting and lets go of everything."""
        self._end(trainer)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_writer": None}

    # ---- how it is done

    def _draw(self, trainer: Trainer, module: LightningModule) -> None:
        step = trainer.global_step
        if self._writer is None or step == self._drawn:
            return
        self._last_step = self._drawn = step
        account, at_once = self.account, self.on_error == "raise"
        with self._duty(flexible=True), isolated_rng():
            for drawing in self._drawings(trainer, module):
                self._writer.picture(drawing, step, account, at_once)
            if (computation := self._computation(trainer, module)) is not None:
                self._writer.compute(computation, step, account, at_once)
            self._writer.scalars(self._numbers(), step, account)
            self._writer.texts(self._texts(), step, account)
            for record in self._records():
                self._writer.record(record, step, account)
        self._writer.scalars(self._cost(), step, account)

    def _cost(self) -> dict[str, float]:
        now, account = time.perf_counter(), self.account
        (then, seconds), self._billed = self._billed, (now, account.seconds)
        cost = {
            f"cnnviz/cost/{account.name}": 1000 * (account.seconds - seconds),
            f"cnnviz/cost_share/{account.name}": (account.seconds - seconds) / max(now - then, 1e-9),
        }
        return {**cost, f"cnnviz/left_out/{account.name}": float(account.dropped)} if account.dropped else cost

    def _duty(self, flexible: bool = False) -> Duty:
        return Duty(self, flexible)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not self.keeps(error):
                raise

    def keeps(self, error: Exception) -> bool:
        """Whether an error is kept from the run, to be reported."""
        if self.on_error == "raise" or isinstance(error, ConfigurationError):
            return False
        self.account.failures.append(error)
        return True

    def _forgives(self, error: Exception) -> bool:
        kept = self.keeps(error)
        if kept:
            self.report_failures()
        return kept

    def report_failures(self) -> None:
        """Warns of what failed since the last report, once in a run."""
        failures = self.account.failures
        count = len(failures)  # more may arrive from the writer's threads meanwhile
        if count and not self._warned:
            self._warned = True
            error = failures[0]
            rank_zero_warn(
                f"{type(self).__name__} could not draw and training goes on: {type(error).__name__}: {error} "
                '(once only; on_error="raise" shows where)'
            )
        del failures[:count]

    def _end(self, trainer: Trainer) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close(trainer)
            self.report_failures()

    def _title(self, name: str, trainer: Trainer) -> str:
        return f"{name} · epoch {trainer.current_epoch + 1} · step {trainer.global_step}"
