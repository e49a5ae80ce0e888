"""Kernels of every convolution through training."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import cast

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import nn
from typing_extensions import override

from lightning_cnnviz.callbacks.base import MAX_LAYERS, Guide, LayerPatterns, OnError, VisualCallback
from lightning_cnnviz.errors import whole_number
from lightning_cnnviz.functional.kernels import (
    InputChannel,
    Scale,
    check_channel,
    check_options,
    conv_weight,
    kernel_grid,
    select_kernels,
)
from lightning_cnnviz.functional.tab.data import kernel_tab_data
from lightning_cnnviz.functional.tab.kernel_channels import channel_tab_data, select_channels
from lightning_cnnviz.functional.tab.matrix import matrix_tab_data, select_matrix
from lightning_cnnviz.functional.tab.normalization import normalization_tab_data, select_normalization
from lightning_cnnviz.model.effective_weight import linear_weight, weight_note
from lightning_cnnviz.model.evaluation import awaits_input, evaluating
from lightning_cnnviz.model.layers import convolutions, linear_layers, select_layers, spread
from lightning_cnnviz.model.normalization import channel_values, normalizations
from lightning_cnnviz.model.sharding import full_tensor
from lightning_cnnviz.output.writer import Drawing


class KernelGrid(VisualCallback):
    """Draws the kernels of convolutions as grids: image `kernels/<layer>`.

    Supports 1-D, 2-D, 3-D, transposed and grouped convolutions. Blue is negative, red positive, white zero.
    The CNN Viz tab shows the other input channels and slices, too, and, unless `layers` is given, the weights of
    linear layers as matrices and those of normalisation layers as bars.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`. Default: every convolution, or
            `max_layers` of them.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        max_layers: Maximum number of convolutions drawn by default, and of linear and of normalisation layers in the
            tab, chosen evenly over depth.
        channel: Index of the input channel to show, from 0; `"mean"` for the mean over all channels, `"rgb"` for
            kernels with three channels, or `"auto"`: RGB for two-dimensional kernels with three input channels,
            otherwise the first channel.
        scale: One colour scale per `"layer"` or per `"kernel"`.
        max_kernels: Maximum number of kernels per picture; the number omitted is written on it.
        numbers: Write each weight into its cell; for up to 1,024 weights, and not for RGB.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` matches no convolution or
            `channel` does not exist in a selected layer. A model without convolutions gets one warning.

    Example:
        >>> KernelGrid(layers=["conv1"], every_n_train_steps=100).schedule.every_n_train_steps
        100
    """

    guide = Guide("Images", "kernels/…", "the kernels of each convolution")

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "kernels",
        on_error: OnError = "warn",
        max_layers: int = MAX_LAYERS,
        channel: InputChannel = "auto",
        scale: Scale = "layer",
        max_kernels: int = 512,
        numbers: bool = False,
    ) -> None:
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
        )
        check_options(channel, scale, max_kernels)
        self.channel: InputChannel = channel if isinstance(channel, str) else whole_number(channel, "channel")
        self.max_layers = whole_number(max_layers, "max_layers", at_least=1)
        self.scale = scale
        self.max_kernels = whole_number(max_kernels, "max_kernels")
        self.numbers = numbers
        self._linear: Sequence[str] = []
        self._normalizations: Sequence[str] = []

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        selected = select_layers(module, self.layers, convolutions(module), "convolution")
        others = (linear_layers(module), normalizations(module)) if self.layers is None else ([], [])
        self._linear, self._normalizations = (spread(names, self.max_layers) for names in others)
        if not selected:
            rank_zero_warn("KernelGrid: the model has no convolution; no kernels are drawn")
        for name in selected:
            layer = cast(nn.Conv2d, module.get_submodule(name))  # or another type of convolution
            if awaits_input(layer):  # a lazy one, whose number of channels is not known yet
                continue
            try:
                check_channel(self.channel, layer.in_channels // layer.groups)
            except ValueError as error:
                raise ValueError(f"layer {name}: {error}") from None
        return self.some_of(selected, self.max_layers)

    @override
    def untrained(self, module: LightningModule) -> bool:
        return not any(awaits_input(module.get_submodule(name)) for name in self.selected)

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        for name in self.selected:
            layer = module.get_submodule(name)
            note = weight_note(layer)
            with evaluating(layer) as copied:  # a parametrized weight is computed on access
                weight = full_tensor(conv_weight(copied).detach())
                parts = {"": (weight, note)}
                if weight.is_complex():
                    parts = {
                        "": (weight.abs(), "; ".join(filter(None, ("magnitude", note)))),
                        "/phase": (weight.angle(), "phase in radians"),
                    }
                shown = {
                    part: (select_kernels(values, self.channel, self.max_kernels), words)
                    for part, (values, words) in parts.items()
                }
                own, count = shown[""][0].channel, len(self.selected)
                channels = select_channels(parts[""][0], own, self.max_kernels, count)
            for part, (kernels, words) in shown.items():
                draw = partial(kernel_grid, kernels, scale=self.scale, note=words, numbers=self.numbers)
                yield f"{self.tag}/{name}{part}", partial(draw, title=self.title(f"{name}{part}", trainer))
            kernels, words = shown[""]
            yield f"cnnviz/kernels/{name}", partial(kernel_tab_data, kernels, name, note=words)
            if channels is not None:
                groups = cast(nn.Conv2d, layer).groups
                yield f"cnnviz/kernel_channels/{name}", partial(channel_tab_data, channels, name, groups=groups)
        for name in self._linear:
            matrix = linear_weight(module.get_submodule(name))
            if matrix is not None:
                yield f"cnnviz/weights/{name}", partial(matrix_tab_data, select_matrix(full_tensor(matrix)), name)
        for name in self._normalizations:
            if values := channel_values(module.get_submodule(name)):
                selection = select_normalization(values)
                yield f"cnnviz/normalization/{name}", partial(normalization_tab_data, selection, name)
