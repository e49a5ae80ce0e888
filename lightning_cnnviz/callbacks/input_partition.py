"""How a network with two inputs carves up their plane through training."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning import LightningModule, Trainer

from lightning_cnnviz.callbacks.base import Layers, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.functional.affine_check import check_affine
from lightning_cnnviz.functional.encode import drawn_for_tab
from lightning_cnnviz.functional.gates import is_gate
from lightning_cnnviz.functional.partition import Partition, partition
from lightning_cnnviz.functional.partition_history import drop_later, history_folder, save_data, save_weights
from lightning_cnnviz.functional.partition_panels import Points
from lightning_cnnviz.functional.partition_views import PartitionViews
from lightning_cnnviz.functional.plane_model import Bounds, PlaneModel
from lightning_cnnviz.layers import layers_with_weights, select_layers
from lightning_cnnviz.probe import Probe, Samples
from lightning_cnnviz.writer import Drawing

MARGIN = 0.2
TRIAL_SIZE = 2
"""Widths to each side in which is looked, before the first step, for what can't be cut."""


class InputPartition(ProbingCallback):
    """Draws how each layer of a network with two inputs cuts their plane: images `partition/<layer>/<view>`.

    Views: `input/data`, `output/decision`, and for each layer `nodes` (every unit over the layer's input space
    and in the plane), `layer` (the layer as a whole), `winners` (for a max-pool, which entry is the largest) and
    `cells` (what the layers so far cut the plane into). The cells of piecewise-linear networks are exact; behind
    a smooth activation they are found on a fine grid, and the picture says so. The scalars
    `partition/<layer>/num_cells` and `.../num_cells_cumulated` count the layer's own patterns and the cells.
    Weights of earlier epochs stay in the run folder; `lightning_cnnviz.functional.partition_history.redraw`
    draws their views again.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs of layers with weights, activations or max-pools. Default: all.
        tag: First part of the tags.
        on_error: `"warn"` or `"raise"`.
        bounds: The rectangle [x low, x high, y low, y high]. Default: the data with a margin of 0.2.
        max_cells: More cells are not drawn; a warning says so.
        max_units: Units in the picture of a layer's nodes at most.
        history: Epochs whose weights are kept, spread over the run; 0 for none.
        probe: The held-out data. Default: a `Probe` that finds up to 2,000 in the validation data.
        train_probe: The training data. Default: a `Probe` that finds up to 2,000.

    Raises:
        ValueError: If an argument is impossible; at the start of `fit`, if the model has not two inputs, has
            recurrent or attention layers, or activations that are called as functions and not as modules.

    Example:
        >>> InputPartition(every_n_epochs=100, bounds=[-2, 2, -2, 2]).tag
        'partition'
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: Layers = None,
        tag: str = "partition",
        on_error: OnError = "warn",
        bounds: list[float] | None = None,
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
        if max_cells < 1 or max_units < 1 or history < 0:
            raise ValueError(
                "expected max_cells and max_units from 1 and history from 0, "
                f"got {max_cells}, {max_units} and {history}"
            )
        self.bounds = bounds
        self.max_cells = max_cells
        self.max_units = max_units
        self.history = history
        self.train_probe = train_probe or Probe(2000, split="train")
        self._counts: dict[str, float] = {}
        self._folder: Path | None = None

    def _select(self, module: LightningModule) -> Sequence[str]:
        gates = [name for name, layer in module.named_modules() if name and is_gate(layer)]
        weighted = layers_with_weights(module, fewest_dimensions=2)
        fitting = [name for name, _ in module.named_modules() if name in (*gates, *weighted)]
        return select_layers(module, self.layers, fitting, "layer with weights, activation or max-pool")

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        super()._begin(trainer, module)
        self.train_probe.collect(trainer, module)
        folder = getattr(trainer.logger, "log_dir", None)  # of this run alone, other than the trainer's
        keep = self.history and trainer.is_global_zero
        self._folder = history_folder(folder, self.tag) if folder and keep else None
        if self._folder is not None:
            drop_later(self._folder, trainer.global_step)
        if self.train_probe.samples is not None:
            self._check(module, self.train_probe.samples)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Lets the probes take samples out of the batch where they could not read them from the data."""
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        if self._writer is not None and not self.train_probe.full:
            with self._duty():
                self.train_probe.offer(batch, (trainer.current_epoch, batch_idx))

    def _drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        samples, held_out = self.train_probe.samples, self.probe.samples
        self._counts = {}
        if samples is None or not trainer.is_global_zero:
            return
        train, test = _points(samples), None
        if held_out is not None and self.probe.origin != "train":
            test = _points(held_out)
        bounds, shape = self._rectangle(train, test), tuple(samples.inputs.shape[1:])
        epoch, step = trainer.current_epoch + 1, trainer.global_step
        names = self.probe.class_names or self.train_probe.class_names or samples.class_names
        if self._folder is not None:
            save_data(self._folder, train, test, names, bounds, shape)
            save_weights(self._folder, module, epoch, step, self.history)
        plane = PlaneModel(module, shape)
        found = Partition(bounds, [], exact=True)
        with self._forgiving():  # data and decision are drawn without cells too
            found = partition(plane, bounds, max_cells=self.max_cells)
        self._counts = self._count(found)
        caption = f"epoch {epoch} · step {step}"
        views = PartitionViews(plane, found, train, test, names, caption=caption, max_units=self.max_units)
        for view, draw in views.all(None if self.layers is None else self._selected).items():
            yield f"{self.tag}/{view}", partial(drawn_for_tab, view, draw)

    def _numbers(self) -> Mapping[str, float]:
        return self._counts

    def _count(self, found: Partition) -> dict[str, float]:
        counts = {}
        for stage in found.stages:
            counts[f"{self.tag}/{stage.gate.name}/num_cells"] = float(stage.num_patterns)
            counts[f"{self.tag}/{stage.gate.name}/num_cells_cumulated"] = float(stage.num_cells)
        return counts

    def _check(self, module: LightningModule, samples: Samples) -> None:
        try:
            plane = PlaneModel(module, tuple(samples.inputs.shape[1:]))
            x_low, x_high, y_low, y_high = self._rectangle(_points(samples), None)
            width, height = TRIAL_SIZE * (x_high - x_low), TRIAL_SIZE * (y_high - y_low)
            check_affine(plane, (x_low - width, x_high + width, y_low - height, y_high + height))
        except ValueError as error:
            raise ConfigurationError(f"InputPartition: {error}") from error

    def _rectangle(self, train: Points, test: Points | None) -> Bounds:
        if self.bounds is not None:
            return (self.bounds[0], self.bounds[1], self.bounds[2], self.bounds[3])
        places = train.places if test is None else np.concatenate([train.places, test.places])
        low, high = places.min(axis=0) - MARGIN, places.max(axis=0) + MARGIN
        return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def _points(samples: Samples) -> Points:
    return Points(samples.inputs.flatten(1).double().numpy(), samples.targets.numpy())
