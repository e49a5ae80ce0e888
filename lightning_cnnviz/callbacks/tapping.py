"""The base class of callbacks that show what the training itself made of a batch: activations and their gradients."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from typing_extensions import override

from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.data.batch import split_batch
from lightning_cnnviz.data.colours import Colours
from lightning_cnnviz.data.probe import MAX_CLASS_INDEX
from lightning_cnnviz.functional.tab.gradient_maps import gradient_map_tab_data
from lightning_cnnviz.functional.tab.stored_maps import MAX_STEP_BYTES, MAX_STORED_MAP_BYTES, stored_side
from lightning_cnnviz.lightning import logged_step, loss_scale
from lightning_cnnviz.model.gradient_tap import GradientTap, HeardGradients
from lightning_cnnviz.model.layers import convolutions
from lightning_cnnviz.model.loss_evidence import Verdict
from lightning_cnnviz.model.shown_maps import block_means
from lightning_cnnviz.model.torch_internals import runs_compiled_code
from lightning_cnnviz.output.writer import Drawing


class _TappedBatch(NamedTuple):
    """What was captured of a training batch, its class indices (-1 if unknown), and the step that it led to."""

    heard: HeardGradients
    targets: Tensor
    step: int


class TappingCallback(ProbingCallback):
    """Base class of callbacks that show the activations of a training batch and the gradients with respect to them.

    They are those of the last batch before a picture is due, captured while the training runs it: no pass is made for
    them. A subclass gives the layers in `tapped_layers`, and yields `gradient_drawings` among its drawings.

    Args:
        num_images: Samples that are kept of the batch, starting from the first.
        options: As in `ProbingCallback`.
    """

    def __init__(self, num_images: int, **options: Any) -> None:
        super().__init__(**options)
        self.num_images = num_images
        self._gradient_tap: GradientTap | None = None
        self._tapped_pair: tuple[Tensor, Tensor | None] | None = None  # its inputs and class indices
        self._tapped: _TappedBatch | None = None
        self._told_of_compiled_code = False

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_gradient_tap": None, "_tapped_pair": None, "_tapped": None}

    def tapped_layers(self) -> Mapping[str, int]:
        """Returns the names of the layers to capture, each with the maximum number of its channels."""
        return {}

    @override
    def learned(self, verdict: Verdict) -> None:
        super().learned(verdict)
        if verdict.classes_elsewhere and self.probe.targets is None and self._tapped is not None:
            self._tapped = self._tapped._replace(targets=torch.full_like(self._tapped.targets, -1))

    # ---- Lightning's hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Selects the layers and opens the writer."""
        self._told_of_compiled_code = False
        super().on_fit_start(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts capturing the batch if a picture is due after it."""
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        if self.writer is None:
            return
        if self._gradient_tap is not None or self._tapped is not None:
            self._forget_tapped()
        if self.writer.takes_pictures and self.due_after_batch(trainer, batch_idx):
            with self.guard():
                self._start_gradient_tap(trainer, pl_module, batch)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Gradients that arrive from now on are those of the loss."""
        super().on_before_backward(trainer, pl_module, loss)
        if self._gradient_tap is not None:
            with self.guard():
                self._gradient_tap.begin_backward(loss_scale(trainer))

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gradients that arrive from now on are those of something else."""
        if self._gradient_tap is not None:
            self._gradient_tap.end_backward()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keeps what was captured, and draws if due."""
        if self._gradient_tap is not None:
            with self.guard():
                self._end_gradient_tap(trainer, batch)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the capture of a batch that was skipped, and draws if due."""
        if self._gradient_tap is not None:
            self._forget_tapped()
        super().on_train_epoch_end(trainer, pl_module)

    # ---- helpers for subclasses

    def gradient_drawings(self, trainer: Trainer, module: LightningModule, layers: Sequence[str]) -> Iterator[Drawing]:
        """The gradient maps of the layers for the tab, as far as the batch that led to this step has any.

        Args:
            trainer: The trainer.
            module: The model.
            layers: Names of layers whose first dimension is known to be that of the samples, or convolutions.
        """
        tapped, samples = self._tapped, self.probe.samples
        self._tapped = None
        if tapped is None or tapped.step != logged_step(trainer) or samples is None:
            return
        heard = tapped.heard
        planes = heard.inputs.movedim(-1, 1) if samples.channels_last else heard.inputs
        alike = planes.ndim == samples.planes.ndim and planes.shape[1:2] == samples.planes.shape[1:2]
        colours = samples.colours if alike else Colours.of(planes)
        predicted = self.predicted(heard.scores, len(heard.inputs))
        batch: dict[str, Any] = {"images": colours.images(planes), "targets": tapped.targets}
        batch["class_names"] = samples.class_names
        batch["predicted"] = None if predicted is None else predicted.tolist()
        certain = self._by_sample.union(convolutions(module))
        for name in layers:
            if name in heard.layers and name in certain:
                most = self.tapped_layers()[name]
                draw = partial(gradient_map_tab_data, *heard.layers[name], name, **batch, max_channels=most)
                yield f"cnnviz/gradient_maps/{name}", draw

    # ---- internals

    def _start_gradient_tap(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        if trainer.strategy.handles_gradient_accumulation:  # and scales losses, in a way that is not known
            return
        if runs_compiled_code(module):
            if not self._told_of_compiled_code:
                self._told_of_compiled_code = True
                rank_zero_info(
                    f"{type(self).__name__}: no gradient maps are shown of a compiled model, which runs without hooks"
                )
            return
        tapped = self.tapped_layers()
        if not tapped:
            return
        most_bytes = min(MAX_STORED_MAP_BYTES, MAX_STEP_BYTES // (2 * len(tapped)))  # activations, and gradients
        layers = {name: partial(_stored, most, most_bytes) for name, most in tapped.items()}
        try:
            self._tapped_pair = split_batch(batch, self.probe.inputs, self.probe.targets)
        except ValueError:  # no inputs, as the probe says
            return
        self._gradient_tap = GradientTap(module, self._tapped_pair[0], layers, self.num_images, self.probe.scores)

    def _end_gradient_tap(self, trainer: Trainer, batch: Any) -> None:
        assert self._gradient_tap is not None
        assert self._tapped_pair is not None
        tap, self._gradient_tap = self._gradient_tap, None
        (inputs, targets), self._tapped_pair = self._tapped_pair, None
        self.account.seconds += tap.seconds
        self.account.flexible += tap.seconds
        heard = tap.close()
        if heard is None or not heard.layers or not heard.inputs.numel():
            return
        count = len(heard.inputs)
        if self.probe.inputs is not None:
            heard = heard._replace(inputs=inputs.detach()[:count].to("cpu", copy=True))
        known = self.certain_targets(batch, inputs, targets)
        if known is None or not (heard.in_batch or self._listener.evidence.verified) or known.max() >= MAX_CLASS_INDEX:
            known = torch.full((count,), -1)
        self._tapped = _TappedBatch(heard, known[:count].cpu(), logged_step(trainer))

    def _forget_tapped(self) -> None:
        tap, self._gradient_tap = self._gradient_tap, None
        self._tapped = self._tapped_pair = None
        if tap is not None:
            with self.guard():
                tap.close()

    def _end(self, trainer: Trainer) -> None:
        try:
            self._forget_tapped()
        finally:
            super()._end(trainer)


def _stored(most: int, most_bytes: int, maps: Tensor) -> Tensor:
    maps = maps[:, :most] if maps.ndim > 1 else maps
    return block_means(maps, stored_side(maps.shape[:2].numel(), most_bytes))
