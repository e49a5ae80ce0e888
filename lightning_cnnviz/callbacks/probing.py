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
from lightning_cnnviz.data.datasets import check_class_names
from lightning_cnnviz.data.probe import Probe, Samples
from lightning_cnnviz.data.scores import predicted_classes
from lightning_cnnviz.functional.tab.data import sample_tab_data
from lightning_cnnviz.model.capture import Activations, check_one_input, record, sample_first
from lightning_cnnviz.model.evaluation import awaits_input
from lightning_cnnviz.model.hooks import INPUT
from lightning_cnnviz.model.loss_evidence import Verdict
from lightning_cnnviz.output.writer import Drawing


class ProbingCallback(ListeningCallback):
    """Base class of callbacks that run a probe's samples through the model.

    The probe is collected before the first step or, if its dataset cannot be indexed, from the first training batches.

    Args:
        every_n_epochs: As in `VisualCallback`.
        every_n_train_steps: As in `VisualCallback`.
        layers: As in `VisualCallback`.
        tag: As in `VisualCallback`.
        on_error: As in `VisualCallback`.
        probe: The samples to run through the model.
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

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        self._reported_missing.clear()
        self._checked.clear()
        self._by_sample.clear()
        self.listen(self.probe.inputs, self.probe.targets)
        self.probe.collect(trainer, module)
        check_one_input(module)
        if self.probe.class_names is not None and self.probe.samples is not None and not awaits_input(module):
            output = self._run(trainer, module, self.probe.samples.inputs[:1], []).output
            if output is not None and output.ndim == 2:
                check_class_names(self.probe.class_names, max(2, output.shape[1]))

    @override
    def learned(self, verdict: Verdict) -> None:
        if verdict.classes_elsewhere:
            self.probe.forget_targets(verdict.targets)

    def predicted(self, output: Tensor | None, samples: int) -> Tensor | None:
        """Returns the classes that an output predicts, shape (samples,); None if it is not known to be scores."""
        verdict = self.verdict
        logits = None if verdict.logits is None else torch.tensor(verdict.logits)
        return None if verdict.reason else predicted_classes(output, samples, logits)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Offers the batch to the probe if it could not be read from the dataset."""
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        if self.writer is not None and not self.probe.full:
            with self.guard():
                self.probe.offer(batch, (trainer.current_epoch, batch_idx))

    def find_layer(
        self, trainer: Trainer, module: LightningModule, find: Callable[[LightningModule, Tensor], str]
    ) -> None:
        """Selects the layer that `find` determines from a few samples, unless the user has chosen layers."""
        samples, precision = self.probe.samples, trainer.precision_plugin
        if not self.selected and samples is not None:
            with precision.forward_context():
                few = precision.convert_input(samples.inputs[:2].to(module.device))
                self.selected = [find(module, few)]

    def activations(
        self, trainer: Trainer, module: LightningModule, layers: Sequence[str], count: int
    ) -> tuple[Samples, Activations]:
        """Runs the first `count` samples of the probe through the model, in its training precision.

        Returns:
            The samples, and the activations of `layers`.
        """
        samples = self.probe.samples
        assert samples is not None
        shown = Samples(samples.inputs[:count], samples.targets[:count], samples.class_names)
        self._check_first_dimension(trainer, module, shown.inputs, layers)
        seen = self._run(trainer, module, shown.inputs, [name for name in layers if name in self._by_sample])
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

    def _tab_shows_samples(self, count: int) -> bool:
        """Whether the samples in the tab, which come from a single probe, begin with this callback's."""
        if self.writer is None or self.probe.samples is None:
            return False
        theirs = self.writer.claim("samples", self.probe).samples
        return theirs is not None and torch.equal(self.probe.samples.inputs[:count], theirs.inputs[:count])

    def _tab_samples(self) -> Iterator[Drawing]:
        """The probe's samples for the tab, once per run, if this probe was the first to claim it."""
        samples, writer, mine = self.probe.samples, self.writer, object()
        if samples is None or writer is None or writer.claim("samples", self.probe) is not self.probe:
            return
        if writer.claim("samples drawn", mine) is mine:
            yield "cnnviz/samples", partial(sample_tab_data, *samples)

    def _check_first_dimension(
        self, trainer: Trainer, module: LightningModule, inputs: Tensor, layers: Sequence[str]
    ) -> None:
        """Finds out, once in a run for each layer, whether its first dimension is that of the samples."""
        new = [name for name in layers if name not in self._checked]
        if new:
            precision = trainer.precision_plugin
            with precision.forward_context():
                few = precision.convert_input(inputs[:1].to(module.device))
                self._by_sample |= sample_first(module, few, new)
            self._checked.update(new)

    def _run(self, trainer: Trainer, module: LightningModule, inputs: Tensor, layers: Sequence[str]) -> Activations:
        precision = trainer.precision_plugin
        with precision.forward_context():
            return record(module, precision.convert_input(inputs.to(module.device)), layers)
