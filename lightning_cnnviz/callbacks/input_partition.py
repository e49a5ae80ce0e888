"""How the layers of a network with two inputs partition the input plane during training."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.data.batch import split_batch
from lightning_cnnviz.data.probe import Probe
from lightning_cnnviz.data.samples import Samples
from lightning_cnnviz.errors import ConfigurationError, whole_number
from lightning_cnnviz.functional.input_partition.affine_check import check_affine
from lightning_cnnviz.functional.input_partition.cells import Partition, partition
from lightning_cnnviz.functional.input_partition.nonlinearities import is_nonlinearity
from lightning_cnnviz.functional.input_partition.panels import Points
from lightning_cnnviz.functional.input_partition.plane_model import Bounds, PlaneModel
from lightning_cnnviz.functional.input_partition.views import PartitionViews
from lightning_cnnviz.functional.input_partition.weight_history import (
    drop_later,
    history_folder,
    save_data,
    save_weights,
)
from lightning_cnnviz.functional.tab.drawn import drawn_for_tab
from lightning_cnnviz.lightning import logged_step
from lightning_cnnviz.model.layers import layers_with_weights, select_layers
from lightning_cnnviz.model.loss_evidence import Verdict
from lightning_cnnviz.output.writer import Drawing

DATA_MARGIN = 0.2
"""Margin around the data, in units of the inputs."""
TRIAL_MARGIN = 2
"""Margin of the rectangle that is checked for unsupported operations before the first step, in widths and heights."""


class InputPartition(ProbingCallback):
    """Draws how the layers of a network with two inputs partition the plane: images `partition/<layer>/<view>`.

    Besides `input/data` and `output/decision` there are these views of each layer:

    - `nodes`: every unit over the layer's input space and in the plane.
    - `layer`: the layer as a whole.
    - `winners`: for a max-pool, which entry is the largest.
    - `cells`: the cells into which the layers up to this one partition the plane.

    The cells of piecewise-linear networks are exact; after a smooth activation they are found on a fine grid, and the
    picture says so. The scalars `partition/<layer>/num_cells` and `.../num_cells_cumulated` count the layer's own
    activation patterns and the cells. Weights of earlier epochs are kept in the run folder;
    `lightning_cnnviz.functional.redraw` draws their views again.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs of layers with weights, activations or max-pools. Default: all.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        bounds: The rectangle to draw, [x low, x high, y low, y high]. Default: that of the data with a margin of 0.2.
        max_cells: Maximum number of cells; with more, none are drawn, with a warning.
        max_units: Maximum number of units in the picture of a layer's nodes.
        history: Number of epochs whose weights are kept, spread over the run; 0 for none.
        probe: The held-out data. Default: a `Probe` of up to 2,000 samples of the validation data.
        train_probe: The training data. Default: a `Probe` of up to 2,000 samples of the training data.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if the model does not have two inputs, or has
            recurrent or attention layers, or activations that are called as functions instead of modules.

    Example:
        >>> InputPartition(every_n_epochs=100, bounds=[-2, 2, -2, 2]).tag
        'partition'
    """

    guide = Guide("Images", "partition/…", "how each layer partitions the plane")

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "partition",
        on_error: OnError = "warn",
        bounds: Sequence[float] | None = None,
        max_cells: int = 50_000,
        max_units: int = 8,
        history: int = 50,
        probe: Probe | None = None,
        train_probe: Probe | None = None,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(2000),
        )
        if bounds is not None and not (len(bounds) == 4 and bounds[0] < bounds[1] and bounds[2] < bounds[3]):
            raise ValueError(f"expected bounds to be [x low, x high, y low, y high], each low < high, got {bounds}")
        self.bounds = None if bounds is None else [float(bound) for bound in bounds]
        self.max_cells = whole_number(max_cells, "max_cells", at_least=1)
        self.max_units = whole_number(max_units, "max_units", at_least=1)
        self.history = whole_number(history, "history", at_least=0)
        self.train_probe = train_probe or Probe(2000, split="train")
        self._counts: dict[str, float] = {}
        self._folder: Path | None = None
        self._trial = True  # whether the model is still to be tried

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        nonlinearities = [name for name, layer in module.named_modules() if name and is_nonlinearity(layer)]
        weighted = layers_with_weights(module, fewest_dimensions=2)
        fitting = [name for name, _ in module.named_modules() if name in (*nonlinearities, *weighted)]
        return select_layers(module, self.layers, fitting, "layer with weights, activation or max-pool")

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        super().prepare(trainer, module)
        self.train_probe.collect(trainer, module)
        folder = getattr(trainer.logger, "log_dir", None)  # of this run only, unlike the trainer's
        keep = self.history and trainer.is_global_zero
        self._folder = history_folder(folder, self.tag) if folder and keep else None
        if self._folder is not None:
            drop_later(self._folder, logged_step(trainer))
        self._trial = True

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Selects the layers and opens the writer."""
        self.train_probe.begin(pl_module)
        super().on_fit_start(trainer, pl_module)

    @override
    def learned(self, verdict: Verdict) -> None:
        super().learned(verdict)
        if verdict.classes_elsewhere:
            self.train_probe.forget_targets(verdict.targets)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Offers the batch to the probes; before the first step, checks that the model can be drawn."""
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        probe = self.train_probe
        if self.writer is not None and probe.awaits("train", logged_step(trainer), batch_idx):
            with self.guard():
                inputs, targets = split_batch(batch, probe.inputs, probe.targets)
                probe.offer(inputs, targets, "train", batch_idx)
                if self._trial:
                    self._trial = False
                    self._check(pl_module, inputs.cpu())

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        samples, held_out = self.train_probe.samples, self.probe.samples
        self._counts = {}
        if samples is None or not trainer.is_global_zero:
            return
        train, test = _points(samples), None
        if held_out is not None and self.probe.origin != "train":
            test = _points(held_out)
        bounds, shape = self._rectangle(train, test), tuple(samples.inputs.shape[1:])
        epoch, step = self.epoch(trainer), logged_step(trainer)
        names = self.probe.class_names or self.train_probe.class_names or samples.class_names
        if self._folder is not None:
            save_data(self._folder, train, test, names, bounds, shape)
            save_weights(self._folder, module, epoch, step, self.history)
        plane = PlaneModel(module, shape)
        found = Partition(bounds, [], exact=True)
        with self.account.guard():  # data and decision are drawn even without cells
            found = partition(plane, bounds, max_cells=self.max_cells)
        self._counts = self._count(found)
        caption = self.title("", trainer).removeprefix(" · ")
        views = PartitionViews(plane, found, train, test, names, caption=caption, max_units=self.max_units)
        for view, draw in views.all(None if self.layers is None else self.selected).items():
            layer, _, name = view.rpartition("/")
            yield f"{self.tag}/{view}", partial(drawn_for_tab, "partition", {"layer": layer, "view": name}, draw)

    @override
    def scalars(self) -> Mapping[str, float]:
        return self._counts

    def _count(self, found: Partition) -> dict[str, float]:
        counts = {}
        for level in found.levels:
            counts[f"{self.tag}/{level.nonlinearity.name}/num_cells"] = float(level.num_patterns)
            counts[f"{self.tag}/{level.nonlinearity.name}/num_cells_cumulated"] = float(level.num_cells)
        return counts

    def _check(self, module: LightningModule, inputs: Tensor) -> None:
        try:
            plane = PlaneModel(module, tuple(inputs.shape[1:]))
            points = _points(Samples(inputs, torch.full((len(inputs),), -1), []))
            x_low, x_high, y_low, y_high = self._rectangle(points, None)
            width, height = TRIAL_MARGIN * (x_high - x_low), TRIAL_MARGIN * (y_high - y_low)
            check_affine(plane, (x_low - width, x_high + width, y_low - height, y_high + height))
        except ValueError as error:
            raise ConfigurationError(f"InputPartition: {error}") from error

    def _rectangle(self, train: Points, test: Points | None) -> Bounds:
        if self.bounds is not None:
            return (self.bounds[0], self.bounds[1], self.bounds[2], self.bounds[3])
        places = train.places if test is None else np.concatenate([train.places, test.places])
        low, high = places.min(axis=0) - DATA_MARGIN, places.max(axis=0) + DATA_MARGIN
        return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def _points(samples: Samples) -> Points:
    return Points(samples.inputs.flatten(1).double().numpy(), samples.targets.numpy())
