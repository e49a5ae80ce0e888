"""The response of each kernel to one image, next to the kernel."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Literal, TypeAlias, cast

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from typing_extensions import override

from lightning_cnnviz.callbacks.base import MAX_LAYERS, Guide, LayerPatterns, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.data.probe import Probe
from lightning_cnnviz.data.samples import Samples
from lightning_cnnviz.errors import ConfigurationError, whole_number
from lightning_cnnviz.functional.filter_response_grid import filter_response
from lightning_cnnviz.functional.filtering import PlainConv, filter_responses
from lightning_cnnviz.functional.kernels import check_channel
from lightning_cnnviz.functional.tab.data import map_tab_data, with_samples
from lightning_cnnviz.model.evaluation import awaits_input, evaluating
from lightning_cnnviz.model.hooks import INPUT
from lightning_cnnviz.model.layers import convolutions, select_layers
from lightning_cnnviz.model.sharding import skip_if_sharded
from lightning_cnnviz.output.writer import Drawing

Source: TypeAlias = Literal["layer", "image"]


class FilterResponse(ProbingCallback):
    """Draws each kernel next to its response to one image: image `filter_response/<layer>`.

    One input channel of each kernel is shown, and the response is that channel of the input filtered with it: without
    bias, with the layer's own stride, padding and dilation. Supports 1-D, 2-D and 3-D convolutions, including grouped
    but not transposed ones.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`. Default: every convolution that is not transposed
            (with `source="image"`, those with as many spatial dimensions as the samples), or `max_layers` of them.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        max_layers: Maximum number of layers drawn by default, chosen evenly over depth.
        channel: Index of the input channel to show, from 0; in a grouped convolution, within each group.
        source: What is filtered. `"layer"`: this channel of the layer's input, so that the response is what this
            slice of the kernel contributes to the layer's output. `"image"`: the sample itself, averaged over its
            channels, as if every layer were the first.
        max_kernels: Maximum number of kernels per picture; the number omitted is written on it.
        probe: Source of the sample; its first one is shown. Default: a `Probe` of one
            sample of the validation.

    Raises:
        ValueError: If an argument is invalid; before the first step, if `layers` matches no such convolution,
            `channel` does not exist in a selected layer or, with `source="image"`, a layer has another number of
            spatial dimensions than the samples. A model without such convolutions gets one warning.

    Example:
        >>> FilterResponse(layers=["conv1", "conv2"], source="image").source
        'image'
    """

    guide = Guide("Images", "filter_response/…", "each kernel and its response to one image")

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "filter_response",
        on_error: OnError = "warn",
        max_layers: int = MAX_LAYERS,
        channel: int = 0,
        source: Source = "layer",
        max_kernels: int = 64,
        probe: Probe | None = None,
    ) -> None:
        if source not in ("layer", "image"):
            raise ValueError(f'expected source to be "layer" or "image", got {source!r}')
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(1),
        )
        self.channel = whole_number(channel, "channel", at_least=0)
        self.max_layers = whole_number(max_layers, "max_layers", at_least=1)
        self.source = source
        self.max_kernels = whole_number(max_kernels, "max_kernels", at_least=1)

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        plain = [name for name in convolutions(module) if isinstance(module.get_submodule(name), PlainConv)]
        selected = select_layers(module, self.layers, plain, "convolution that is not transposed")
        if not selected:
            rank_zero_warn("FilterResponse: the model has no convolution that is not transposed; nothing is drawn")
        for name in selected:
            layer = _layer(module, name)
            if awaits_input(layer):  # a lazy one, whose number of channels is not known yet
                continue
            try:
                check_channel(self.channel, layer.in_channels // layer.groups)
            except ValueError as error:
                raise ValueError(f"layer {name}: {error}") from None
        return self.some_of(selected, self.max_layers)

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        super().prepare(trainer, module)
        if skip_if_sharded(type(self).__name__, module):
            self.selected = []
        if self.probe.example is not None:
            self._select_fitting(module, self.probe.example)

    def _select_fitting(self, module: LightningModule, inputs: Tensor) -> None:
        if self.source == "layer":
            return
        sizes = inputs.ndim - 2
        other = [name for name in self.selected if _layer(module, name).weight.ndim - 2 != sizes]
        if other and self.layers is not None:
            raise ConfigurationError(
                f"expected convolutions of {sizes} dimensions, as the samples have, got {', '.join(other)}; "
                'select others with layers=[...], or use source="layer"'
            )
        self.selected = [name for name in self.selected if name not in other]

    @override
    def untrained(self, module: LightningModule) -> bool:
        return self.given_samples(module)

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        samples = self.probe.samples
        if samples is None:
            return
        try:  # where there was no sample before; a run that has begun goes on
            self._select_fitting(module, samples.planes)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        if not self.selected:
            return
        layers = {name: _layer(module, name) for name in self.selected}
        if self.source == "layer":
            _, seen = self.activations(trainer, module, [name + INPUT for name in layers], 1)
            received = {name: seen.layers[name + INPUT] for name in layers if name + INPUT in seen.layers}
        else:
            received = {name: _channel_mean(samples.planes[:1], layer.in_channels) for name, layer in layers.items()}
        drawn: dict[str, tuple[Tensor, Tensor]] = {}
        for name, inputs in received.items():
            # If one layer fails, the others are still drawn. A parametrized weight is computed on access.
            with self.account.guard(), evaluating(layers[name]) as copied:
                layer = cast(PlainConv, copied)
                responses = filter_responses(layer, inputs, self.channel)[0, : self.max_kernels].cpu()
                drawn[name] = layer.weight[:, self.channel].detach().cpu().clone(), responses
        first = samples._replace(inputs=samples.inputs[:1], targets=samples.targets[:1])
        for name, pair in drawn.items():
            draw = partial(filter_response, *pair, self._images(samples, received[name], layers[name]))
            texts = {"title": self.sample_title(name, trainer), "note": self._note(layers[name])}
            yield f"{self.tag}/{name}", partial(draw, max_kernels=self.max_kernels, **texts)
            maps = partial(map_tab_data, pair[1][None], name, kind="filter_response", max_channels=self.max_kernels)
            yield f"cnnviz/filter_response/{name}", partial(with_samples, maps, first.images, *first[1:3])

    def _images(self, samples: Samples, received: Tensor, layer: PlainConv) -> Mapping[str, Tensor]:
        true, image = int(samples.targets[0]), samples.planes[0]
        first = samples._replace(inputs=samples.inputs[:1]).images[0]
        images = {f"true: {samples.class_name(true)}" if true >= 0 else "image": first}
        filtered = received[0, self.channel : self.channel + 1]
        same = filtered.shape == image.shape and bool((filtered == image).all())
        if layer.groups == 1 and not same:
            images["filtered input"] = filtered
        return images

    def _note(self, layer: PlainConv) -> str:
        kernels = f"input channel {self.channel} of {layer.in_channels // layer.groups}"
        kernels += f" in each of {layer.groups} groups" if layer.groups > 1 else ""
        return kernels if self.source == "layer" else f"the image filtered with {kernels}"


def _layer(module: nn.Module, name: str) -> PlainConv:
    return cast(PlainConv, module.get_submodule(name))


def _channel_mean(image: Tensor, channels: int) -> Tensor:
    """The mean over an image's channels, repeated for each input channel of a layer."""
    return image.float().mean(dim=1, keepdim=True).expand(-1, channels, *image.shape[2:])
