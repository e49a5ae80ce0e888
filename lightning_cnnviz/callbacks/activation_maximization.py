"""Activation maximization: the inputs that excite a layer's units most."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from lightning_cnnviz.callbacks.base import Guide, LayerPatterns, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.data.probe import Probe
from lightning_cnnviz.data.samples import Samples
from lightning_cnnviz.errors import whole_number
from lightning_cnnviz.functional.units.excitation_grid import excitation_grid
from lightning_cnnviz.functional.units.gradient_ascent import Ascent, maximize
from lightning_cnnviz.model.capture import Activations
from lightning_cnnviz.model.layers import last_layer_with_weights, select_layers
from lightning_cnnviz.model.sharding import skip_if_sharded
from lightning_cnnviz.output.writer import Drawing

NUM_REFERENCE_SAMPLES = 100
"""Samples that set the range, mean and standard deviation of the images."""


class ActivationMaximization(ProbingCallback):
    """Draws the inputs that excite units most, found by gradient ascent: image `activation_maximization/<layer>`.

    A unit is a feature of a flat layer, or a channel of a layer with feature maps, whose activation is the mean over
    its map. All images start from noise and stay within the range of the samples. A picture takes `steps` forward and
    backward passes of `max_units` images on the training thread, so choose the interval accordingly for a large
    model. With several processes, rank 0 runs the ascent while the others wait.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"fc*"`; a name with the suffix `.input` stands for what the layer
            receives. Default: the last layer with weights, i.e. the class scores.
        tag: Prefix of the tags.
        on_error: `"warn"` or `"raise"`.
        max_units: Maximum number of units per picture, the first ones; the number omitted is written on the picture.
        steps: Ascent steps; this and the next five arguments are those of `lightning_cnnviz.functional.Ascent`.
        step_size: Size of the first step, in standard deviations of the samples.
        blur: Blur of each gradient, in pixels.
        jitter: Maximum random shift, in pixels.
        l2: Decay towards the samples' mean.
        seed: Seed of the initial image and the shifts.
        probe: Samples that set the shape, mean, standard deviation and range of the images. Default: a `Probe` of
            100 samples of the validation.

    Raises:
        ValueError: If an argument is invalid; at the start of `fit`, if `layers` matches no layer. A layer without
            a gradient, or integer inputs, get one warning.

    Example:
        >>> ActivationMaximization(layers=["fc3"], steps=500, every_n_epochs=10).ascent.steps
        500
    """

    guide = Guide("Images", "activation_maximization/…", "the input that excites each class most")

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: LayerPatterns = None,
        tag: str = "activation_maximization",
        on_error: OnError = "warn",
        max_units: int = 10,
        steps: int = 200,
        step_size: float = 0.4,
        blur: float = 1.0,
        jitter: int = 1,
        l2: float = 0.3,
        seed: int = 0,
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
        self.max_units = whole_number(max_units, "max_units", at_least=1)
        self._sharded = False
        self.ascent = Ascent(steps, step_size, blur, jitter, l2, whole_number(seed, "seed"))

    @override
    def choose_layers(self, module: LightningModule) -> Sequence[str]:
        return [] if self.layers is None else select_layers(module, self.layers, None, "layer")

    @override
    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        super().prepare(trainer, module)
        self._sharded = skip_if_sharded(type(self).__name__, module)  # rank 0 runs the ascent alone

    @override
    def drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        samples = self.probe.samples
        if samples is None or self._sharded:
            return
        self.find_layer(trainer, module, last_layer_with_weights)
        shown, seen = self.activations(trainer, module, self.selected, NUM_REFERENCE_SAMPLES)
        if self.writer is None or not self.writer.takes_pictures:
            return  # after the forward pass, which runs on every rank
        precision = trainer.precision_plugin
        inputs = precision.convert_input(shown.planes.to(module.device))
        for name in seen.layers:
            with self.account.guard():  # if one layer fails, the others are still drawn
                with precision.forward_context():
                    options: dict[str, Any] = {"ascent": self.ascent, "channels_last": shown.channels_last}
                    found = maximize(module, name, inputs, units=self.max_units, **options)
                names = shown.class_names if _are_class_scores(name, seen, shown) else None
                draw = partial(excitation_grid, found, names, title=self.title(name, trainer))
                yield f"{self.tag}/{name}", draw


def _are_class_scores(layer: str, seen: Activations, samples: Samples) -> bool:
    """Whether a layer's units are the classes: its output is the model's, possibly before a (log-)softmax."""
    scores, output = seen.layers[layer].float(), seen.output
    if output is None or output.shape != scores.shape or scores.shape[1:] != (len(samples.class_names),):
        return False
    return any(torch.allclose(form, output.float(), atol=1e-3, equal_nan=True) for form in _with_softmax(scores))


def _with_softmax(scores: Tensor) -> list[Tensor]:
    return [scores, scores.softmax(dim=1), scores.log_softmax(dim=1)]
