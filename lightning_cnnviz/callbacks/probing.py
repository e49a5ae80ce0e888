"""The base class of callbacks that show activations of a probe."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from typing_extensions import override

from lightning_cnnviz.callbacks.base import LayerPatterns, OnError
from lightning_cnnviz.callbacks.listening import ListeningCallback
from lightning_cnnviz.data.batch import class_indices_at, split_batch, targets_are_certain
from lightning_cnnviz.data.datasets import check_class_names
from lightning_cnnviz.data.probe import Pass, Probe
from lightning_cnnviz.data.samples import Samples
from lightning_cnnviz.data.scores import predicted_classes
from lightning_cnnviz.functional.tab.data import TabData, sample_tab_data, with_samples
from lightning_cnnviz.lightning import logged_step
from lightning_cnnviz.model.capture import Activations
from lightning_cnnviz.model.evaluation import awaits_input
from lightning_cnnviz.model.forward_tap import ForwardTap, Heard
from lightning_cnnviz.model.hooks import INPUT
from lightning_cnnviz.model.layers import convolutions
from lightning_cnnviz.model.loss_evidence import Verdict
from lightning_cnnviz.model.own_pass import own_pass, run_on
from lightning_cnnviz.model.state_norms import norms_of_state
from lightning_cnnviz.output.writer import Drawing
from lightning_cnnviz.statistics.heard_pass import HeardPass

SEVERAL_CALLS = (
    "Probe: the model is called several times on a batch, never with the batch's own inputs, so no samples are taken "
    "from it; name the inputs with Probe(inputs=<index, key or attribute>)"
)
SPLITS = {"train": "training", "val": "validation", "test": "test"}


class ProbingCallback(ListeningCallback):
    """Base class of callbacks that show what happens to a probe's samples in the model.

    The samples come from the run's own batches. Their activations are captured from the module's own validation
    where a picture is due at its end; otherwise a copy of the model is run on them.

    Args:
        every_n_epochs: As in `VisualCallback`.
        every_n_train_steps: As in `VisualCallback`.
        layers: As in `VisualCallback`.
        tag: As in `VisualCallback`.
        on_error: As in `VisualCallback`.
        probe: The samples to show.
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None,
        every_n_train_steps: int | None,
        layers: LayerPatterns,
        tag: str,
        on_error: OnError,
        probe: Probe,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
        )
        self.probe = probe
        self._reported_missing: set[str] = set()
        self._checked: set[str] = set()
        self._by_sample: set[str] = set()
        self._names_checked = False
        self._asked: tuple[Sequence[str], int] | None = None  # layers and number of samples of the last picture
        self._heard: HeardPass | None = None
        self._weights: Tensor | None = None  # norms of those that the heard validation ran with
        self._other_weights = False  # whether these were no longer there after it
        self._tap: ForwardTap | None = None
        self._batch: tuple[Tensor, Tensor | None] | None = None  # inputs and class indices of the captured batch
        self._offering = False
        self._told_of_several_calls = False

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_tap": None, "_batch": None, "_heard": None}

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        self._reported_missing.clear()
        self._checked.clear()
        self._by_sample.clear()
        self._asked = self._heard = None
        self._other_weights = False
        self.listen(self.probe.inputs, self.probe.targets, self.probe.task)
        self.probe.collect(trainer, module)

    @override
    def learned(self, verdict: Verdict) -> None:
        if verdict.classes_elsewhere:
            self.probe.forget_targets(verdict.targets)

    def given_samples(self, module: LightningModule) -> bool:
        """Whether there are samples before the first step, and they are those of the whole run."""
        return self.probe.samples is not None and self.probe.final and not awaits_input(module)

    def predicted(self, output: Tensor | None, samples: int) -> Tensor | None:
        """Returns the classes that an output predicts, shape (samples,); None if it is not known to be scores."""
        verdict = self.verdict
        logits = None if verdict.logits is None else torch.tensor(verdict.logits)
        return None if verdict.reason else predicted_classes(output, samples, logits)

    @override
    def other_weights_validate(self, trainer: Trainer) -> bool:
        return super().other_weights_validate(trainer) or self._other_weights

    # ---- Lightning's hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Selects the layers and opens the writer."""
        self._names_checked = self.probe.class_names is None
        self._told_of_several_calls = False
        self.probe.begin(pl_module)
        super().on_fit_start(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts capturing the batch if the probe takes samples from it."""
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self._start_tap(trainer, pl_module, batch, batch_idx, "train")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Gives the batch to the probe, and draws if due."""
        self._end_tap(batch, batch_idx, "train")
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prepares to capture the probe's samples if a picture is due at the end of this validation."""
        self._heard = self._weights = None
        due = self.due_after_validation(trainer)
        samples, places = self.probe.samples if self.probe.places else None, self.probe.places
        if self.writer is not None and due and not trainer.sanity_checking and samples and self._asked:
            layers, count = self._asked
            layers = [name for name in layers if name in self._by_sample or name not in self._checked]
            self._heard = HeardPass(samples.inputs[:count], places[:count], layers, logged_step(trainer))

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Starts capturing the batch if the probe takes samples from it or has samples in it."""
        if dataloader_idx == 0:
            self._start_tap(trainer, pl_module, batch, batch_idx, "sanity" if trainer.sanity_checking else "val")

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps what was captured."""
        if dataloader_idx == 0:
            self._end_tap(batch, batch_idx, "sanity" if trainer.sanity_checking else "val")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fixes the choice of the samples, if this was the first validation."""
        if self.writer is not None and not trainer.sanity_checking:
            with self.guard():
                self.probe.end_validation()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the samples for those of the whole run if no validation has given others, and draws the last state."""
        self.probe.end()
        super().on_train_end(trainer, pl_module)

    # ---- helpers for subclasses

    def sample_title(self, name: str, trainer: Trainer) -> str:
        """Returns the title of a picture of samples: that of `title`, and the split that the samples come from."""
        split = SPLITS.get(self.probe.origin or "")
        return self.title(name, trainer) + (f" · {split} samples" if split else "")

    def certain_targets(self, batch: Any, inputs: Tensor, targets: Tensor | None) -> Tensor | None:
        """Returns the class indices of a batch, shape (samples,), if it is certain what they are.

        Args:
            batch: The batch.
            inputs: Its inputs, shape (samples, ...).
            targets: What is taken for its class indices; see `split_batch`.
        """
        verdict = self.verdict
        if verdict.targets is not None:
            targets = class_indices_at(batch, verdict.targets, len(inputs))
        elif verdict.classes_elsewhere and self.probe.targets is None:
            return None
        verified = self._listener.evidence.verified
        return targets if verified or targets_are_certain(batch, inputs, self.probe.targets) else None

    def find_layer(
        self, trainer: Trainer, module: LightningModule, find: Callable[[LightningModule, Tensor], str]
    ) -> None:
        """Selects the layer that `find` determines from a few samples, unless the user has chosen layers."""
        samples = self.probe.samples
        if not self.selected and samples is not None:
            with own_pass(trainer, module):
                few = trainer.precision_plugin.convert_input(samples.inputs[:2].to(module.device))
                self.selected = [find(module, few)]

    def activations(
        self, trainer: Trainer, module: LightningModule, layers: Sequence[str], count: int
    ) -> tuple[Samples, Activations]:
        """The activations of the first `count` samples of the probe, in the model's training precision.

        They are captured in the module's validation if it has ended at this step, or else computed by a copy of the
        model, as in the first epoch, in which the samples are chosen.

        Returns:
            The samples, and the activations of `layers`.
        """
        samples = self.probe.samples
        assert samples is not None
        shown = samples._replace(inputs=samples.inputs[:count], targets=samples.targets[:count])
        now = logged_step(trainer), len(shown.inputs)
        heard = self._heard is not None and (self._heard.step, self._heard.count) == now
        seen = self._heard_activations(module, layers) if heard else None
        self._asked, self._heard = (layers, count), None
        if seen is None:
            seen = run_on(trainer, module, shown.inputs, layers, self.probe.scores)
            self._by_sample |= set(layers).intersection(seen.layers)
            self._checked.update(layers)
        missing = [name for name in layers if name not in seen.layers]
        message = f"{', '.join(missing)} did not run or returned no tensor with one row per sample"
        asked = {name for layer in self.selected if self.layers is not None for name in (layer, layer + INPUT)}
        if asked.intersection(missing) or not seen.layers:
            with self.account.guard():
                raise ValueError(message)
        elif not self._reported_missing.issuperset(missing):  # not requested, such as heads for training only
            self._reported_missing.update(missing)
            rank_zero_info(f"{type(self).__name__}: {message}; skipped")
        return shown, seen

    # ---- internals

    def _start_tap(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int, kind: Pass) -> None:
        if self.writer is None:
            return
        if self._tap is not None:  # of a batch that was skipped
            with self.guard():
                self._close_tap()
        probe, heard = self.probe, self._heard if kind == "val" else None
        if heard is None and self._names_checked and probe.is_complete:  # the most frequent case, at every batch
            return
        by_step = self.schedule.every_n_train_steps is not None
        early = by_step or trainer.check_val_every_n_epoch != 1 or not trainer.enable_validation
        self._offering = probe.awaits(kind, logged_step(trainer), batch_idx, early=early)
        rows = [] if heard is None else heard.rows(batch_idx)
        naming = not self._names_checked and logged_step(trainer) == 0
        if self._offering or rows or naming:
            with self.guard():
                if rows and self._weights is None:
                    self._weights = norms_of_state(module)
                if rows and heard is not None and any(part.training for part in module.modules()):
                    heard.spoil()  # not what an evaluation gives
                self._batch = split_batch(batch, probe.inputs, probe.targets)
                self._tap = ForwardTap(
                    module, self._batch[0], heard.layers if heard is not None and rows else (), rows, probe.scores
                )

    def _end_tap(self, batch: Any, batch_idx: int, kind: Pass) -> None:
        if self._tap is None:
            return
        with self.guard():
            heard = self._close_tap()
            assert self._batch is not None
            (inputs, targets), self._batch = self._batch, None  # found before the step, which may take it apart
            if heard is not None and self.probe.inputs is not None:
                heard = heard._replace(inputs=inputs)
            if kind == "val" and self._heard is not None and self._heard.rows(batch_idx):
                self._heard.add(batch_idx, heard)
            if self._offering and heard is not None:
                self.probe.offer(heard.inputs, self.certain_targets(batch, inputs, targets), kind, batch_idx)
            elif self._offering and not self._told_of_several_calls:
                self._told_of_several_calls = True
                rank_zero_info(SEVERAL_CALLS)
            self._check_names(None if heard is None else heard.scores)

    def _close_tap(self) -> Heard | None:
        tap, self._tap = self._tap, None
        return None if tap is None else tap.close()

    def _heard_activations(self, module: LightningModule, layers: Sequence[str]) -> Activations | None:
        """The activations captured in the last validation; None if one that is known to be shown is missing.

        Of a model that only its own steps can call, only layers whose first dimension is certainly the samples' count.
        """
        seen = None if self._heard is None else self._heard.activations()
        if seen is None:
            return None
        weights = norms_of_state(module)
        same = self._weights is not None and torch.equal(weights.nan_to_num(), self._weights.nan_to_num())
        self._other_weights = not same  # such as averaged ones
        if not same:
            return None
        if self._heard is None or set(layers) - self._checked - set(self._heard.layers):
            return None
        certain = {*self._by_sample, *convolutions(module)}
        shown = {name: seen.layers[name] for name in layers if name in seen.layers}
        if self._heard.several_sizes:
            certain |= set(shown)
        shown = {name: tensor for name, tensor in shown.items() if name in certain}
        return Activations(seen.output, shown) if self._by_sample.intersection(layers) <= set(shown) else None

    def _check_names(self, scores: Tensor | None) -> None:
        if not self._names_checked and scores is not None and self.probe.class_names is not None:
            self._names_checked = True
            check_class_names(self.probe.class_names, max(2, scores.shape[1] if scores.ndim == 2 else 2))

    def _tab_shows_samples(self, count: int) -> bool:
        """Whether the samples in the tab, which come from a single probe, begin with this callback's."""
        if self.writer is None or self.probe.samples is None or not self.probe.final:
            return False
        theirs = self.writer.claim("samples", self.probe).samples
        return theirs is not None and torch.equal(self.probe.samples.inputs[:count], theirs.inputs[:count])

    def of_samples(self, record: Callable[[], TabData], shown: Samples) -> Callable[[], TabData]:
        """Returns the record with its samples, unless it is of the first ones of those in the tab.

        Args:
            record: Makes the record.
            shown: The samples that it is of, the first ones of the probe.
        """
        if self._tab_shows_samples(len(shown.inputs)):
            return record
        return partial(with_samples, record, shown.images, shown.targets, shown.class_names)

    def _tab_samples(self) -> Iterator[Drawing]:
        """The probe's samples for the tab, once per run, if this probe was the first to claim it."""
        samples, writer, mine = self.probe.samples, self.writer, object()
        if samples is None or writer is None or writer.claim("samples", self.probe) is not self.probe:
            return
        if not self.probe.final:  # the tab has one set of samples for all steps
            return
        if writer.claim("samples drawn", mine) is mine:
            shown = samples.images, samples.targets, samples.class_names
            yield "cnnviz/samples", partial(sample_tab_data, *shown, split=self.probe.origin)

    def _end(self, trainer: Trainer) -> None:
        try:
            self._close_tap()  # a failed batch may have left it capturing
        finally:
            super()._end(trainer)
