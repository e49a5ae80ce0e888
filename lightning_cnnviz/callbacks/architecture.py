"""The model's architecture, as a block diagram and as a table."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.data.probe import Probe
from lightning_cnnviz.functional.model_summary.arrangement import arranged
from lightning_cnnviz.functional.model_summary.diagram import architecture_diagram
from lightning_cnnviz.functional.model_summary.layer_table import architecture_table, count_parameters
from lightning_cnnviz.functional.model_summary.model_record import model_tab_data
from lightning_cnnviz.functional.model_summary.network_graph import network_graph
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.lightning import logged_step
from lightning_cnnviz.model.evaluation import awaits_input
from lightning_cnnviz.model.layers import select_layers
from lightning_cnnviz.model.own_pass import own_pass
from lightning_cnnviz.output.writer import Drawing


class Architecture(ProbingCallback):
    """Draws the model as a block diagram and a table: image `architecture/diagram`, text `architecture/table`.

    The diagram shows the layers and functions that run for one sample, with their output shapes, and what flows from
    each to the next; the table adds parameters and multiply-adds. Both are logged once, when training starts (with a
    stream such as an `IterableDataset`, at the first training batch), unless an interval is given.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch instead of at the start of training.
        every_n_train_steps: Draw at every n-th optimizer step instead of at the start of training.
        layers: Exact names or globs such as `"features.*"`; a module given by its exact name is shown as a single
            block, without its submodules. Default: every layer that runs.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        probe: Provides a sample to run through the model. Default: a `Probe` of one sample from the validation.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` matches no layer.

    Example:
        >>> Architecture(layers=["backbone", "head"]).tag
        'architecture'
    """

    guide = Guide("Images, Text", "architecture/…", "the layers, their shapes and parameters")

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
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
        self._pending = False
        self._table = ""
        self._model_data: TabData | None = None

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        layers = [name for name, _ in module.named_modules() if name]
        return [] if self.layers is None else select_layers(module, self.layers, layers, "layer")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws if no interval is given and there is a sample; a resumed run draws after its first step."""
        super().on_train_start(trainer, pl_module)
        self._pending = self._once
        self._draw_once(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draws if this optimizer step is due, or if the probe has just got its first sample."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self._draw_once(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws if this epoch is due, or if there has been no sample before its validation."""
        if self._once:
            self._draw_once(trainer, pl_module)
        else:
            super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the last state if an interval is given."""
        if not self._once:
            super().on_train_end(trainer, pl_module)

    def _draw_once(self, trainer: Trainer, module: LightningModule) -> None:
        ready = self.probe.example is not None
        if self._pending and ready and logged_step(trainer) != self._last_drawn_step and not awaits_input(module):
            self._pending = False
            self.draw(trainer, module)

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        inputs, precision = self.probe.example, trainer.precision_plugin
        if inputs is None:
            return
        with own_pass(trainer, module):
            graph = network_graph(module, precision.convert_input(inputs.to(module.device)), self.layers)
        self._table = architecture_table(graph.infos, count_parameters(module))
        arrangement = arranged(graph)
        self._model_data = model_tab_data(type(module).__name__, arrangement, tuple(inputs.shape[1:]))
        title = self.title(type(module).__name__, trainer)
        yield f"{self.tag}/diagram", partial(architecture_diagram, arrangement, title=title)

    @override
    def tab_data(self) -> Iterable[TabData]:
        return [] if self._model_data is None else [self._model_data]

    @override
    def texts(self) -> Mapping[str, str]:
        return {f"{self.tag}/table": self._table} if self._table else {}
