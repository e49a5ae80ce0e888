"""Loss and accuracy curves, training and validation in one chart."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, OnError, VisualCallback
from lightning_cnnviz.callbacks.listening import say_once
from lightning_cnnviz.data.batch import Key
from lightning_cnnviz.data.scores import Task, check_task
from lightning_cnnviz.functional.curves import Point, Quantity, Stage, curve_chart
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.lightning import averages_weights, logged_step, step_only_metrics
from lightning_cnnviz.model.layers import scores_layer
from lightning_cnnviz.model.loss_evidence import LossEvidence
from lightning_cnnviz.output.writer import Drawing
from lightning_cnnviz.statistics.curve_sources import CurveSources
from lightning_cnnviz.statistics.epoch_means import EpochMeans
from lightning_cnnviz.statistics.fresh_metrics import FreshMetrics

QUANTITIES: tuple[Quantity, ...] = ("loss", "accuracy")
STAGES: tuple[Stage, ...] = ("train", "val")


class LossAccuracy(VisualCallback):
    """Draws loss and accuracy against epochs: images `curves/loss` and `curves/accuracy`.

    Uses the metrics that the module logs in a stage, found by name (`"val_loss"`, `"train/acc"`, ...). What is not
    logged as an epoch mean is computed here: the loss from the return values of the training and validation steps,
    the accuracy from the outputs of the module's own forward pass and the class indices in the batch, without a
    second forward pass. An epoch in which the module does not log its metric has no point. Both curves of a chart show
    the same kind of metric (a macro average beside a macro average) in the same unit, and the legend names it. Each
    point is also logged as a scalar `curves/<quantity>/<train or val>`, and TensorBoard's Custom Scalars tab shows
    both in one chart.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch; points are recorded at every epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: The layer that outputs the class scores, for an accuracy that is computed here. Default: the module
            itself.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        train_loss: Name of a logged metric. Default: detected.
        val_loss: Name of a logged metric. Default: detected.
        train_accuracy: Name of a logged metric. Default: detected.
        val_accuracy: Name of a logged metric. Default: detected.
        inputs: Index, key or attribute of the inputs in a batch. Default: detected, see
            `lightning_cnnviz.data.batch.split_batch`.
        targets: Index, key or attribute of the class indices in a batch. Default: detected.
        task: What the class scores are: `"multiclass"`, `"binary_logits"`, `"binary_probabilities"` or, if there are
            none, `"none"`. Default: what the training's loss tells.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` does not match exactly one layer.

    Example:
        >>> LossAccuracy(val_accuracy="val/top5").names["accuracy", "val"]
        'val/top5'
    """

    guide = Guide("Custom Scalars", "curves/…", "training and validation in one chart")
    cumulative = QUANTITIES

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "curves",
        on_error: OnError = "warn",
        train_loss: str | None = None,
        val_loss: str | None = None,
        train_accuracy: str | None = None,
        val_accuracy: str | None = None,
        inputs: Key | None = None,
        targets: Key | None = None,
        task: Task | None = None,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
        )
        self.names: dict[tuple[Quantity, Stage], str | None] = {
            ("loss", "train"): train_loss,
            ("loss", "val"): val_loss,
            ("accuracy", "train"): train_accuracy,
            ("accuracy", "val"): val_accuracy,
        }
        self._points: dict[tuple[Quantity, Stage], list[Point]] = {kind: [] for kind in self.names}
        self.inputs = inputs
        self.targets = targets
        self.task = check_task(task)
        self._means = self._new_means()
        self._num_sent = dict.fromkeys(self.names, 0)
        self._sources = CurveSources(self.names)
        self._fresh = FreshMetrics()
        self._ended_epoch: tuple[int, dict[str, float]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Returns the curves so far, so that a resumed run continues them."""
        points = {"/".join(kind): [tuple(point) for point in points] for kind, points in self._points.items()}
        return {"points": points, "sources": self._sources.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the curves from a checkpoint."""
        self._points = {kind: [Point(*point) for point in state_dict["points"]["/".join(kind)]] for kind in self.names}
        self._sources.load_state_dict(state_dict.get("sources", {}))

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        return scores_layer(module, self.layers)

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        self._ended_epoch = None
        if not logged_step(trainer):
            self._sources = CurveSources(self.names)
        self._means = self._new_means()
        # Drops points of later steps, in case this run starts over or from an earlier checkpoint.
        for kind, points in self._points.items():
            self._points[kind] = [point for point in points if point.step <= logged_step(trainer)]
        self._num_sent = dict.fromkeys(self.names, 0)
        self._fresh.mark(trainer.callback_metrics)
        charts = {f"{self.tag}/{quantity}": _chart(f"{self.tag}/{quantity}") for quantity in QUANTITIES}
        assert self.writer is not None
        self.writer.chart_layout({"cnnviz": charts}, self.account)

    # ---- training

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Records the metrics of the last epoch, which include those logged at its very end only now."""
        self._finish_epoch(trainer, pl_module)
        self._fresh.mark(trainer.callback_metrics)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts capturing the class scores."""
        self._start_capture("train", pl_module, batch)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Reads from the loss what scores and class indices are, until it is settled."""
        if self.writer is not None and self._evidence.verdict is None:
            with self.guard():
                self._evidence.read(loss)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds the batch to the epoch's means, and draws if due."""
        if self.writer is not None:
            with self.guard():
                # Lightning divides the loss that it passes on by the number of accumulated batches.
                unsettled = self._evidence.verdict is None
                self._means["train"].add(outputs, batch, scale=trainer.accumulate_grad_batches)
                verdict = self._evidence.verdict
                if unsettled:
                    say_once(self._means["train"].words, self.writer)
                if unsettled and verdict is not None and verdict.reason:
                    rank_zero_info(f"LossAccuracy: no accuracy is computed here: {verdict.reason}")
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Computes the epoch's means; drawing is deferred until all metrics of the epoch are logged."""
        if self.writer is not None:
            with self.guard():
                self._ended_epoch = trainer.current_epoch, self._means["train"].end(trainer.strategy)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Records the metrics of the last epoch."""
        self._finish_epoch(trainer, pl_module)
        super().on_train_end(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Records the metrics of a finished epoch and writes pending pictures."""
        try:
            self._finish_epoch(trainer, pl_module)
        finally:
            super().on_exception(trainer, pl_module, exception)

    def _end(self, trainer: Trainer) -> None:
        try:
            for means in self._means.values():  # a failed batch may have left one capturing
                means.stop_capture()
            self._means = self._new_means()
        finally:
            super()._end(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Records the metrics of an epoch that has just ended, so that the checkpoint includes its points."""
        if self._ended_epoch is not None and "callbacks" in checkpoint:
            self._finish_epoch(trainer, pl_module)
            checkpoint["callbacks"][self.state_key] = self.state_dict()

    # ---- validation

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes which metrics are there before the validation."""
        self._fresh.mark(trainer.callback_metrics)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Starts capturing the class scores."""
        if not trainer.sanity_checking and dataloader_idx == 0:
            self._start_capture("val", pl_module, batch)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds the batch to the validation's means."""
        if self.writer is not None and not trainer.sanity_checking and dataloader_idx == 0:
            with self.guard():
                self._means["val"].add(outputs, batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Records the metrics of the validation."""
        if self.writer is not None and not trainer.sanity_checking:
            with self.guard():
                means = self._means["val"].end(trainer.strategy)
                batches, done = trainer.num_training_batches, trainer.fit_loop.epoch_loop.batch_idx + 1
                part = 1.0 if trainer.is_last_batch else done / batches if batches != float("inf") else float("nan")
                self._add_points("val", trainer, trainer.current_epoch + part, means)
        self._fresh.mark(trainer.callback_metrics)

    # ---- internals

    def _new_means(self) -> dict[Stage, EpochMeans]:
        self._evidence = LossEvidence(self.targets is not None or bool(self.selected), self.task)
        means = (EpochMeans(self.inputs, self.targets, self._evidence) for _ in range(2))
        return dict(zip(STAGES, means, strict=True))

    def _start_capture(self, stage: Stage, module: LightningModule, batch: Any) -> None:
        if self.writer is not None and self._sources.computes_accuracy(stage):
            with self.guard():
                self._means[stage].start_capture(module, batch, self.selected[0] if self.selected else None)

    def _finish_epoch(self, trainer: Trainer, module: LightningModule) -> None:
        if self.writer is None or self._ended_epoch is None:
            return
        (epoch, means), self._ended_epoch = self._ended_epoch, None
        with self.guard():
            self._add_points("train", trainer, epoch + 1, means)
        if self.schedule.epoch_due(epoch, self.stretch):
            self.draw(trainer, module)

    def _add_points(self, stage: Stage, trainer: Trainer, epoch: float, means: Mapping[str, float]) -> None:
        logged = trainer.callback_metrics
        fresh = self._fresh.since_mark(logged)
        if stage == "train":
            fresh = {name: value for name, value in fresh.items() if name not in step_only_metrics(trainer)}
        for quantity in QUANTITIES:
            asked = self.names[quantity, stage]
            if asked is not None and asked not in logged:
                raise ValueError(
                    f"{stage}_{quantity}={asked!r} is not logged; logged metrics: {', '.join(logged) or 'none'}"
                )
            value = self._sources.value((quantity, stage), fresh, means)
            if value is not None:
                self._points[quantity, stage].append(Point(epoch, logged_step(trainer), value))
                assert self.writer is not None
                tag = f"{self.tag}/{quantity}/{stage}"
                self.writer.scalars({tag: value}, logged_step(trainer), self.account)

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        for quantity in QUANTITIES:
            train, val = (list(self._points[quantity, stage]) for stage in ("train", "val"))
            if train or val:
                draw = partial(curve_chart, train, val, quantity=quantity, metrics=self._sources.names(quantity))
                unit = " in percent" if quantity == "accuracy" and self._sources.percent else ""
                weights = " · validation of averaged weights" if val and averages_weights(trainer) else ""
                title = f"{quantity}{unit} · step {logged_step(trainer)}{weights}"
                yield f"{self.tag}/{quantity}", partial(draw, title=title)

    @override
    def tab_data(self) -> Iterable[TabData]:
        new = {"/".join(kind): points[self._num_sent[kind] :] for kind, points in self._points.items()}
        self._num_sent = {kind: len(points) for kind, points in self._points.items()}
        if any(new.values()):
            metrics = {f"{quantity}/{stage}": name for quantity in QUANTITIES for stage, name in self._names(quantity)}
            yield TabData("curves", {}, {"points": new, "metrics": metrics, "percent": self._sources.percent}, {})

    def _names(self, quantity: Quantity) -> Iterable[tuple[Stage, str]]:
        return self._sources.names(quantity).items()


def _chart(tag: str) -> list[Any]:
    return ["Multiline", [f"^{re.escape(tag)}/{stage}$" for stage in ("train", "val")]]
