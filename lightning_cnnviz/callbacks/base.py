"""The base class of all visuals: when to draw, what to draw, and keeping failures from the run."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from lightning_cnnviz.callbacks.guarded import GuardedCallback
from lightning_cnnviz.errors import ConfigurationError, names_list
from lightning_cnnviz.functional.activations.histogram import Histogram
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.lightning import averages_weights, logged_step, step_after_batch
from lightning_cnnviz.model.layers import spread
from lightning_cnnviz.output.costs import Guard
from lightning_cnnviz.output.writer import Computation, Drawing, Writer
from lightning_cnnviz.rng import isolated_rng
from lightning_cnnviz.schedule import Schedule

OnError: TypeAlias = Literal["warn", "raise"]
Weights: TypeAlias = Literal["training", "averaged"]
LayerPatterns: TypeAlias = str | Sequence[str] | None
NO_VALIDATION = (
    "no validation was heard before the training ended, so nothing is drawn; validate earlier, or draw more often"
)
MAX_LAYERS = 24
"""Layers that are drawn by default of a deep network."""


class Guide(NamedTuple):
    """Where to find a callback's pictures in TensorBoard.

    Attributes:
        tab: TensorBoard tab, e.g. `"Images"`.
        tags: The tags, abbreviated.
        meaning: What the pictures show.
    """

    tab: str
    tags: str
    meaning: str


class Moment(NamedTuple):
    """When something was measured.

    Attributes:
        step: The step under which the run logs.
        epoch: Number of the epoch, from 1.
    """

    step: int
    epoch: int


class VisualCallback(GuardedCallback):
    """Base class of all visuals; subclass it to add your own.

    Draws when an interval is due, and the last state as training ends, unless an exception or Ctrl-C ends it.

    A subclass implements `drawings` and, as needed, `choose_layers`, `prepare`, `untrained`, `computation`, `scalars`,
    `texts`, `histograms` and `tab_data`. These names, and `title`, `epoch`, `guard`, `draw`, `selected` and `writer`,
    are stable. A subclass that overrides Lightning hooks must call `super()` in them and do its work inside
    `with self.guard():`, which measures its time, and only while `self.writer` is not None (it is None in a run
    without a logger).

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`; None for the callback's default.
        tag: Prefix of the tags.
        on_error: `"warn"`: a failure to draw is reported in one warning and training continues. `"raise"`: it ends
            the run with its traceback, for debugging.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument has an invalid value; at the start of `fit`, if `layers` matches nothing.

    Example:
        >>> import numpy as np
        >>> class Noise(VisualCallback):
        ...     def drawings(self, trainer, module):
        ...         yield f"{self.tag}/image", lambda: np.random.randint(0, 255, (50, 50, 3), dtype=np.uint8)
        >>> Noise(tag="noise", every_n_epochs=2).schedule.in_words()
        'every 2 epochs'
    """

    guide: ClassVar[Guide | None] = None
    """Where to find the pictures in TensorBoard; recipes print it at the end of a run."""
    weights: Weights = "training"
    """Which weights the pictures show where the module validates with averaged ones: those that the training updates,
    or those that validate."""
    cumulative: ClassVar[Collection[str]] = ()
    """Tags, without their prefix, of pictures that show all that older ones show: where too much waits to be drawn,
    only the newest of each is."""

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str,
        on_error: OnError = "warn",
    ) -> None:
        super().__init__()
        names = None if layers is None else names_list(layers, "layers")
        if names == []:
            raise TypeError(f"expected layers to be a name, a list of names or None, got {layers!r}")
        if not isinstance(tag, str) or not tag:
            raise TypeError(f"expected tag to be a non-empty string, got {tag!r}")
        if on_error not in ("warn", "raise"):
            raise ValueError(f'expected on_error to be "warn" or "raise", got {on_error!r}')
        self.schedule = Schedule(every_n_epochs, every_n_train_steps)
        self.layers = layers if isinstance(layers, str) else names
        """Names and globs passed by the user; None for the callback's default."""
        self.tag = tag
        self.on_error = on_error
        self.account.strict = on_error == "raise"
        self.auto = False  # whether CNNVIZ_AUTO added it; it then yields to callbacks that the user added
        self.writer: Writer | None = None
        """Writes to the loggers; None outside a run and in a run without loggers."""
        self.selected: Sequence[str] = []
        """Names of the layers to show, as returned by `choose_layers`."""
        self.stretch = 1
        """Factor by which the interval is longer than requested; see `CostLimit`."""
        self._cost_baseline = (0.0, 0.0)
        self._last_step = 0
        self._ended = False  # whether the last epoch is over, which `trainer.current_epoch` then counts
        self._last_drawn_step: int | None = None
        self._moment: Moment | None = None  # of what is drawn, where it was measured before

    @cached_property  # Lightning asks for it at each of the fifty hooks that it calls in a step
    def state_key(self) -> str:
        """Identifies this callback in a checkpoint among others of its class, by the tag and `state_names`."""
        names = {"tag": self.tag, **self.state_names(), **({"auto": True} if self.auto else {})}
        return f"{type(self).__qualname__}{names}"

    def state_names(self) -> Mapping[str, Any]:
        """Arguments that, beside the tag, identify this callback in a checkpoint among others of its class."""
        return {}

    # ---- overridden by subclasses

    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        """Returns the names of the layers to show, which are kept in `selected`.

        Called once, at the start of `fit`.

        Raises:
            ValueError: If the user's choice does not fit the model.
        """
        return []

    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        """Prepares the callback; called once, before the first step."""

    def untrained(self, module: LightningModule) -> bool:
        """Whether there is something to draw before the first step, step 0; asked if an interval was given."""
        return False

    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        """Yields what to draw now, as pairs of a tag and a function that returns the picture.

        Called on the training thread whenever a picture is due. The functions run later and on another thread, those
        of `lightning_cnnviz.functional` in the helper process, so each must own its data (copies on the CPU). A
        picture is a uint8 array of shape (height, width, 3).
        """
        return ()

    def computation(self, trainer: Trainer, module: LightningModule) -> Computation | None:
        """Returns a slow computation that gives pictures and scalars, or None; called after `drawings`."""
        return None

    def scalars(self) -> Mapping[str, float]:
        """Returns the scalars to log with the pictures, tag → value; called after `drawings`."""
        return {}

    def texts(self) -> Mapping[str, str]:
        """Returns the texts to log with the pictures, tag → Markdown; called after `scalars`."""
        return {}

    def histograms(self) -> Mapping[str, Histogram]:
        """Returns the distributions to log with the pictures, tag → histogram; called after `texts`."""
        return {}

    def tab_data(self) -> Iterable[TabData]:
        """Returns the data to log for the CNN Viz tab, which are never dropped; called after `drawings`."""
        return ()

    # ---- helpers for subclasses

    def some_of(self, layers: Sequence[str], most: int, what: str = "convolutions") -> list[str]:
        """Returns at most so many layers, evenly over depth, and says so; all of them if the user has chosen some."""
        if self.layers is not None or len(layers) <= most:
            return list(layers)
        rank_zero_info(
            f"{type(self).__name__}: {most} of {len(layers)} {what} are drawn, chosen evenly over depth; "
            f"max_layers={len(layers)} draws all, layers=[...] those you name"
        )
        return spread(layers, most)

    def title(self, name: str, trainer: Trainer, weights: Weights | None = None) -> str:
        """Returns a picture's title: `name`, the epoch (from 1) and the optimizer step, or that none was taken yet.

        Where the module validates with an average of its weights, the title says which weights the picture shows: by
        default those of this callback.
        """
        step, epoch = self.moment(trainer)
        when = f"epoch {epoch} · step {step}" if step else "step 0, before training"
        return f"{name} · {when}" + (
            f" · {weights or self.weights} weights" if self.other_weights_validate(trainer) else ""
        )

    def moment(self, trainer: Trainer) -> Moment:
        """Returns the moment of what is drawn: now, unless it was measured before."""
        return self._moment or Moment(logged_step(trainer), self.epoch(trainer))

    def epoch(self, trainer: Trainer) -> int:
        """Returns the number of the epoch that runs or has just ended, from 1."""
        return trainer.current_epoch + (not self._ended)

    def ends_after_validation(self, trainer: Trainer) -> bool:
        """Whether the training ends with the validation that begins, as far as that is foreseen.

        By its epochs, its steps, or a stop that was asked for before; early stopping asks as the validation ends.
        """
        epochs = trainer.current_epoch + trainer.is_last_batch
        if epochs == trainer.max_epochs or 0 < trainer.max_steps <= trainer.global_step:
            return True
        least = epochs >= (trainer.min_epochs or 0) and trainer.global_step >= (trainer.min_steps or 0)
        return trainer.should_stop and least

    def due_after_validation(self, trainer: Trainer) -> bool:
        """Whether a picture is due at the end of the validation that begins, with which the epoch or training ends."""
        due = trainer.is_last_batch and self.schedule.epoch_due(trainer.current_epoch, self.stretch)
        return due or self.ends_after_validation(trainer)

    def due_at_validation(self, trainer: Trainer) -> bool:
        """Whether the validation that begins is due for a callback that draws each at its end, in mid-epoch too."""
        by_step = self.schedule.step_due(self._last_step, logged_step(trainer), self.stretch)
        by_epoch = self.schedule.epoch_due(trainer.current_epoch, self.stretch)
        return by_step or by_epoch or self.ends_after_validation(trainer)

    def hears_validation(self, trainer: Trainer, due: bool) -> bool:
        """Whether a callback that collects what it shows in validations does so in the one that begins.

        It does so in each, since any may turn out to be the last, unless `CostLimit` has made the interval longer.

        Args:
            trainer: The trainer, in a hook of the validation.
            due: Whether a picture is due at its end.
        """
        return not trainer.sanity_checking and (due or self.stretch == 1)

    def draw_last_validation(self, trainer: Trainer, module: LightningModule, heard: Moment | None) -> None:
        """Draws, as training ends, the last validation that was heard and not drawn; says so if there was none at all.

        Args:
            trainer: The trainer.
            module: The model.
            heard: When that validation ended; None if there is none.
        """
        self._ended = True
        if heard is not None:
            self.draw(trainer, module, heard)
        elif self.writer is not None and trainer.enable_validation and self._last_drawn_step is None:
            rank_zero_info(f"{type(self).__name__}: {NO_VALIDATION}")

    def due_after_batch(self, trainer: Trainer, batch_idx: int) -> bool:
        """Whether a picture is due after the training batch that begins now, with no other one in between.

        A training that is stopped early, or by the clock, may draw its last state after another batch.

        Args:
            trainer: The trainer, in `on_train_batch_start`.
            batch_idx: Number of the batch in its epoch, from 0.
        """
        ends, by_epoch = trainer.is_last_batch, self.schedule.every_n_train_steps is None
        if by_epoch and not ends and trainer.max_steps < 0:  # the most frequent case; this runs at every batch
            return False
        step = step_after_batch(trainer, batch_idx)
        over = step == trainer.max_steps or (ends and trainer.current_epoch + 1 == trainer.max_epochs)
        at_epoch_end = ends and self.schedule.epoch_due(trainer.current_epoch, self.stretch)
        return over or at_epoch_end or self.schedule.step_due(self._last_step, step, self.stretch)

    def other_weights_validate(self, trainer: Trainer) -> bool:
        """Whether the module validates with other weights than it trains, as far as that is known."""
        return averages_weights(trainer)

    def guard(self, *, flexible: bool = False) -> Guard:
        """Returns a context for work on the training thread, which keeps exceptions from the run and measures time.

        Args:
            flexible: Whether drawing less often would save this time.
        """
        return self.account.guard(timed=True, flexible=flexible, report=True)

    def draw(self, trainer: Trainer, module: LightningModule, moment: Moment | None = None) -> None:
        """Draws now, or what was measured at a moment before, unless its step has been drawn already."""
        step = self.moment(trainer).step if moment is None else moment.step
        if self.writer is None or step == self._last_drawn_step:
            return
        self._last_step, self._last_drawn_step, self._moment = step, step, moment
        account, synchronous = self.account, self.on_error == "raise"
        with self.guard(flexible=True), isolated_rng():
            for drawing in self.drawings(trainer, module):
                cumulative = drawing[0].removeprefix(f"{self.tag}/") in self.cumulative
                self.writer.picture(drawing, step, account, synchronous, cumulative)
            if (computation := self.computation(trainer, module)) is not None:
                self.writer.compute(computation, step, account, synchronous)
            self.writer.scalars(self.scalars(), step, account)
            self.writer.texts(self.texts(), step, account)
            self.writer.histograms(self.histograms(), step, account)
            for data in self.tab_data():
                self.writer.tab_data(data, step, account)
        self._moment = None
        self.writer.scalars(self._cost(), step, account)

    def limit_bytes(self, most: int | None) -> None:
        """Limits the bytes that all callbacks of the trainer write; pictures beyond the limit are dropped.

        Args:
            most: Bytes in the event file; None for no limit.
        """
        if self.writer is not None:
            self.writer.size_limit.max_bytes = most

    # ---- Lightning's hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Selects the layers and opens the writer."""
        if self.yields(trainer):
            return
        try:
            self.selected = self.choose_layers(pl_module)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        self.stretch = 1
        if not trainer.loggers:
            rank_zero_warn(
                "lightning_cnnviz: the Trainer has no logger, so nothing is drawn; "
                "use Trainer(logger=TensorBoardLogger(...))"
            )
        elif not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.writer = Writer.open(trainer)
            self.account = self.writer.ledger.open(type(self).__name__, strict=self.on_error == "raise")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prepares the callback for the first step, and draws the state before it."""
        self._ended, self._moment = False, None
        if self.writer is not None:
            self._last_step = logged_step(trainer)
            self._last_drawn_step = logged_step(trainer) or None  # a resumed run has drawn this step already
            self._cost_baseline = (time.perf_counter(), self.account.seconds)
            self.writer.ledger.begin(logged_step(trainer))
            with self.guard():
                self.writer.begin(logged_step(trainer))
                self.prepare(trainer, pl_module)
            if not logged_step(trainer) and self.schedule.given and self.untrained(pl_module):
                self.draw(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draws if this optimizer step is due."""
        by_step = self.schedule.every_n_train_steps is not None  # checked first, since this runs at every step
        if by_step and self.schedule.step_due(self._last_step, logged_step(trainer), self.stretch):
            self.draw(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws if this epoch is due."""
        if self.schedule.epoch_due(trainer.current_epoch, self.stretch):
            self.draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the last state, whatever the interval."""
        self._ended = True
        if logged_step(trainer):
            self.draw(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Writes pending pictures; after an ordinary exception Lightning skips `teardown`."""
        self._end(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes pending pictures and closes the writer."""
        self._end(trainer)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "writer": None}

    # ---- internals

    def _cost(self) -> dict[str, float]:
        """Scalars of the time spent on the training thread since the last call, and of pictures left out so far."""
        now, account = time.perf_counter(), self.account
        (then, seconds), self._cost_baseline = self._cost_baseline, (now, account.seconds)
        cost = {
            f"cnnviz/cost/{account.name}": 1000 * (account.seconds - seconds),
            f"cnnviz/cost_share/{account.name}": (account.seconds - seconds) / max(now - then, 1e-9),
        }
        return {**cost, f"cnnviz/left_out/{account.name}": float(account.dropped)} if account.dropped else cost

    def _end(self, trainer: Trainer) -> None:
        if self.writer is not None:
            writer, self.writer = self.writer, None
            writer.close(trainer)
            self.account.report()
