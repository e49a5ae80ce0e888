"""Maximally activating patches: the parts of real samples that excite each channel most and least."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn
from typing_extensions import override

from lightning_cnnviz.callbacks.base import MAX_LAYERS, Guide, LayerPatterns, Moment, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.data.batch import batch_size, split_batch
from lightning_cnnviz.data.colours import Colours
from lightning_cnnviz.data.image_axes import ImageAxes
from lightning_cnnviz.data.probe import Probe
from lightning_cnnviz.errors import whole_number
from lightning_cnnviz.functional.tab.drawn import drawn_for_tab
from lightning_cnnviz.functional.units.patch_cutting import BatchImages
from lightning_cnnviz.functional.units.patch_ranking import PatchRanking, Staged
from lightning_cnnviz.functional.units.patch_sheet import patch_sheet
from lightning_cnnviz.model.activation_tap import layers_within_reach
from lightning_cnnviz.model.forward_tap import ForwardTap, Heard
from lightning_cnnviz.model.layers import convolutions, select_layers
from lightning_cnnviz.model.own_pass import own_pass
from lightning_cnnviz.model.receptive_field import ReceptiveField, receptive_fields, unknown_field
from lightning_cnnviz.model.sharding import skip_if_sharded
from lightning_cnnviz.output.writer import Drawing

NUM_REFERENCE_SAMPLES = 100
"""Samples that tell the colours and the classes' names."""
MAX_VALUES = 2**22
"""Pixel values of all patches that are drawn at once, about; the more there are, the smaller large ones become."""
OF_IMAGES = (nn.Conv2d, nn.ConvTranspose2d)
WITHIN_REACH = "layer that can be heard (not one in compiled code or in nn.TransformerEncoderLayer)"


