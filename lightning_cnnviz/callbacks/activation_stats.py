"""Activation statistics per layer during training: dead units, saturated values, distributions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from typing_extensions import override

from lightning_cnnviz.callbacks.base import (
    MAX_LAYERS,
    NO_VALIDATION,
    Guide,
    LayerPatterns,
    Moment,
    OnError,
    VisualCallback,
)
from lightning_cnnviz.data.batch import batch_size
from lightning_cnnviz.errors import whole_number
from lightning_cnnviz.functional.activations.activation_stats import (
    ActivationStatistics,
    activation_heat_map,
    activation_tab_data,
    row_notes,
)
from lightning_cnnviz.functional.activations.effective_rank import effective_rank
from lightning_cnnviz.functional.activations.histogram import Histogram
from lightning_cnnviz.functional.drawing.image import Array, to_array
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.lightning import logged_step
from lightning_cnnviz.model.activation_kinds import is_activation
from lightning_cnnviz.model.activation_tap import ActivationTap, LayerRun, layers_within_reach
from lightning_cnnviz.model.layers import convolutions, linear_layers, select_layers
from lightning_cnnviz.output.writer import Computation, Drawing, Results, Run
from lightning_cnnviz.statistics.activation_window import ActivationWindow
from lightning_cnnviz.statistics.column_history import ColumnHistory

WITHIN_REACH = "layer that can be heard (not one in compiled code or in nn.TransformerEncoderLayer)"
NAMES_OF_OTHERS = ("heatmap", "effective_rank")
"""Tags of other kinds, which a layer's distribution must not take."""


