"""How well each class is recognised, which are taken for which, and the images that go wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from lightning_cnnviz.callbacks.base import Layers, OnError, VisualCallback
from lightning_cnnviz.datasets import check_class_names, find_class_names, first_loader
from lightning_cnnviz.functional.class_report import Counts, class_accuracies, confusion_matrix_chart
from lightning_cnnviz.functional.image_sheet import prediction_sheet
from lightning_cnnviz.layers import scores_layer
from lightning_cnnviz.listener import Listener
from lightning_cnnviz.tally import ClassTally, Totals
from lightning_cnnviz.writer import Drawing

MAX_SAMPLES = 20
NOTHING = (
    "ClassReport found nothing to report: expected class scores of shape (samples, classes) and class numbers in the "
    'validation batches; if a layer gives the scores, name it with layers="..."'
)


class ClassReport(VisualCallback):
    """Reports each class of a validation: images `class_report/confusion`, `…/mistakes` and `…/samples`.

    Scalars `class_report/accuracy/<class>` are the share of a class that was recognised, 0…1. The confusion
    matrix has the true classes as rows; `mistakes` are the wrong predictions with the highest softmax
    probability, `samples` the first 20 images of the validation, both with true and predicted class.

    All is taken from what the module's own validation pass returned and the class numbers in the batch, of the
    first validation loader, without a second pass, and drawn as the validation ends. Targets that are no class
    of the model (such as an `ignore_index`) are left out and counted on the picture. With several processes
    counts are over all of them, mistakes and samples are rank zero's share.

    Args:
        every_n_epochs: Draw at the end of the validations in every n-th epoch. Default: of every one.
        every_n_train_steps: Draw at the end of the first validation after every n-th optimizer step instead.
        layers: The layer whose output are the class scores, shape (samples, classes). Default: the module
            itself.
        tag: First part of the tags.
        on_error: `"warn"` or `"raise"`.
        class_names: Names by class number. Default: `class_names` or `classes` of the dataset, the data module
            or the model, if they are as many as the model's outputs; otherwise numbers.
        max_mistakes: Mistakes on the picture at most.

    Raises:
        ValueError: If an argument is impossible; at the start of `fit`, if `layers` is not one layer, and in the
            sanity check before the first step, if `class_names` are not as many as the model's outputs. Without
            a sanity check the latter gives a warning, and numbers.

    Example:
        >>> ClassReport(class_names=["cat", "dog"], every_n_epochs=5).max_mistakes
        20
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: Layers = None,
        tag: str = "class_report",
        on_error: OnError = "warn",
        class_names: list[str] | None = None,
        max_mistakes: int = 20,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
        )
        if class_names is not None and not (
            isinstance(class_names, (list, tuple)) and all(isinstance(name, str) for name in class_names)
        ):
            raise TypeError(f"expected class_names to be a list of names or None, got {class_names!r}")
        if max_mistakes < 1:
            raise ValueError(f"expected max_mistakes to be at least 1, got {max_mistakes}")
        self.class_names = class_names
        self.max_mistakes = max_mistakes
        self._listener = Listener()
        self._tally: ClassTally | None = None
        self._accuracies: dict[str, float] = {}
        self._told = False

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_tally": None}

    def _select(self, module: LightningModule) -> Sequence[str]:
        return scores_layer(module, self.layers)

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        self._told = False
        self._listener = Listener()
        if not trainer.enable_validation:
            rank_zero_info("ClassReport: there are no validation data, so there is nothing to report")

    # ---- Lightning's hooks

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draws nothing: that is for the end of a validation."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws nothing: that is for the end of a validation."""

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins to count, if this validation is to be reported."""
        named = trainer.sanity_checking and self.class_names is not None
        due = not trainer.sanity_checking and self._due(trainer)
        listening = self._writer is not None and (named or due)
        self._tally = ClassTally(self.max_mistakes, MAX_SAMPLES) if listening else None

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Listens to the scores."""
        if self._tally is not None and dataloader_idx == 0:
            with self._duty():
                self._listener.listen(pl_module, batch, self._selected[0] if self._selected else None)

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
            with self._duty():
                heard = self._listener.deafen()
                if heard is not None:
                    self._tally.add(heard)
                if trainer.sanity_checking and self._tally.classes:
                    check_class_names(self.class_names or [], self._tally.classes)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws if this validation is due."""
        if self._tally is not None and not trainer.sanity_checking:
            self._draw(trainer, pl_module)
        self._tally = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stops listening and writes what is still waiting."""
        self._tally = None
        super().on_exception(trainer, pl_module, exception)

    # ---- how it is done

    def _end(self, trainer: Trainer) -> None:
        try:
            self._listener.deafen()  # a batch that failed may have left it listening
        finally:
            super()._end(trainer)

    def _due(self, trainer: Trainer) -> bool:
        by_step = self.schedule.step_due(self._last_step, trainer.global_step, self.stretch)
        return by_step or self.schedule.epoch_due(trainer.current_epoch, self.stretch)

    def _drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        assert self._tally is not None
        self._accuracies = {}
        totals = self._tally.totals(trainer.strategy)  # every rank takes part
        if totals is None:
            if not self._told:
                self._told = True
                rank_zero_warn(NOTHING)
            return
        counts = totals.counts.numpy()
        names = self._names(trainer, module, len(counts))
        accuracies = zip(names, class_accuracies(counts), strict=True)
        self._accuracies = {name: float(accuracy) for name, accuracy in accuracies if np.isfinite(accuracy)}
        if self._writer is None or not self._writer.takes_pictures:
            return
        draw = partial(confusion_matrix_chart, counts, names, note=_left_out(totals))
        yield f"{self.tag}/confusion", partial(draw, title=self._title("confusion", trainer))
        share = "" if trainer.world_size == 1 else "of rank zero's share, "
        for kind, rows in (("mistakes", self._tally.mistakes), ("samples", self._tally.samples)):
            if rows is not None:  # on this rank
                images, true, predicted, confidence = (part.cpu() for part in rows)
                note = share + _shown(kind, len(true), counts)
                draw = partial(prediction_sheet, images, true, predicted, confidence, names, note=note)
                yield f"{self.tag}/{kind}", partial(draw, title=self._title(kind, trainer))

    def _numbers(self) -> Mapping[str, float]:
        return {f"{self.tag}/accuracy/{name}": accuracy for name, accuracy in self._accuracies.items()}

    def _names(self, trainer: Trainer, module: LightningModule, classes: int) -> list[str]:
        names = self.class_names
        if names is not None and len(names) != classes:
            with self._forgiving():
                raise ValueError(f"expected {classes} class_names, got {len(names)}; numbers are shown instead")
        if names is None:
            loader = first_loader(trainer.val_dataloaders)
            names = find_class_names(loader and loader.dataset, getattr(trainer, "datamodule", None), module)
        if names is None or len(names) != classes:
            return [str(number) for number in range(classes)]
        times = Counter(names)
        return [name if times[name] == 1 else f"{name} ({number})" for number, name in enumerate(names)]


def _shown(kind: str, number: int, counts: Counts) -> str:
    samples, wrong = int(counts.sum()), int(counts.sum() - counts.trace())
    if kind == "samples":
        return f"the first {number} of {samples} samples"
    return f"the {number} most confident of {wrong} mistakes in {samples} samples" if wrong else "no mistakes"


def _left_out(totals: Totals) -> str:
    parts = {
        "with a negative target left out": totals.ignored,
        f"with a target beyond {len(totals.counts) - 1} left out": totals.beyond,
        "with scores that are not finite": totals.unsure,
    }
    return " · ".join(f"{count} samples {what}" for what, count in parts.items() if count)
