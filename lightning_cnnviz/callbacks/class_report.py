"""Accuracy per class, confusion matrix and misclassified samples of a validation."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, Moment, OnError
from lightning_cnnviz.callbacks.listening import ListeningCallback
from lightning_cnnviz.data.batch import Key
from lightning_cnnviz.data.colours import Normalization, check_bands
from lightning_cnnviz.data.datasets import check_class_names, first_loader
from lightning_cnnviz.data.image_axes import ImageAxes
from lightning_cnnviz.data.presentation import Presentation
from lightning_cnnviz.data.scores import Task, check_task
from lightning_cnnviz.errors import ClassNames, class_names_list, whole_number
from lightning_cnnviz.functional.class_report import (
    Counts,
    class_accuracies,
    confusion_matrix_chart,
    confusion_tab_data,
)
from lightning_cnnviz.functional.drawing.image_sheet import prediction_sheet
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.model.layers import scores_layer
from lightning_cnnviz.output.writer import Drawing
from lightning_cnnviz.statistics.class_tally import ClassTally, Totals

NUM_SHOWN_SAMPLES = 20
"""First validation samples that are shown."""
NO_SCORES = (
    "ClassReport found nothing to report: expected class scores of shape (samples, classes) and class indices in the "
    'validation batches; if a layer outputs the scores, name it with layers="..."'
)


class ClassReport(ListeningCallback):
    """Reports a validation class by class: images `class_report/confusion`, `…/mistakes` and `…/samples`.

    Scalars `class_report/accuracy/<class>` are the share of a class's samples that were classified correctly (its
    recall), 0…1. Rows of the confusion matrix are the true classes. `mistakes` shows the misclassified samples with
    the highest softmax probability and `samples` the first 20 validation samples, both with true and predicted class.

    Everything is computed from the outputs of the module's own validation pass and the class indices in the batches
    of the first validation dataloader, without a second forward pass, and drawn at the end of the validation. Targets
    that are not a class of the model (such as an `ignore_index`) are excluded and counted on the picture. With
    several processes, counts are over all ranks; mistakes and samples are those of rank 0.

    Args:
        every_n_epochs: Draw at the end of each validation in every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at the end of the first validation after every n-th optimizer step instead.
        layers: The layer that outputs the class scores, shape (samples, classes). Default: the module itself.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        class_names: Names by class index. Default: `class_names` or `classes` of the dataset, the data module or
            the model, if there are as many as model outputs; otherwise the class indices.
        max_mistakes: Maximum number of mistakes on the picture.
        inputs: Index, key or attribute of the inputs in a batch. Default: detected, see
            `lightning_cnnviz.data.batch.split_batch`.
        targets: Index, key or attribute of the class indices in a batch. Default: detected.
        task: What the class scores are: `"multiclass"`, `"binary_logits"`, `"binary_probabilities"` or, if there are
            none, `"none"`. Default: what the training's loss tells.
        mean: Mean of each channel by which the images were normalised; see `Probe`.
        std: Standard deviation of each channel, likewise.
        bands: Channels to show; see `Probe`.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` does not match exactly one layer;
            in the sanity check before the first step, if there are not as many `class_names` as model outputs.
            Without a sanity check the latter gives a warning, and class indices are shown instead.

    Example:
        >>> ClassReport(class_names=["cat", "dog"], every_n_epochs=5).max_mistakes
        20
    """

    guide = Guide("Images", "class_report/…", "the confusion matrix and the most confident mistakes")
    weights = "averaged"

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "class_report",
        on_error: OnError = "warn",
        class_names: ClassNames | None = None,
        max_mistakes: int = 20,
        inputs: Key | None = None,
        targets: Key | None = None,
        task: Task | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bands: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
        )
        self.class_names = None if class_names is None else class_names_list(class_names)
        self.max_mistakes = whole_number(max_mistakes, "max_mistakes", at_least=1)
        self.inputs = inputs
        self.targets = targets
        self.task = check_task(task)
        self.normalization = Normalization.given(mean, std)
        self.bands = None if bands is None else check_bands(bands)
        self._tally: ClassTally | None = None
        self._validated: Moment | None = None  # when a validation ended that was counted and not drawn
        self._due = False  # whether the validation that runs is drawn at its end
        self._accuracies: dict[str, float] = {}
        self._counted: TabData | None = None
        self._warned = False

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_tally": None, "_validated": None}

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        return scores_layer(module, self.layers)

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        self._warned = False
        self._tally = self._validated = None
        self.listen(self.inputs, self.targets, self.task, settled=bool(self.selected))
        if not trainer.enable_validation:
            rank_zero_info("ClassReport: no validation data; nothing is reported")

    # ---- Lightning's hooks

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draws nothing; this callback draws at the end of a validation."""
        self.end_listening()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws nothing; this callback draws at the end of a validation."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reports the last validation, unless it has been drawn; says so if there is none."""
        self.draw_last_validation(trainer, pl_module, self._validated)
        self._tally = self._validated = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts counting if this validation is due, or may be the last."""
        named = trainer.sanity_checking and self.class_names is not None
        self._due, self._validated = self.due_at_validation(trainer), None
        counting = self.writer is not None and (named or self.hears_validation(trainer, self._due))
        self._tally = ClassTally(self.max_mistakes, NUM_SHOWN_SAMPLES) if counting else None

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Starts capturing the class scores."""
        if self._tally is not None and dataloader_idx == 0:
            with self.guard():
                self._listener.start(pl_module, batch, self.selected[0] if self.selected else None)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Counts the batch."""
        if self._tally is not None and dataloader_idx == 0:
            with self.guard():
                captured = self._listener.stop()
                if captured is not None:
                    self._tally.add(captured)
                if trainer.sanity_checking and self._tally.classes:
                    check_class_names(self.class_names or [], self._tally.classes)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws if this validation is due."""
        if self._tally is not None and not trainer.sanity_checking and not self._due:
            self._validated = self.moment(trainer)  # drawn if this has been the last
            return
        if self._tally is not None and not trainer.sanity_checking:
            self.draw(trainer, pl_module)
        self._tally = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stops counting and writes pending pictures."""
        self._tally = None
        super().on_exception(trainer, pl_module, exception)

    # ---- internals

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        assert self._tally is not None
        self._accuracies, self._counted = {}, None
        totals = self._tally.totals(trainer.strategy)  # collective: called on every rank
        if totals is None:
            if not self._warned and self.task != "none":
                self._warned = True
                reason = self.verdict.reason
                rank_zero_warn(f"ClassReport found nothing to report: {reason}" if reason else NO_SCORES)
            return
        counts = totals.counts.numpy()
        names = self._names(trainer, module, len(counts))
        accuracies = zip(names, class_accuracies(counts), strict=True)
        self._accuracies = {name: float(accuracy) for name, accuracy in accuracies if np.isfinite(accuracy)}
        self._counted = confusion_tab_data(counts, names, _exclusions_note(totals))
        if self.writer is None or not self.writer.takes_pictures:
            return
        draw = partial(confusion_matrix_chart, counts, names, note=_exclusions_note(totals))
        yield f"{self.tag}/confusion", partial(draw, title=self.title("confusion", trainer))
        scope = "" if trainer.world_size == 1 else "rank 0: "
        for kind, rows in (("mistakes", self._tally.mistakes), ("samples", self._tally.samples)):
            if rows is not None:  # on this rank
                images, true, predicted, confidence = (part.cpu() for part in rows)
                if ImageAxes.of(module).are_last(images) is None:
                    continue
                shown = Presentation(None, self.normalization, self.bands)
                colours = shown.colours(images, first_loader(trainer.val_dataloaders))
                note = " · ".join(filter(None, (scope + _sheet_note(kind, len(true), counts), colours.note)))
                images = colours.images(images)
                draw = partial(prediction_sheet, images, true, predicted, confidence, names, note=note)
                yield f"{self.tag}/{kind}", partial(draw, title=self.title(kind, trainer))

    @override
    def scalars(self) -> Mapping[str, float]:
        return {f"{self.tag}/accuracy/{name}": accuracy for name, accuracy in self._accuracies.items()}

    @override
    def tab_data(self) -> Iterable[TabData]:
        return [] if self._counted is None else [self._counted]

    def _names(self, trainer: Trainer, module: LightningModule, classes: int) -> list[str]:
        names = self.class_names
        if names is not None and len(names) != classes:
            with self.account.guard():
                raise ValueError(f"expected {classes} class_names, got {len(names)}; class indices are shown instead")
        owners = getattr(trainer, "datamodule", None), module
        return Presentation(names).names(classes, first_loader(trainer.val_dataloaders), *owners)


def _sheet_note(kind: str, number: int, counts: Counts) -> str:
    samples, wrong = int(counts.sum()), int(counts.sum() - counts.trace())
    if kind == "samples":
        return f"the first {number} of {samples} samples"
    return f"the {number} most confident of {wrong} mistakes in {samples} samples" if wrong else "no mistakes"


def _exclusions_note(totals: Totals) -> str:
    parts = {
        "with a negative target excluded": totals.ignored,
        f"with a target above {len(totals.counts) - 1} excluded": totals.beyond,
        "with non-finite scores": totals.non_finite,
    }
    return " · ".join(f"{count} samples {what}" for what, count in parts.items() if count)