class ActivationStats(VisualCallback):
    """Tracks what layers return: distributions `activations/<layer>`, image `activations/heatmap`, and scalars.

    The scalars `activations/<layer>/<statistic>` cover a window of samples:

    - `mean`, `std`: mean and standard deviation of all values.
    - `dead`: share of units, channels or features, that were never positive at any place of any sample, 0…1. Of
      rectifiers only (`nn.ReLU`, `nn.ReLU6`), and where it is certain which dimension holds the units.
    - `saturated`: share of values within 1 % of the range from a bound, 0…1. Of bounded activations only
      (`nn.Sigmoid`, `nn.Tanh`, `nn.Hardtanh`, ...; of `nn.ReLU6` from the upper bound).

    `activations/effective_rank` says in how many directions the embedding varies, which is what the last linear layer
    receives.

    The module's own passes are heard; none is added. The window is the first samples of each validation that ends at a
    due epoch, the same ones each time if the validation data keep their order. In a run without validation, and with
    `every_n_train_steps`, it is the last training samples before the picture. It consists of whole batches; the
    picture says of how many samples, and of which split. Under several processes they are those of rank zero.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`, of modules of any type. Default: activations, convolutions
            and linear layers, or `max_layers` of them.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        max_layers: Maximum number of layers by default, chosen evenly over depth.
        num_samples: Samples of the window, rounded up to whole batches.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` matches no layer.

    Example:
        >>> ActivationStats(layers="relu*", num_samples=500).num_samples
        500
    """

    guide = Guide("Images", "activations/heatmap", "dead units and saturated values")
    cumulative = ("heatmap",)

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "activations",
        on_error: OnError = "warn",
        max_layers: int = MAX_LAYERS,
        num_samples: int = 1000,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
        )
        self.max_layers = whole_number(max_layers, "max_layers", at_least=1)
        self.num_samples = whole_number(num_samples, "num_samples", at_least=1)
        self._split = "validation"
        self._tap: ActivationTap | None = None
        self._window: ActivationWindow | None = None
        self._open_for: float = 0  # batches that the tap is open for, of the training
        self._ended_at: Moment | None = None  # when the last batch in the window ended
        self._latest: dict[str, ActivationStatistics] = {}
        self._samples = 0  # of which these are
        self._embedding: Tensor | None = None
        self._history = ColumnHistory()
        self._names: list[str] = []
        self._reported: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        """Returns the columns of the heat map, so that a resumed run continues it."""
        return self._history.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the heat map from a checkpoint."""
        self._history.load_state_dict(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_tap": None, "_window": None, "_embedding": None}

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        reached = layers_within_reach(module)
        if self.layers is not None:
            return select_layers(module, self.layers, list(reached), WITHIN_REACH)
        usual = {*convolutions(module), *linear_layers(module)}
        found = [name for name, part in reached.items() if name in usual or is_activation(part)]
        if not found and usual:
            rank_zero_info(
                "ActivationStats: all layers run in compiled code, which hooks do not reach; nothing is drawn"
            )
        elif not found:
            rank_zero_warn("ActivationStats: there is no layer of a usual kind to hear; choose some with layers=[...]")
        return self.some_of(found, self.max_layers, "activations, convolutions and linear layers")

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        self._history.begin(logged_step(trainer))
        by_epoch = self.schedule.every_n_train_steps is None
        self._split = "validation" if by_epoch and trainer.enable_validation else "training"
        self.weights = "averaged" if self._split == "validation" else "training"
        self._names, self._latest = [], {}
        self._window = self._embedding = self._ended_at = None
        self._reported.clear()

    # ---- Lightning's hooks

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Begins to hear the batch, until the window is full, if a picture is due at the end of this validation."""
        if self._hears("validation", trainer) and dataloader_idx == 0:
            if batch_idx == 0 and self.hears_validation(trainer, self.due_after_validation(trainer)):
                self._open(pl_module, batch, trainer.num_val_batches[0])
            self._begin(batch)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Ends hearing the batch."""
        if self._hears("validation", trainer):
            self._finish(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Removes the hooks."""
        if self._hears("validation", trainer):
            self._close()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begins to hear the batch if it is one of the last before a picture."""
        if self._hears("training", trainer):
            if not self._open_for:
                self._close()
                wanted = math.ceil(self.num_samples / batch_size(batch))
                left = self._batches_left(trainer, batch_idx, wanted)
                if left <= wanted:
                    self._open(pl_module, batch, left)
            self._begin(batch)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Stops hearing: what is computed again for the gradients, as in checkpointing, counts once."""
        if self._tap is not None:
            self._tap.listening = False

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Goes on hearing, as a batch may have several forward passes."""
        if self._tap is not None:
            self._tap.listening = self._tap.begun

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends hearing the batch, and draws if due."""
        if self._hears("training", trainer):
            self._finish(trainer)
            self._open_for = max(self._open_for - 1, 0)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the last state that was heard, and says why nothing was drawn."""
        self._ended = True
        if logged_step(trainer):
            self.draw(trainer, pl_module, None if self._window is None else self._ended_at)
        if self._hears(self._split, trainer) and self.selected and self._ended_at is None:
            foreseen = "an epoch's end is not foreseen, so nothing is drawn; every_n_train_steps=... does"
            rank_zero_info(f"ActivationStats: {NO_VALIDATION if self._split == 'validation' else foreseen}")

    # ---- what is drawn

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        window, step = self._window, self.moment(trainer).step
        self._latest, self._embedding = {}, None
        self._close()
        if window is None or not window.samples or self._ended_at is None or self._ended_at.step != step:
            return  # what a validation has given may be the last that is known
        self._window = None
        self._latest, self._samples, self._embedding = window.statistics(), window.samples, window.embedding()
        self._tell(trainer)
        if not self._latest:
            return
        self._history.add(step, {name: row.std for name, row in self._latest.items()})
        self._names = [*self._latest, *(name for name in self._names if name not in self._latest)]
        draw = partial(activation_heat_map, self._names, self._history.steps, self._history.table(self._names))
        title = f"{self.title('activations', trainer)} · {window.samples:,} {self._split} samples"
        yield (
            f"{self.tag}/heatmap",
            partial(draw, notes=row_notes(self._latest), start=self._history.start, title=title),
        )

    @override
    def computation(self, trainer: Trainer, module: LightningModule) -> Computation | None:
        embedding, self._embedding = self._embedding, None
        # As an array, for which the helper needs no PyTorch.
        return None if embedding is None else partial(_rank, to_array(embedding), f"{self.tag}/effective_rank")

    @override
    def scalars(self) -> Mapping[str, float]:
        return {
            f"{self.tag}/{name}/{statistic}": value
            for name, row in self._latest.items()
            for statistic, value in row.known().items()
        }

    @override
    def histograms(self) -> Mapping[str, Histogram]:
        return {
            f"{self.tag}/{name}" + (".output" if name in NAMES_OF_OTHERS else ""): row.histogram
            for name, row in self._latest.items()
            if row.histogram is not None
        }

    @override
    def tab_data(self) -> Iterable[TabData]:
        return [activation_tab_data(name, row, self._split, self._samples) for name, row in self._latest.items()]

    # ---- internals

    def _hears(self, split: str, trainer: Trainer) -> bool:
        """Whether the window is one of this split, on the process that writes."""
        writes = self.writer is not None and self.writer.writes
        return writes and self._split == split and not trainer.sanity_checking

    def _open(self, module: LightningModule, batch: Any, batches: float) -> None:
        """Begins a window that ends with so many batches or before."""
        with self.guard(flexible=True):
            self._close()
            self._window = ActivationWindow(module, min(self.num_samples, batches * batch_size(batch)))
            self._tap = ActivationTap(module, self.selected, self._hear)
            self._open_for = batches

    def _begin(self, batch: Any) -> None:
        if self._tap is not None and self._window is not None and self._window.samples < self.num_samples:
            with self.guard(flexible=True):
                count = batch_size(batch)
                self._window.begin(count)
                self._tap.begin(count)

    def _hear(self, run: LayerRun) -> None:
        if self._window is not None:
            with self.account.guard(timed=True, flexible=True):
                window, self._window = self._window, None  # of no use if this fails
                window.add(run)
                self._window = window

    def _finish(self, trainer: Trainer) -> None:
        if self._tap is not None and self._tap.begun:
            with self.guard(flexible=True):
                window, self._window = self._window, None  # of no use if hearing has failed
                embedding = self._tap.end()
                if window is not None:
                    window.end(embedding)
                    self._window, self._ended_at = window, self.moment(trainer)

    def _close(self) -> None:
        if self._tap is not None:
            self._tap.close()
            self._tap = None
        self._open_for = 0

    def _batches_left(self, trainer: Trainer, batch_idx: int, wanted: int) -> float:
        """Batches up to the next picture, this one included; infinite if that is not foreseen.

        Also up to the end of the epoch, with which the training may end, if that is not within the next window.

        Args:
            trainer: The trainer.
            batch_idx: Number of this batch in its epoch, from 0.
            wanted: Batches of a window.
        """
        done = logged_step(trainer) - (not trainer.lightning_module.automatic_optimization)
        last = trainer.current_epoch + 1 == trainer.max_epochs
        ends = last or self.schedule.epoch_due(trainer.current_epoch, self.stretch)
        steps = [trainer.max_steps - done] if trainer.max_steps > 0 else []
        if self.schedule.every_n_train_steps is not None:
            every = self.schedule.every_n_train_steps * self.stretch
            steps.append(every - done % every)
        accumulated = trainer.accumulate_grad_batches
        batches = [step * accumulated - batch_idx % accumulated for step in steps]
        epoch = trainer.num_training_batches - batch_idx
        ends = ends or (self.stretch == 1 and min([*batches, math.inf]) - epoch >= wanted)
        return min([*batches, epoch if ends else math.inf])

    def _tell(self, trainer: Trainer) -> None:
        """Tells of layers that did not run, and of values that are not finite, once of each."""
        missing = [name for name in self.selected if name not in self._latest and name not in self._reported]
        broken = [name for name, row in self._latest.items() if row.non_finite and name not in self._reported]
        self._reported |= {*missing, *broken}
        if broken:
            values = ", ".join(f"{name} ({self._latest[name].non_finite:,})" for name in broken)
            rank_zero_warn(f"ActivationStats: NaN or infinite values up to step {self.moment(trainer).step}: {values}")
        message = f"{', '.join(missing)} did not run or returned no tensor of floating-point values"
        if missing and (self.layers is not None or not self._latest):
            with self.account.guard():
                raise ValueError(message)
        elif missing:  # not requested, such as heads for training only
            rank_zero_info(f"ActivationStats: {message}; skipped")

    def _end(self, trainer: Trainer) -> None:
        try:
            self._close()  # a failed batch may have left it hearing
        finally:
            super()._end(trainer)


def _rank(embedding: Array, tag: str, run: Run) -> Results:
    rank = run(partial(effective_rank, embedding))
    return (), {tag: rank} if math.isfinite(rank) else {}
