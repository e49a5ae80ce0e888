"""What the units of a layer would like to see most, through training."""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lightning_cnnviz.callbacks.base import Layers, OnError
from lightning_cnnviz.callbacks.probing import ProbingCallback
from lightning_cnnviz.capture import Activations
from lightning_cnnviz.functional.activation_maximization import excitation_grid
from lightning_cnnviz.functional.gradient_ascent import Ascent, maximize
from lightning_cnnviz.layers import last_layer_with_weights, select_layers
from lightning_cnnviz.probe import Probe, Samples
from lightning_cnnviz.sharding import passed_over
from lightning_cnnviz.writer import Drawing

NUM_SAMPLES = 100
"""Samples whose range, mean and deviation the images keep to."""


class ActivationMaximization(ProbingCallback):
    """Draws the inputs that excite units most, found by gradient ascent: image `activation_maximization/<layer>`.

    A unit is a feature of a flat layer, or a channel of one with maps, where the mean over the map counts. All images
    start from noise and stay within the range of the samples. A picture costs `steps` passes of `max_units` images
    forth and back, on the training thread: mind the interval where the model is large. Under several processes, rank
    zero climbs while the others wait.

    Args:
        every_n_epochs: Draw at the end of every n-th epoch. Default: every epoch.
        every_n_train_steps: Draw at every n-th optimizer step instead.
        layers: Exact names or globs such as `"fc*"`; `.input` behind a name shows what the layer receives.
            Default: the last layer with weights, i.e. the class scores.
        tag: First part of the tags.
        on_error: `"warn"` or `"raise"`.
        max_units: Units in a picture at most, the first ones; the number left out is written on the picture.
        steps: As in `lightning_cnnviz.functional.gradient_ascent.Ascent`, and so are those that follow.
        step_size: Of the first step, in standard deviations of the samples.
        blur: Of each gradient, in pixels.
        jitter: Random shifts, in pixels.
        l2: Decay towards the samples' mean.
        seed: Of the first image and the shifts.
        probe: Samples for the size, mean, deviation and range of the images. Default: a `Probe` of 100 that finds
            them in the trainer's validation data.

    Raises:
        ValueError: If an argument is impossible; at the start of `fit`, if `layers` matches no layer. A layer
            without a gradient, or inputs of whole numbers, get one warning.

    Example:
        >>> ActivationMaximization(layers=["fc3"], steps=500, every_n_epochs=10).ascent.steps
        500
    """

    def __init__(
        self,
        *,
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        layers: Layers = None,
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
        if max_units < 1:
            raise ValueError(f"expected max_units to be at least 1, got {max_units}")
        super().__init__(
            every_n_epochs=every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(NUM_SAMPLES),
        )
        self.max_units = max_units
        self._idle = False
        self.ascent = Ascent(steps, step_size, blur, jitter, l2, seed)

    def _select(self, module: LightningModule) -> Sequence[str]:
        return [] if self.layers is None else select_layers(module, self.layers, None, "layer")

    def _begin(self, trainer: Trainer, module: LightningModule) -> None:
        super()._begin(trainer, module)
        self._idle = passed_over(type(self).__name__, module)  # rank zero climbs alone

    def _drawings(self, trainer: Trainer, module: LightningModule) -> Iterable[Drawing]:
        samples = self.probe.samples
        if samples is None or self._idle:
            return
        self._find_layer(trainer, module, last_layer_with_weights)
        shown, seen = self._look(trainer, module, self._selected, NUM_SAMPLES)
        if self._writer is None or not self._writer.takes_pictures:
            return  # after the forward pass, which every rank takes part in
        precision = trainer.precision_plugin
        inputs = precision.convert_input(shown.inputs.to(module.device))
        for name in seen.layers:
            with self._forgiving():  # one layer that can't be climbed leaves the others their pictures
                with precision.forward_context():
                    found = maximize(module, name, inputs, units=self.max_units, ascent=self.ascent)
                names = shown.class_names if _are_class_scores(name, seen, shown) else None
                draw = partial(excitation_grid, found, names, title=self._title(name, trainer))
                yield f"{self.tag}/{name}", draw


def _are_class_scores(layer: str, seen: Activations, samples: Samples) -> bool:
    """Whether a layer's units are the classes: it gives what the model gives, at most before a softmax."""
    scores, output = seen.layers[layer].float(), seen.output
    if output is None or output.shape != scores.shape or scores.shape[1:] != (len(samples.class_names),):
        return False
    return any(torch.allclose(form, output.float(), atol=1e-3, equal_nan=True) for form in _forms(scores))


def _forms(scores: Tensor) -> list[Tensor]:
    return [scores, scores.softmax(dim=1), scores.log_softmax(dim=1)]
