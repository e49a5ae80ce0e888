"""Feature maps of a few fixed samples during training."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from typing_extensions import override

from lightning_cnnviz.callbacks.base import MAX_LAYERS, Guide, LayerPatterns, OnError
from lightning_cnnviz.callbacks.tapping import TappingCallback
from lightning_cnnviz.data.probe import Probe
from lightning_cnnviz.errors import whole_number
from lightning_cnnviz.functional.drawing.image import channel_mean, planes, to_array
from lightning_cnnviz.functional.feature_map_grid import feature_maps, map_facts, map_size, mean_maps
from lightning_cnnviz.functional.tab.data import channel_statistics, map_tab_data
from lightning_cnnviz.functional.tab.stored_maps import MAX_STORED_MAP_SIZE
from lightning_cnnviz.model.layers import convolutions, linear_layers, select_layers, spread
from lightning_cnnviz.model.shown_maps import shown_maps
from lightning_cnnviz.output.writer import Drawing

MAX_UNITS = 512
"""Units of a linear layer that the tab shows."""


class FeatureMaps(TappingCallback):
    """Draws feature maps of fixed samples: images `feature_maps/<layer>` and `feature_maps/overview`.

    There is one picture per layer, with its channels next to each sample and the sample's true and predicted class,
    and an overview with one map per convolution, the mean over its channels. The CNN Viz tab shows the activations of
    linear layers, too, as bars, unless `layers` is given; and of the last training batch before a picture, activations
    beside the gradient of its loss with respect to them.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`, of modules of any type; a name with the suffix `.input`
            stands for what the layer receives. Default: every convolution, or `max_layers` of them.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        max_layers: Maximum number of convolutions drawn by default and in the overview, and of linear layers in the
            tab, chosen evenly over depth.
        num_images: Samples per picture.
        max_channels: Maximum number of channels per sample; the number omitted is written on the picture.
        probe: Source of the samples; its first `num_images` are shown. Default: a `Probe` of the validation.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` matches no layer. A model
            without convolutions gets one warning.

    Example:
        >>> FeatureMaps(layers=["pool1", "pool2"], num_images=2).tag
        'feature_maps'
    """

    guide = Guide("Images", "feature_maps/…", "feature maps of the same few images")

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "feature_maps",
        on_error: OnError = "warn",
        max_layers: int = MAX_LAYERS,
        num_images: int = 4,
        max_channels: int = 32,
        probe: Probe | None = None,
    ) -> None:
        num_images = whole_number(num_images, "num_images", at_least=1)
        super().__init__(
            num_images,
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(num_images),
        )
        self.max_layers = whole_number(max_layers, "max_layers", at_least=1)
        self.max_channels = whole_number(max_channels, "max_channels", at_least=1)
        self._convolutions: Sequence[str] = []
        self._linear: Sequence[str] = []
        self._count = 0  # of all convolutions

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        found = convolutions(module)
        self._count = len(found)
        self._linear = spread(linear_layers(module), self.max_layers) if self.layers is None else []
        if self.layers is not None:
            self._convolutions = spread(found, self.max_layers)
            return select_layers(module, self.layers, None, "layer")
        self._convolutions = self.some_of(found, self.max_layers)
        if not self._convolutions:
            rank_zero_warn('FeatureMaps: the model has no convolution; choose what to show with layers=["name", ...]')
        return self._convolutions

    @override
    def untrained(self, module: LightningModule) -> bool:
        return self.given_samples(module)

    @override
    def tapped_layers(self) -> Mapping[str, int]:
        return {**dict.fromkeys(self._linear, MAX_UNITS), **dict.fromkeys(self.selected, self.max_channels)}

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        names = list(dict.fromkeys([*self._convolutions, *self.selected, *self._linear]))
        if not names or self.probe.samples is None:
            return
        shown, seen = self.activations(trainer, module, names, self.num_images)
        predicted = self.predicted(seen.output, len(shown.inputs))
        captions = [
            [f"true: {shown.class_name(int(true))}"] * (true >= 0)
            + ([] if predicted is None else [f"pred: {shown.class_name(int(predicted[index]))}"])
            for index, true in enumerate(shown.targets)
        ]
        draw: dict[str, Any] = {"images": shown.images, "captions": captions, "note": shown.colours.note}
        yield from self._tab_samples()
        classes = None if predicted is None else predicted.tolist()
        samples: dict[str, Any] = {"predicted": classes}
        flat = {
            name: seen.layers[name] for name in self._linear if name in seen.layers and seen.layers[name].ndim == 2
        }
        self._linear = [name for name in self._linear if name in flat or name not in seen.layers]  # not tokens' layers
        drawn = [name for name in self.selected if name in seen.layers]
        for name in drawn:
            maps, most = seen.layers[name], self.max_channels
            facts, statistics = map_facts(maps, most), channel_statistics(maps, most)
            size = max(map_size(min(facts.channels, most), shown.images), MAX_STORED_MAP_SIZE)
            maps = shown_maps(maps, most, size)
            drawing = partial(feature_maps, maps, **draw, facts=facts, title=self.sample_title(name, trainer))
            yield f"{self.tag}/{name}", partial(drawing, max_channels=most)
            record = partial(map_tab_data, maps, name, max_channels=most, statistics=statistics, **samples)
            yield f"cnnviz/feature_maps/{name}", self.of_samples(record, shown)
        for name, activations in flat.items():
            record = partial(map_tab_data, activations, name, max_channels=MAX_UNITS, **samples)
            yield f"cnnviz/feature_maps/{name}", self.of_samples(record, shown)
        yield from self.gradient_drawings(trainer, module, [*drawn, *flat])
        convolved = {name: seen.layers[name] for name in self._convolutions if name in seen.layers}
        if convolved:
            means = {name: channel_mean(planes(to_array(maps)), axis=1)[:, None] for name, maps in convolved.items()}
            some = f"{len(self._convolutions)} of {self._count} convolutions"
            if len(self._convolutions) < self._count:
                draw["note"] = "; ".join(filter(None, (some, draw["note"])))
            yield (
                f"{self.tag}/overview",
                partial(mean_maps, means, **draw, title=self.sample_title("overview", trainer)),
            )
