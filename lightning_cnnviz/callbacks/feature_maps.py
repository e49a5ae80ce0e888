"""What the layers make of a few fixed samples through training."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from lightning_cnnviz.batch import predicted_classes
from lightning_cnnviz.callbacks.base import Layers, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.functional.feature_maps import feature_maps, mean_maps
from lightning_cnnviz.functional.record import map_record
from lightning_cnnviz.layers import convolutions, select_layers
from lightning_cnnviz.probe import Probe
from lightning_cnnviz.writer import Drawing


class FeatureMaps(ProbingCallback):
    """Draws activations of fixed samples: images `feature_maps/<layer>` and `feature_maps/overview`.

    One picture per layer with its channels beside each sample and the sample's true and predicted class, and an
    overview with one map per convolution, the mean over its channels.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"features.*"`, of modules of any kind; `.input` behind a name
            shows what the layer receives. Default: every convolution.
        tag: First part of the tags.
        on_error: `"warn"` or `"raise"`.
        num_images: Samples in a picture.
        max_channels: Channels per sample at most; the number left out is written on the picture.
        probe: Where the samples come from; the first `num_images` of it are shown. Default: a `Probe` that
            finds them in the trainer's validation data.

    Raises:
        ValueError: If an argument is impossible; at the start of `fit`, if `layers` matches no layer. A model
            without convolutions gets one warning.

    Example:
        >>> FeatureMaps(layers=["pool1", "pool2"], num_images=2).tag
        'feature_maps'
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: Layers = None,
        tag: str = "feature_maps",
        on_error: OnError = "warn",
        num_images: int = 4,
        max_channels: int = 32,
        probe: Probe | None = None,
    ) -> None:
        if num_images < 1 or max_channels < 1:
            raise ValueError(f"expected num_images and max_channels from 1, got {num_images} and {max_channels}")
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(num_images),
        )
        self.num_images = num_images
        self.max_channels = max_channels
        self._convolutions: Sequence[str] = []

    def _select(self, module: LightningModule) -> Sequence[str]:
        self._convolutions = convolutions(module)
        if self.layers is not None:
            return select_layers(module, self.layers, None, "layer")
        if not self._convolutions:
            rank_zero_warn('FeatureMaps: the model has no convolution; choose what to show with layers=["name", ...]')
        return self._convolutions

    def _drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        names = list(dict.fromkeys([*self._convolutions, *self._selected]))
        if not names or self.probe.samples is None:
            return
        shown, seen = self._look(trainer, module, names, self.num_images)
        predicted = predicted_classes(seen.output, len(shown.inputs))
        captions = [
            [f"true: {shown.class_name(int(true))}"] * (true >= 0)
            + ([] if predicted is None else [f"pred: {shown.class_name(int(predicted[index]))}"])
            for index, true in enumerate(shown.targets)
        ]
        draw: dict[str, Any] = {"images": shown.inputs, "captions": captions}
        yield from self._samples_for_tab()
        known = self._tells_samples(self.num_images)
        for name in [name for name in self._selected if name in seen.layers]:
            maps, most = seen.layers[name], self.max_channels
            drawing = partial(feature_maps, maps, **draw, max_channels=most, title=self._title(name, trainer))
            yield f"{self.tag}/{name}", drawing
            yield (
                f"cnnviz/feature_maps/{name}",
                partial(map_record, maps, name, max_channels=most, known=known),
            )
        if self._convolutions:
            convolved = {name: seen.layers[name] for name in self._convolutions if name in seen.layers}
            yield f"{self.tag}/overview", partial(mean_maps, convolved, **draw, title=self._title("overview", trainer))
