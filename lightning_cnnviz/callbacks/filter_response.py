"""What each kernel makes of one image, beside the kernel."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Literal, TypeAlias, cast

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_cnnviz.callbacks.base import Layers, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.capture import INPUT, evaluating
from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.functional.filter_response import filter_response
from lightning_cnnviz.functional.filtering import PlainConv, filter_responses
from lightning_cnnviz.functional.kernels import check_channel
from lightning_cnnviz.functional.record import map_record
from lightning_cnnviz.layers import convolutions, select_layers
from lightning_cnnviz.probe import Probe, Samples
from lightning_cnnviz.sharding import passed_over
from lightning_cnnviz.writer import Drawing

Source: TypeAlias = Literal["layer", "image"]


class FilterResponse(ProbingCallback):
    """Draws each kernel beside what it makes of one image: image `filter_response/<layer>`.

    Of the kernels one input channel is shown, and the response is that channel filtered with it: without bias,
    with the layer's own stride, padding and dilation. Works on 1-D, 2-D and 3-D convolutions, grouped ones
    included, not on transposed ones.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`. Default: every convolution that is not transposed
            (with `source="image"`, of as many dimensions as the samples).
        tag: First part of the tags.
        on_error: `"warn"` or `"raise"`.
        channel: The input channel to show, from 0; of a grouped convolution that of each group.
        source: What is filtered. `"layer"`: this channel of what the layer receives, so that the response is
            what the kernel's slice adds to the layer's output. `"image"`: the sample itself, averaged over its
            channels, as if every layer were the first.
        max_kernels: Kernels per picture at most; the number left out is written on it.
        probe: Where the sample comes from; its first one is shown. Default: a `Probe` that finds one in the
            trainer's validation data.

    Raises:
        ValueError: If an argument is impossible; before the first step, if `layers` matches no such convolution,
            `channel` does not exist in a chosen layer or, with `source="image"`, the samples do not have a
            layer's dimensions. A model without such convolutions gets one warning.

    Example:
        >>> FilterResponse(layers=["conv1", "conv2"], source="image").source
        'image'
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: Layers = None,
        tag: str = "filter_response",
        on_error: OnError = "warn",
        channel: int = 0,
        source: Source = "layer",
        max_kernels: int = 64,
        probe: Probe | None = None,
    ) -> None:
        if not isinstance(channel, int) or isinstance(channel, bool) or channel < 0:
            raise ValueError(f"expected channel to be a number from 0, got {channel!r}")
        if source not in ("layer", "image"):
            raise ValueError(f'expected source to be "layer" or "image", got {source!r}')
        if max_kernels < 1:
            raise ValueError(f"expected max_kernels to be at least 1, got {max_kernels}")
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(1),
        )
        self.channel = channel
        self.source = source
        self.max_kernels = max_kernels

    def _select(self, module: LightningModule) -> Sequence[str]:
        plain = [name for name in convolutions(module) if isinstance(module.get_submodule(name), PlainConv)]
        selected = select_layers(module, self.layers, plain, "convolution that is not transposed")
        if not selected:
            rank_zero_warn("FilterResponse: the model has no convolution, so there is nothing to filter with")
        for name in selected:
            layer = _layer(module, name)
            try:
                check_channel(self.channel, layer.in_channels // layer.groups)
            except ValueError as error:
                raise ValueError(f"layer {name}: {error}") from None
        return selected

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        super()._begin(trainer, module)
        if passed_over(type(self).__name__, module):
            self._selected = []
        if self.source == "layer" or self.probe.samples is None:
            return
        sizes = self.probe.samples.inputs.ndim - 2
        other = [name for name in self._selected if _layer(module, name).weight.ndim - 2 != sizes]
        if other and self.layers is not None:
            raise ConfigurationError(
                f"expected convolutions of {sizes} dimensions, as the samples have, got {', '.join(other)}; "
                'choose others with layers=[...], or use source="layer"'
            )
        self._selected = [name for name in self._selected if name not in other]

    def _drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        samples = self.probe.samples
        if samples is None or not self._selected:
            return
        layers = {name: _layer(module, name) for name in self._selected}
        if self.source == "layer":
            _, seen = self._look(trainer, module, [name + INPUT for name in layers], 1)
            received = {name: seen.layers[name + INPUT] for name in layers if name + INPUT in seen.layers}
        else:
            received = {name: _averaged(samples.inputs[:1], layer.in_channels) for name, layer in layers.items()}
        drawn: dict[str, tuple[Tensor, Tensor]] = {}
        with evaluating(module):  # a parametrized weight is computed when it is read
            for name, inputs in received.items():
                with self._forgiving():  # one that can't be filtered with leaves the others their pictures
                    responses = filter_responses(layers[name], inputs, self.channel)[0, : self.max_kernels].cpu()
                    drawn[name] = layers[name].weight[:, self.channel].detach().cpu().clone(), responses
        for name, pair in drawn.items():
            draw = partial(filter_response, *pair, self._images(samples, received[name], layers[name]))
            words = {"title": self._title(name, trainer), "note": self._note(layers[name])}
            yield f"{self.tag}/{name}", partial(draw, max_kernels=self.max_kernels, **words)
            maps = partial(map_record, pair[1][None], name, kind="filter_response", max_channels=self.max_kernels)
            yield f"cnnviz/filter_response/{name}", maps

    def _images(self, samples: Samples, received: Tensor, layer: PlainConv) -> Mapping[str, Tensor]:
        true, image = int(samples.targets[0]), samples.inputs[0]
        images = {f"true: {samples.class_name(true)}" if true >= 0 else "image": image}
        filtered = received[0, self.channel : self.channel + 1]
        same = filtered.shape == image.shape and bool((filtered == image).all())
        if layer.groups == 1 and not same:
            images["what is filtered"] = filtered
        return images

    def _note(self, layer: PlainConv) -> str:
        kernels = f"input channel {self.channel} of {layer.in_channels // layer.groups}"
        kernels += f" in each of {layer.groups} groups" if layer.groups > 1 else ""
        return kernels if self.source == "layer" else f"the image filtered with {kernels}"


def _layer(module: LightningModule, name: str) -> PlainConv:
    return cast(PlainConv, module.get_submodule(name))


def _averaged(image: Tensor, channels: int) -> Tensor:
    """The mean over an image's channels, in every channel that a layer has."""
    return image.float().mean(dim=1, keepdim=True).expand(-1, channels, *image.shape[2:])
