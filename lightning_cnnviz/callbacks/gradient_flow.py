"""Gradients of every layer through training, and words where one vanishes or explodes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from lightning_cnnviz.callbacks.base import Layers, OnError, VisualCallback
from lightning_cnnviz.functional.gradient_flow import (
    STATISTICS,
    diagnose,
    gradient_bars,
    gradient_heat_map,
    gradient_record,
)
from lightning_cnnviz.functional.record import Record
from lightning_cnnviz.gradients import GradientWindow
from lightning_cnnviz.layers import layers_with_weights, select_layers, weights_of
from lightning_cnnviz.sharding import passed_over
from lightning_cnnviz.writer import Drawing

MOST_COLUMNS = 1000
"""Columns of the heat map; beyond, every second one is dropped."""


class GradientFlow(VisualCallback):
    """Watches gradients: images `gradient_flow/bars`, `gradient_flow/heatmap`, and six scalars per layer.

    Scalars `gradient_flow/<layer>/<statistic>` are over the optimizer steps since the last picture: `mean_abs`
    (mean |g|), `max_abs`, `norm` (mean of the steps' L2 norms; these three over the steps whose gradient was
    finite), `non_finite` (number of entries), and, over the first and every 16th of these steps, `zero_share`
    (exact zeros, 0…1) and `update_ratio` (‖Δw‖ / ‖w‖ of an optimizer step, their mean). Gradients are the true
    ones: unscaled, accumulated over the whole step, before clipping. They are read at every step without waiting
    for the device; it is waited for only when a picture is due.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`, of any layers with weights. Default: those whose
            weight has at least two dimensions (convolutions, linear layers, embeddings), no biases.
        tag: First part of the tags.
        on_error: `"warn"` or `"raise"`.
        vanishing: A layer whose ‖g‖ / ‖w‖ falls below this is reported, once.
        exploding: A layer whose mean |g| rises above this is reported, once.
        watch_every_n_steps: Look at the gradients in the first and every n-th of an optimizer's steps only; all
            statistics are then over the steps looked at. A picture before which there was none is left out.

    Raises:
        ValueError: If an argument is impossible; at the start of `fit`, if `layers` matches no layer with
            weights.

    Example:
        >>> GradientFlow(every_n_train_steps=50, vanishing=1e-9).vanishing
        1e-09
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: Layers = None,
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
        if not isinstance(watch_every_n_steps, int) or isinstance(watch_every_n_steps, bool):
            raise TypeError(f"expected watch_every_n_steps to be a whole number, got {watch_every_n_steps!r}")
        if watch_every_n_steps < 1:
            raise ValueError(f"expected watch_every_n_steps to be at least 1 (every step), got {watch_every_n_steps}")
        self.watch_every_n_steps = watch_every_n_steps
        self.vanishing = vanishing
        self.exploding = exploding
        self._window: GradientWindow | None = None
        self._steps: Counter[int] = Counter()
        self._latest: dict[str, dict[str, float]] = {}
        self._history: list[tuple[int, dict[str, float]]] = []
        self._reported: set[tuple[str, str]] = set()
        self._names: list[str] = []
        self._waiting = False

    def state_dict(self) -> dict[str, Any]:
        """The heat map's columns, so that a resumed run goes on with it."""
        return {"history": [(step, dict(column)) for step, column in self._history]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with the heat map of a checkpoint."""
        self._history = [(step, dict(column)) for step, column in state_dict["history"]]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_window": None}

    def _select(self, module: LightningModule) -> Sequence[str]:
        matrices = layers_with_weights(module, fewest_dimensions=2 if self.layers is None else 1)
        selected = select_layers(module, self.layers, matrices, "layer with weights")
        if not selected:
            rank_zero_warn("GradientFlow: the model has no layer with weights, so there are no gradients to watch")
        return selected

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        # A run that begins anew, or from an earlier step, leaves what came later behind.
        self._history = [(step, column) for step, column in self._history if step <= trainer.global_step]
        self._reported.clear()
        self._window = None
        self._waiting = not passed_over(type(self).__name__, module)
        self._steps.clear()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Reads the gradients; here they are accumulated, unscaled and not yet clipped."""
        if self._writer is not None and self._waiting:
            self._waiting = False
            with self._duty():
                self._open(pl_module)
        if self._writer is None or self._window is None:
            return
        due = self._steps[id(optimizer)] % (self.watch_every_n_steps * self.stretch) == 0
        self._steps[id(optimizer)] += 1
        if due or self._window.updating:
            with self._duty(flexible=True):
                self._window.end_update()
                if due:
                    owned = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
                    self._window.add(owned, self._loss_scale(trainer, pl_module, optimizer))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at what the optimizer did to the weights, and draws if due."""
        if self._writer is not None and self._window is not None and self._window.updating:
            with self._duty():
                self._window.end_update()
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def _end(self, trainer: Trainer) -> None:
        self._window = None
        super()._end(trainer)

    def _open(self, module: LightningModule) -> None:
        """Opens the window at the first step, since lazy layers have their weights only now."""
        weights = weights_of(module, self._select(module))
        self._names = list(weights)
        self._window = GradientWindow(weights)

    @staticmethod
    def _loss_scale(trainer: Trainer, module: LightningModule, optimizer: Optimizer) -> Tensor | None:
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        # Fused optimizers divide by the loss scale within their step, others were given divided gradients.
        if scaler is None or not getattr(optimizer, "_step_supports_amp_scaling", False):
            return None
        scale = scaler.scale(torch.ones((), device=module.device))
        return scale if isinstance(scale, Tensor) else None

    def _drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        if self._window is None:
            return
        self._latest = self._window.statistics()
        self._window.clear()
        if not self._latest:
            return
        self._report(trainer)
        self._history.append((trainer.global_step, {name: row["mean_abs"] for name, row in self._latest.items()}))
        if len(self._history) > MOST_COLUMNS:
            self._history = self._history[::2]
        steps = [step for step, _ in self._history]
        empty = dict.fromkeys(STATISTICS, float("nan"))
        rows = [self._latest.get(name, empty) for name in self._names]
        columns = np.array([[column.get(name, np.nan) for _, column in self._history] for name in self._names])
        mean_abs, max_abs = (np.array([row[key] for row in rows]) for key in ("mean_abs", "max_abs"))
        title = self._title("gradient flow", trainer)
        yield f"{self.tag}/bars", partial(gradient_bars, self._names, mean_abs, max_abs, title=title)
        yield f"{self.tag}/heatmap", partial(gradient_heat_map, self._names, steps, columns, title=title)

    def _records(self) -> Iterable[Record]:
        if self._latest:
            yield gradient_record(self._names, self._latest, self.vanishing, self.exploding)

    def _numbers(self) -> Mapping[str, float]:
        return {
            f"{self.tag}/{name}/{statistic}": row[statistic]
            for name, row in self._latest.items()
            for statistic in STATISTICS
        }

    def _report(self, trainer: Trainer) -> None:
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        found: dict[str, list[str]] = {}
        for name, row in self._latest.items():
            if scaled and np.isfinite(row["mean_abs"]):
                row = {**row, "non_finite": 0.0}  # the loss scaler tries scales out and skips such steps
            problem, measured = diagnose(row, self.vanishing, self.exploding) or ("", "")
            if problem and (name, problem) not in self._reported:
                self._reported.add((name, problem))
                found.setdefault(problem, []).append(f"{name} ({measured})")
        for problem, layers in found.items():
            rank_zero_warn(f"GradientFlow: {problem} gradients up to step {trainer.global_step}: {', '.join(layers)}")
