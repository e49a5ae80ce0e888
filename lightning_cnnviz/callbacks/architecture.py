"""The model itself: its layers as boxes and as a table."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pytorch_lightning import LightningModule, Trainer

from lightning_cnnviz.callbacks.base import Layers, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.capture import awaits_input
from lightning_cnnviz.functional.architecture import architecture, architecture_table, count_parameters
from lightning_cnnviz.functional.architecture_diagram import architecture_diagram
from lightning_cnnviz.functional.layer_info import model_record
from lightning_cnnviz.functional.record import Record
from lightning_cnnviz.layers import select_layers
from lightning_cnnviz.probe import Probe
from lightning_cnnviz.writer import Drawing


class Architecture(ProbingCallback):
    """Draws the model as boxes and lists its layers: image `architecture/diagram`, text `architecture/table`.

    Layers are shown in the order in which they run for one sample, with the shapes of their outputs; the table adds
    parameters and multiply-adds. Both are made once, as training starts (of a stream, which has no sample before,
    with the first training batch), unless an interval is given.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch instead of as training starts.
        every_n_train_steps: Draw at every n-th optimizer step instead of as training starts.
        layers: Exact names or globs such as `"features.*"`; a module named exactly is shown as a whole, without
            what is in it. Default: every layer that runs.
        tag: First part of the tags.
        on_error: `"warn"` or `"raise"`.
        probe: Where the sample comes from that is sent through the model, its first. Default: a `Probe` of one
            sample that finds it in the trainer's validation data.

    Raises:
        ValueError: If an argument is impossible; at the start of `fit`, if `layers` matches no layer.

    Example:
        >>> Architecture(layers=["backbone", "head"]).tag
        'architecture'
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: Layers = None,
        tag: str = "architecture",
        on_error: OnError = "warn",
        probe: Probe | None = None,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(1),
        )
        self._once = every_n_epochs is None and every_n_train_steps is None
        self._waiting = False
        self._table = ""
        self._record: Record | None = None

    def _select(self, module: LightningModule) -> Sequence[str]:
        layers = [name for name, _ in module.named_modules() if name]
        return [] if self.layers is None else select_layers(module, self.layers, layers, "layer")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws, where no interval is given and there is a sample; a resumed run waits for its first step."""
        super().on_train_start(trainer, pl_module)
        self._waiting = self._once
        self._draw_once(trainer, pl_module, ready=self.probe.full)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draws if this optimizer step is due, or the probe has its samples only now."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._waiting:
            self._draw_once(trainer, pl_module, ready=self.probe.full)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws if this epoch is due, or if there were fewer samples than the probe waits for."""
        if self._once:
            self._draw_once(trainer, pl_module, ready=self.probe.samples is not None)
        else:
            super().on_train_epoch_end(trainer, pl_module)

    def _draw_once(self, trainer: Trainer, module: LightningModule, ready: bool) -> None:
        if self._waiting and ready and trainer.global_step != self._drawn and not awaits_input(module):
            self._waiting = False
            self._draw(trainer, module)

    def _drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        if self.probe.samples is None:
            return
        inputs, precision = self.probe.samples.inputs[:1], trainer.precision_plugin
        with precision.forward_context():
            infos = architecture(module, precision.convert_input(inputs.to(module.device)), self.layers)
        self._table = architecture_table(infos, count_parameters(module))
        self._record = model_record(type(module).__name__, infos, tuple(inputs.shape[1:]))
        title = self._title(type(module).__name__, trainer)
        yield f"{self.tag}/diagram", partial(architecture_diagram, infos, inputs.shape[1:], title=title)

    def _records(self) -> Iterable[Record]:
        return [] if self._record is None else [self._record]

    def _texts(self) -> Mapping[str, str]:
        return {f"{self.tag}/table": self._table} if self._table else {}
