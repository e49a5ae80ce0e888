"""Loss and accuracy of training and validation in one chart each."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pytorch_lightning import LightningModule, Trainer

from lightning_cnnviz.callbacks.base import Layers, OnError, VisualCallback
from lightning_cnnviz.functional.curves import Point, Quantity, Stage, curve_chart, find_metric
from lightning_cnnviz.functional.record import Record
from lightning_cnnviz.layers import scores_layer
from lightning_cnnviz.means import EpochMeans
from lightning_cnnviz.writer import Drawing

QUANTITIES: tuple[Quantity, ...] = ("loss", "accuracy")


class LossAccuracy(VisualCallback):
    """Draws loss and accuracy over the epochs: images `curves/loss` and `curves/accuracy`.

    Takes what the module logs, found by name (`"val_loss"`, `"train/acc"`, ...). What it does not log as a mean
    over the epoch is computed here: the loss from what the steps return, the accuracy from what the module's
    own forward pass returned and the class numbers in the batch, without a second pass. Each point is also a
    scalar `curves/<quantity>/<train or val>`, and TensorBoard's Custom Scalars tab draws both in one chart.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch; points are taken at every one. Default: every
            epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: The layer whose output are the class scores, where the accuracy is computed here. Default: the
            module itself.
        tag: First part of the tags.
        on_error: `"warn"` or `"raise"`.
        train_loss: Name of a logged metric. Default: found by itself.
        val_loss: Name of a logged metric. Default: found by itself.
        train_accuracy: Name of a logged metric. Default: found by itself.
        val_accuracy: Name of a logged metric. Default: found by itself.

    Raises:
        ValueError: If an argument is impossible; at the start of `fit`, if `layers` is not one layer.

    Example:
        >>> LossAccuracy(val_accuracy="val/top5").names["accuracy", "val"]
        'val/top5'
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: Layers = None,
        tag: str = "curves",
        on_error: OnError = "warn",
        train_loss: str | None = None,
        val_loss: str | None = None,
        train_accuracy: str | None = None,
        val_accuracy: str | None = None,
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
        self._means: dict[Stage, EpochMeans] = {"train": EpochMeans(), "val": EpochMeans()}
        self._recorded = dict.fromkeys(self.names, 0)
        self._listening: dict[Stage, bool] = {"train": False, "val": False}
        self._step_values: set[str] | None = None
        self._ended: tuple[int, dict[str, float]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The curves so far, so that a resumed run goes on with them."""
        points = {"/".join(kind): [tuple(point) for point in points] for kind, points in self._points.items()}
        return {"points": points}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with the curves of a checkpoint."""
        self._points = {kind: [Point(*point) for point in state_dict["points"]["/".join(kind)]] for kind in self.names}

    def _select(self, module: LightningModule) -> Sequence[str]:
        return scores_layer(module, self.layers)

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        self._ended = self._step_values = None
        self._means = {"train": EpochMeans(), "val": EpochMeans()}
        # A run that begins anew, or from an earlier step, leaves what came later behind.
        for kind, points in self._points.items():
            self._points[kind] = [point for point in points if point.step <= trainer.global_step]
        self._recorded = dict.fromkeys(self.names, 0)
        # What is not logged is not known before the first epoch ends: until then both are listened to.
        self._listening = {
            "train": self.names["accuracy", "train"] is None,
            "val": self.names["accuracy", "val"] is None,
        }
        charts = {f"{self.tag}/{quantity}": _chart(f"{self.tag}/{quantity}") for quantity in QUANTITIES}
        assert self._writer is not None
        self._writer.chart_layout({"cnnviz": charts}, self.account)

    # ---- training

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the last epoch's metrics: only now are those in that its very end logged."""
        self._settle(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Listens to the scores."""
        self._listen("train", pl_module, batch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds the batch to the epoch's means, and draws if due."""
        if self._writer is not None:
            with self._duty():
                # Lightning divides the loss that it hands on by the batches that are accumulated.
                self._means["train"].add(outputs, batch, scale=trainer.accumulate_grad_batches)
                if self._step_values is None:
                    names = set(trainer.callback_metrics)
                    self._step_values = {name for name in names if f"{name}_step" not in names}
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the epoch's means; the picture waits until all metrics of the epoch are in."""
        if self._writer is not None:
            with self._duty():
                self._ended = trainer.current_epoch, self._means["train"].end(trainer.strategy)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the last epoch's metrics."""
        self._settle(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Takes the metrics of an epoch that had ended, and writes what is still waiting."""
        try:
            self._settle(trainer, pl_module)
        finally:
            super().on_exception(trainer, pl_module, exception)

    def _end(self, trainer: Trainer) -> None:
        try:
            for means in self._means.values():  # a batch that failed may have left one listening
                means.deafen()
            self._means = {"train": EpochMeans(), "val": EpochMeans()}
        finally:
            super()._end(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Takes the metrics of an epoch that has just ended, so that the checkpoint has its points."""
        if self._ended is not None and "callbacks" in checkpoint:
            self._settle(trainer, pl_module)
            checkpoint["callbacks"][self.state_key] = self.state_dict()

    # ---- validation

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Listens to the scores."""
        if not trainer.sanity_checking and dataloader_idx == 0:
            self._listen("val", pl_module, batch)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds the batch to the means of the validation."""
        if self._writer is not None and not trainer.sanity_checking and dataloader_idx == 0:
            with self._duty():
                self._means["val"].add(outputs, batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the metrics of the validation."""
        if self._writer is not None and not trainer.sanity_checking:
            with self._duty():
                means = self._means["val"].end(trainer.strategy)
                batches, done = trainer.num_training_batches, trainer.fit_loop.epoch_loop.batch_idx + 1
                part = 1.0 if trainer.is_last_batch else done / batches if batches != float("inf") else float("nan")
                self._take("val", trainer, trainer.current_epoch + part, means)

    # ---- how it is done

    def _listen(self, stage: Stage, module: LightningModule, batch: Any) -> None:
        if self._writer is not None and self._listening[stage]:
            with self._duty():
                self._means[stage].listen(module, batch, self._selected[0] if self._selected else None)

    def _settle(self, trainer: Trainer, module: LightningModule) -> None:
        if self._writer is None or self._ended is None:
            return
        (epoch, means), self._ended = self._ended, None
        with self._duty():
            self._take("train", trainer, epoch + 1, means)
        if self.schedule.epoch_due(epoch, self.stretch):
            self._draw(trainer, module)

    def _take(self, stage: Stage, trainer: Trainer, epoch: float, means: Mapping[str, float]) -> None:
        logged = trainer.callback_metrics
        over_epoch = [name for name in logged if stage == "val" or name not in (self._step_values or ())]
        for quantity in QUANTITIES:
            asked = self.names[quantity, stage]
            if asked is not None and asked not in logged:
                raise ValueError(
                    f"{stage}_{quantity}={asked!r} is not logged; logged are: {', '.join(logged) or 'none'}"
                )
            name = asked or find_metric(over_epoch, quantity, stage)
            if quantity == "accuracy":
                self._listening[stage] = name is None
            value = float(logged[name]) if name is not None else means.get(quantity)
            if value is not None:
                self._points[quantity, stage].append(Point(epoch, trainer.global_step, value))
                assert self._writer is not None
                tag = f"{self.tag}/{quantity}/{stage}"
                self._writer.scalars({tag: value}, trainer.global_step, self.account)

    def _drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        for quantity in QUANTITIES:
            train, val = (list(self._points[quantity, stage]) for stage in ("train", "val"))
            if train or val:
                draw = partial(curve_chart, train, val, quantity=quantity)
                yield f"{self.tag}/{quantity}", partial(draw, title=f"{quantity} · step {trainer.global_step}")

    def _records(self) -> Iterable[Record]:
        new = {"/".join(kind): points[self._recorded[kind] :] for kind, points in self._points.items()}
        self._recorded = {kind: len(points) for kind, points in self._points.items()}
        if any(new.values()):
            yield Record("curves", {}, {"points": new}, {})


def _chart(tag: str) -> list[Any]:
    return ["Multiline", [f"^{re.escape(tag)}/{stage}$" for stage in ("train", "val")]]
