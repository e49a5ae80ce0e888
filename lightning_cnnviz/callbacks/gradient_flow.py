"""Gradient statistics per layer during training, with warnings of vanishing and exploding gradients."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, OnError, VisualCallback
from lightning_cnnviz.errors import whole_number
from lightning_cnnviz.functional.gradients.gradient_flow import (
    STATISTICS,
    diagnose,
    gradient_bars,
    gradient_heat_map,
    gradient_tab_data,
)
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.lightning import logged_step, loss_scale
from lightning_cnnviz.model.layers import layers_with_weights, select_layers, weights_of
from lightning_cnnviz.model.raw_steps import RawSteps
from lightning_cnnviz.model.torch_internals import unscales_in_step
from lightning_cnnviz.output.writer import Drawing
from lightning_cnnviz.statistics.column_history import ColumnHistory
from lightning_cnnviz.statistics.gradient_window import GradientWindow


class GradientFlow(VisualCallback):
    """Tracks gradients: images `gradient_flow/bars` and `gradient_flow/heatmap`, and six scalars per layer.

    The scalars `gradient_flow/<layer>/<statistic>` cover the optimizer steps since the last picture:

    - `mean_abs`, `max_abs`: mean and maximum of the absolute gradient, over the steps with a finite gradient.
    - `norm`: L2 norm, averaged over the steps with a finite gradient.
    - `non_finite`: number of entries that are NaN or infinite.
    - `zero_share`: share of entries that are exactly zero, 0…1, over an eighth of the steps.
    - `update_ratio`: ‖Δw‖ / ‖w‖ of an optimizer step, averaged over an eighth of the steps (one that a loss scaler
      skips, or that moves no weight, does not count). For it up to four million weights are copied at a time; layers
      of a larger network take turns, in fewer steps each. Of a weight with more entries than that a million are
      copied, if these give ‖g‖ and ‖w‖ within 2 %, as they then do ‖Δw‖; otherwise it is NaN.

    Gradients are unscaled, accumulated over the whole step and not yet clipped. They are read at every step without
    synchronising with the device; the device is synchronised only when a picture is due.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`, of any layers with weights. Default: those whose
            weight has at least two dimensions (convolutions, linear layers, embeddings). Biases are not included.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        vanishing: A layer whose ‖g‖ / ‖w‖ falls below this is reported once.
        exploding: A layer whose mean absolute gradient rises above this is reported once.
        watch_every_n_steps: Read the gradients only in the first and every n-th step of an optimizer; all statistics
            then cover these steps. A picture is skipped if no step was read since the last one.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` matches no layer with weights.

    Example:
        >>> GradientFlow(every_n_train_steps=50, vanishing=1e-9).vanishing
        1e-09
    """

    guide = Guide("Images", "gradient_flow/bars, …/heatmap", "vanishing and exploding gradients")
    cumulative = ("heatmap",)

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "gradient_flow",
        on_error: OnError = "warn",
        vanishing: float = 1e-7,
        exploding: float = 1e2,
        watch_every_n_steps: int = 1,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
        )
        if not 0 <= vanishing < exploding:
            raise ValueError(f"expected 0 <= vanishing < exploding, got {vanishing} and {exploding}")
        self.watch_every_n_steps = whole_number(watch_every_n_steps, "watch_every_n_steps", at_least=1)
        self.vanishing = vanishing
        self.exploding = exploding
        self._window: GradientWindow | None = None
        self._steps: Counter[int] = Counter()
        self._latest: dict[str, dict[str, float]] = {}
        self._history = ColumnHistory()
        self._reported: set[tuple[str, str]] = set()
        self._names: list[str] = []
        self._window_pending = False
        self._raw_steps: RawSteps | None = None
        self._scale: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """Returns the columns of the heat map, so that a resumed run continues it."""
        return self._history.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the heat map from a checkpoint."""
        self._history.load_state_dict(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_window": None, "_raw_steps": None, "_scale": None}

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        matrices = layers_with_weights(module, fewest_dimensions=2 if self.layers is None else 1)
        selected = select_layers(module, self.layers, matrices, "layer with weights")
        if not selected:
            rank_zero_warn("GradientFlow: the model has no layer with weights; nothing is drawn")
        return selected

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        self._history.begin(logged_step(trainer))
        self._reported.clear()
        self._window = None
        self._window_pending = True
        self._steps.clear()
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None  # who unscales raw steps is not known
        if not module.automatic_optimization and not scaled:
            read = partial(self._read_gradients, trainer, module)
            self._raw_steps = RawSteps(trainer.optimizers, read)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Reads the gradients, which are accumulated, unscaled and not yet clipped at this point."""
        if self._raw_steps is not None:
            self._raw_steps.announce(optimizer)
        self._read_gradients(trainer, pl_module, optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measures the weight update, and draws if due."""
        if self.writer is not None and self._window is not None and self._window.updating:
            with self.guard():
                self._window.end_update(self._skipped(trainer))
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def _end(self, trainer: Trainer) -> None:
        self._window = None
        if self._raw_steps is not None:
            self._raw_steps.close()
            self._raw_steps = None
        super()._end(trainer)

    def _read_gradients(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if self.writer is not None and self._window_pending:
            self._window_pending = False
            with self.guard():
                self._open_window(pl_module)
        if self.writer is None or self._window is None:
            return
        due = self._steps[id(optimizer)] % (self.watch_every_n_steps * self.stretch) == 0
        self._steps[id(optimizer)] += 1
        if due or self._window.updating:
            with self.guard(flexible=True):
                self._window.end_update(self._skipped(trainer))
                if due:
                    # Fused optimizers divide by the scale within their step; for others the gradients are unscaled.
                    self._scale = loss_scale(trainer)
                    owned = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
                    self._window.add(owned, self._scale if unscales_in_step(optimizer) else None)

    def _open_window(self, module: LightningModule) -> None:
        """Creates the window at the first optimizer step, since lazy layers have no weights before."""
        weights = weights_of(module, self.choose_layers(module))
        self._names = list(weights)
        self._window = GradientWindow(weights)

    def _skipped(self, trainer: Trainer) -> Tensor | None:
        """Whether the loss scaler has skipped the last step; it then lowers the scale."""
        scale = loss_scale(trainer)
        return None if scale is None or self._scale is None else scale < self._scale

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        if self._window is None:
            return
        self._latest = self._window.statistics()
        self._window.clear()
        if not self._latest:
            return
        self._warn_of_problems(trainer)
        self._history.add(logged_step(trainer), {name: row["mean_abs"] for name, row in self._latest.items()})
        steps = self._history.steps
        empty = dict.fromkeys(STATISTICS, float("nan"))
        rows = [self._latest.get(name, empty) for name in self._names]
        columns = self._history.table(self._names)
        mean_abs, max_abs = (np.array([row[key] for row in rows]) for key in ("mean_abs", "max_abs"))
        private = any(hasattr(weight, "grad_sample") for weight in module.parameters())  # as Opacus stores them
        title = self.title("gradient flow", trainer) + (" · before clipping per sample and noise" if private else "")
        yield f"{self.tag}/bars", partial(gradient_bars, self._names, mean_abs, max_abs, title=title)
        yield (
            f"{self.tag}/heatmap",
            partial(gradient_heat_map, self._names, steps, columns, start=self._history.start, title=title),
        )

    @override
    def tab_data(self) -> Iterable[TabData]:
        if self._latest:
            yield gradient_tab_data(self._names, self._latest, self.vanishing, self.exploding)

    @override
    def scalars(self) -> Mapping[str, float]:
        return {
            f"{self.tag}/{name}/{statistic}": row[statistic]
            for name, row in self._latest.items()
            for statistic in STATISTICS
        }

    def _warn_of_problems(self, trainer: Trainer) -> None:
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        found: dict[str, list[str]] = {}
        for name, row in self._latest.items():
            if scaled and np.isfinite(row["mean_abs"]):
                row = {**row, "non_finite": 0.0}  # the loss scaler probes scales and skips overflowing steps
            problem, measured = diagnose(row, self.vanishing, self.exploding) or ("", "")
            if problem and (name, problem) not in self._reported:
                self._reported.add((name, problem))
                found.setdefault(problem, []).append(f"{name} ({measured})")
        for problem, layers in found.items():
            rank_zero_warn(f"GradientFlow: {problem} gradients up to step {logged_step(trainer)}: {', '.join(layers)}")