class MaximallyActivatingPatches(ProbingCallback):
    """Draws the parts of real samples that excite each channel most and least: images `activating_patches/<layer>`.

    They come from all samples of the first validation dataloader, out of the module's own validation pass, and are
    drawn at its end: for each channel the samples with the most and with the least excited unit anywhere in its map,
    cut out at what that unit depends on, with the channel's activations over it, the activation and the class. What a
    unit depends on follows from the windows of all layers before it, for which a copy of the model runs once. Under
    several processes they are the samples of rank zero.

    Args:
        every_n_epochs: Draw at the end of each validation in every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at the end of the first validation after every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`, of layers that return maps of shape (samples, channels,
            height, width). Default: every convolution, or `max_layers` of them.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        max_layers: Maximum number of layers by default, chosen evenly over depth.
        max_channels: Maximum number of channels per picture, the first ones; the number omitted is written on it.
        num_patches: Patches that excite a channel most, and as many that excite it least.
        probe: Says what in a batch the inputs and classes are, how they become images, and the classes' names.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` matches no layer.

    Example:
        >>> MaximallyActivatingPatches(layers="conv2", max_channels=16).num_patches
        4
    """

    guide = Guide(
        "Images", "activating_patches/…", "the parts of real samples that excite each channel most and least"
    )
    weights = "averaged"

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "activating_patches",
        on_error: OnError = "warn",
        max_layers: int = MAX_LAYERS,
        max_channels: int = 8,
        num_patches: int = 4,
        probe: Probe | None = None,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(NUM_REFERENCE_SAMPLES),
        )
        self.max_layers = whole_number(max_layers, "max_layers", at_least=1)
        self.max_channels = whole_number(max_channels, "max_channels", at_least=1)
        self.num_patches = whole_number(num_patches, "num_patches", at_least=1)
        self._forget()

    def _forget(self) -> None:
        self._rankings: dict[str, PatchRanking] | None = None  # of the validation that runs, if it is due
        self._staged: dict[str, Staged] = {}
        self._patch_tap: ForwardTap | None = None
        self._tapped: tuple[Tensor, Tensor | None] | None = None
        self._fields: dict[str, ReceptiveField] = {}
        self._size: tuple[int, ...] | None = None  # of the inputs to which the fields belong
        self._colours: Colours | None = None
        self._samples = self._left_out = 0
        self._ranked: Moment | None = None  # when a validation ended that was ranked and not drawn
        self._due = False  # whether the validation that runs is drawn at its end

    def __getstate__(self) -> dict[str, Any]:
        running = ("_rankings", "_patch_tap", "_tapped")
        return {**super().__getstate__(), **dict.fromkeys(running), "_staged": {}, "_fields": {}, "_size": None}

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        reached = layers_within_reach(module)
        if self.layers is not None:
            return select_layers(module, self.layers, list(reached), WITHIN_REACH)
        every = convolutions(module)
        found = [name for name in every if isinstance(module.get_submodule(name), OF_IMAGES)]
        heard = [name for name in found if name in reached]
        me = type(self).__name__
        if not every:
            rank_zero_warn(f'{me}: the model has no convolution; choose what to show with layers=["name", ...]')
        elif not found:
            rank_zero_info(f"{me}: all convolutions are of signals or volumes; patches of images alone are drawn")
        elif not heard:
            rank_zero_info(f"{me}: all convolutions run in compiled code, which hooks do not reach; nothing is drawn")
        return self.some_of(heard, self.max_layers)

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        super().prepare(trainer, module)
        self._forget()
        if skip_if_sharded(type(self).__name__, module):  # rank zero ranks alone
            self.selected = []
        elif not trainer.enable_validation:
            rank_zero_info(f"{type(self).__name__}: no validation data; nothing is drawn")

    # ---- Lightning's hooks

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draws nothing; this callback draws at the end of a validation."""
        self._end_tap(batch, batch_idx, "train")
        self.end_listening()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws nothing; this callback draws at the end of a validation."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the last validation, unless it has been; says so if there is none."""
        if self.selected or self._ranked is not None:
            self.draw_last_validation(trainer, pl_module, self._ranked)
        self._rankings = self._ranked = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts ranking if this validation is due, or may be the last."""
        super().on_validation_start(trainer, pl_module)
        self._due, self._ranked, self._rankings = self.due_at_validation(trainer), None, None
        if self.writer is not None and self.hears_validation(trainer, self._due):
            names = self.selected if self.writer.takes_pictures else []
            each = MAX_VALUES // max(len(names), 1)
            self._rankings = {name: PatchRanking(self.num_patches, self.max_channels, each) for name in names}
            self._samples = self._left_out = 0

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Starts to hear the batch."""
        super().on_validation_batch_start(trainer, pl_module, batch, batch_idx, dataloader_idx)
        if self._rankings and dataloader_idx == 0:
            with self.guard(flexible=True):
                self._close_patch_tap()
                self._tapped = split_batch(batch, self.probe.inputs, self.probe.targets)
                self._patch_tap = ForwardTap(pl_module, self._tapped[0], self.selected, keep=self._stage)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Ranks the batch."""
        super().on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        if self._patch_tap is not None:
            with self.guard(flexible=True):
                heard = self._close_patch_tap()
                if heard is not None and self._tapped is not None:
                    self._commit(trainer, pl_module, batch, heard)
                self._samples += batch_size(batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws if this validation is due."""
        super().on_validation_end(trainer, pl_module)
        if self._rankings is not None and not self._due:
            self._ranked = self.moment(trainer)  # drawn if this has been the last
            return
        if self._rankings is not None:
            self.draw(trainer, pl_module)
        self._rankings = None

    # ---- what is drawn

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        samples, rankings = self.probe.samples, self._rankings or {}
        names = None if samples is None else [samples.class_name(index) for index in range(len(samples.class_names))]
        note = f"{self._samples - self._left_out:,} validation samples"
        note += f", {self._left_out:,} of another size left out" if self._left_out else ""
        note = note if trainer.world_size == 1 else f"{note} of rank 0"
        missing = []
        for name, ranking in rankings.items():
            found = ranking.patches()
            if found is None:
                missing.append(name)
            else:
                colours = self._colours or Colours()
                notes = " · ".join(filter(None, (note, colours.note)))
                draw = partial(patch_sheet, found.in_colours(colours), names, note=notes)
                draw = partial(draw, title=self.title(name, trainer))
                yield f"{self.tag}/{name}", partial(drawn_for_tab, "patches", {"layer": name}, draw)
        self._tell(trainer, [name for name in missing if name not in self._reported_missing])

    # ---- internals

    def _tell(self, trainer: Trainer, missing: Sequence[str]) -> None:
        """Tells of layers that there is no picture of, and why."""
        self._reported_missing.update(missing)
        rankings, me = self._rankings or {}, type(self).__name__
        broken = [name for name in missing if rankings[name].non_finite]
        absent = [name for name in missing if name not in broken]
        if broken:
            rank_zero_warn(
                f"{me}: every map of {', '.join(broken)} has NaN or infinite values at step "
                f"{self.moment(trainer).step}; skipped"
            )
        if absent:
            rank_zero_info(
                f"{me}: {', '.join(absent)} gave no maps (samples, channels, height, width) of the batch's images; "
                "skipped"
            )

    def _stage(self, name: str, maps: Tensor) -> Tensor | None:
        """Ranks the maps of a run of a layer, which counts if the tap returns the empty tensor that stands for it."""
        ranking = None if self._rankings is None else self._rankings.get(name)
        if ranking is None:
            return None
        if maps.ndim != 4 or not maps.is_floating_point():
            return None
        with self.account.guard(timed=True, flexible=True), torch.no_grad():
            if ranking.fits(maps):
                self._staged[name] = ranking.stage(maps)
                return maps.new_empty(0)
        return None

    def _commit(self, trainer: Trainer, module: LightningModule, batch: Any, heard: Heard) -> None:
        assert self._tapped is not None
        (given, targets), self._tapped = self._tapped, None
        inputs = heard.inputs if self.probe.inputs is None else given
        axes = ImageAxes.of(module)
        if (last := axes.are_last(inputs)) is None:
            return
        inputs = axes.planes(inputs)
        staged, self._staged = {name: self._staged[name] for name in heard.layers}, {}
        if inputs.ndim != 4:
            return
        size = tuple(inputs.shape[1:])
        if self._size is None:
            self._size = size
            samples = self.probe.samples
            alike = samples is not None and samples.planes.shape[1:2] == inputs.shape[1:2]
            self._colours = samples.colours if samples is not None and alike else Colours.of(inputs)
        if size != self._size:
            self._left_out += len(inputs)
            return
        if not staged:
            return
        self._find_fields(trainer, module, inputs, staged, last)
        classes, images = self.certain_targets(batch, inputs, targets), BatchImages(inputs)
        for name, ranks in staged.items():
            assert self._rankings is not None
            self._rankings[name].commit(ranks, images, classes, self._fields[name], self._samples)

    def _find_fields(
        self, trainer: Trainer, module: LightningModule, inputs: Tensor, staged: dict[str, Staged], last: bool
    ) -> None:
        missing = [name for name in staged if name not in self._fields]
        if not missing:
            return
        try:
            with own_pass(trainer, module):
                self._fields |= receptive_fields(module, inputs[:1], missing, channels_last=last)
        except ValueError as error:
            rank_zero_info(
                f"{type(self).__name__}: whole samples are shown, since what a unit sees is not known: a copy of the "
                f"model cannot be called with a batch's inputs alone ({error.__cause__ or error})"
            )
        for name in missing:
            maps = staged[name].maps.shape[1:]
            field = self._fields.get(name)
            if field is None or (len(field.rows.low), len(field.columns.low)) != tuple(maps):
                self._fields[name] = unknown_field(maps, inputs.shape[2:])

    def _close_patch_tap(self) -> Heard | None:
        tap, self._patch_tap = self._patch_tap, None
        return None if tap is None else tap.close()

    def _end(self, trainer: Trainer) -> None:
        try:
            self._close_patch_tap()
        finally:
            self._forget()
            super()._end(trainer)
