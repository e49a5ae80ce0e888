"""The template of callbacks that show activations of a probe."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from lightning_cnnviz.callbacks.base import Layers, OnError, VisualCallback
from lightning_cnnviz.capture import INPUT, Activations, awaits_input, check_one_input, record
from lightning_cnnviz.datasets import check_class_names
from lightning_cnnviz.functional.record import sample_record
from lightning_cnnviz.probe import Probe, Samples
from lightning_cnnviz.writer import Drawing


class ProbingCallback(VisualCallback):
    """Collects the probe before the first step, or from passing batches, and runs it through the model.

    Args:
        every_n_epochs: As in `VisualCallback`.
        every_n_train_steps: As in `VisualCallback`.
        layers: As in `VisualCallback`.
        tag: As in `VisualCallback`.
        on_error: As in `VisualCallback`.
        probe: The samples.
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None,
        every_n_train_steps: int | None,
        layers: Layers,
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
        self._silent: set[str] = set()

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        self._silent.clear()
        self.probe.collect(trainer, module)
        check_one_input(module)
        if self.probe.class_names is not None and self.probe.samples is not None and not awaits_input(module):
            output = self._run(trainer, module, self.probe.samples.inputs[:1], []).output
            if output is not None and output.ndim == 2:
                check_class_names(self.probe.class_names, max(2, output.shape[1]))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Lets the probe take samples out of the batch where it could not read them from the data."""
        if self._writer is not None and not self.probe.full:
            with self._duty():
                self.probe.offer(batch, (trainer.current_epoch, batch_idx))

    def _find_layer(
        self, trainer: Trainer, module: LightningModule, find: Callable[[LightningModule, Tensor], str]
    ) -> None:
        """Where the user has chosen no layer, the one that `find` finds by a few samples."""
        samples, precision = self.probe.samples, trainer.precision_plugin
        if not self._selected and samples is not None:
            with precision.forward_context():
                few = precision.convert_input(samples.inputs[:2].to(module.device))
                self._selected = [find(module, few)]

    def _look(
        self, trainer: Trainer, module: LightningModule, layers: Sequence[str], count: int
    ) -> tuple[Samples, Activations]:
        """The first samples, and what the model makes of them in the precision that it trains in."""
        samples = self.probe.samples
        assert samples is not None
        shown = Samples(samples.inputs[:count], samples.targets[:count], samples.class_names)
        seen = self._run(trainer, module, shown.inputs, layers)
        silent = [name for name in layers if name not in seen.layers]
        words = f"{', '.join(silent)} did not run or gave no tensor with one row per sample"
        asked = {name for layer in self._selected if self.layers is not None for name in (layer, layer + INPUT)}
        if asked.intersection(silent) or not seen.layers:
            with self._forgiving():
                raise ValueError(words)
        elif not self._silent.issuperset(silent):  # nobody asked for these, such as heads for the training only
            self._silent.update(silent)
            rank_zero_info(f"{type(self).__name__}: {words}, and is passed over")
        return shown, seen

    def _tells_samples(self, count: int) -> bool:
        """Whether the tab's samples, which one probe gives, begin with this callback's."""
        if self._writer is None or self.probe.samples is None:
            return False
        theirs = self._writer.claim("samples", self.probe).samples
        return theirs is not None and torch.equal(self.probe.samples.inputs[:count], theirs.inputs[:count])

    def _samples_for_tab(self) -> Iterator[Drawing]:
        """The probe's samples, once in a run."""
        samples, writer, mine = self.probe.samples, self._writer, object()
        if samples is None or writer is None or writer.claim("samples", self.probe) is not self.probe:
            return
        if writer.claim("samples drawn", mine) is mine:
            yield "cnnviz/samples", partial(sample_record, *samples)

    def _run(self, trainer: Trainer, module: LightningModule, inputs: Tensor, layers: Sequence[str]) -> Activations:
        precision = trainer.precision_plugin
        with precision.forward_context():
            return record(module, precision.convert_input(inputs.to(module.device)), layers)
