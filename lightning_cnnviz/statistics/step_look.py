"""One training step, looked at closely: gradients, updates, what layers receive and return, and modes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_cnnviz.functional.diagnosis.look import LayerLook, Look
from lightning_cnnviz.functional.gradients.gradient_sums import norms, stored
from lightning_cnnviz.model.activation_kinds import bounds_of, is_activation, is_rectifier, saturation
from lightning_cnnviz.model.activation_tap import ActivationTap, LayerRun, layers_within_reach
from lightning_cnnviz.model.input_tap import BatchNorm, InputTap, left_in_evaluation, normalizing_as_in_evaluation
from lightning_cnnviz.model.layers import convolutions, linear_layers, spread
from lightning_cnnviz.model.training_setup import (
    LayerSetup,
    layers_of_alike_units,
    owner_of,
    parameters_of,
    weights_by_layer,
)
from lightning_cnnviz.statistics.gradient_window import GradientWindow

MAX_LAYERS = 40
"""Layers whose output, and batch normalisations whose input, are looked at, chosen evenly over depth."""
MAX_SAMPLES = 64
"""Samples of a batch that are looked at."""
MAX_VALUES, MAX_PLACES = 256, 64
"""Values of a layer's output that are looked at in each sample, and places of each map, at even distances."""


class _Heard(NamedTuple):
    facts: Tensor
    values: Tensor  # some of each sample
    size: int  # values of a sample


class StepLook:
    """Looks at one training batch and at the optimizer steps that end with it, through hooks that `end` removes.

    Args:
        module: The model.
        layers: Its layers with weights.

    Example:
        >>> net, batch = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.ones(5, 4)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> look = StepLook(net, {})
        >>> look.begin(samples=5)
        >>> net(batch).sum().backward()
        >>> look.before_step(optimizer)
        >>> optimizer.step()
        >>> found = look.end(1, [optimizer])
        >>> list(found.layers), found.received, found.learning_rates
        (['0', '1'], (1.0, 1.0, 1.0, 0.0), (0.1,))
    """

    def __init__(self, module: nn.Module, layers: Mapping[str, LayerSetup]) -> None:
        self._module, self._layers = module, layers
        self._weights = weights_by_layer(module)
        self._window = GradientWindow(self._weights)
        self._parts = layers_within_reach(module)
        heard = {*convolutions(module), *linear_layers(module)}
        self._wanted = spread([n for n, part in self._parts.items() if n in heard or is_activation(part)], MAX_LAYERS)
        modules = dict(module.named_modules())
        owners = {owner_of(name, modules) for name in layers}
        self._first = {name: part for name, part in self._parts.items() if name in owners or name in heard}
        normalizations = [name for name, part in self._parts.items() if isinstance(part, BatchNorm)]
        self._normalizations = {name: self._parts[name] for name in spread(normalizations, MAX_LAYERS)}
        self._alike = list(layers)
        self._tap: ActivationTap | None = None
        self._inputs: InputTap | None = None
        self._left_over: list[Tensor] = []
        self._begin(0)

    @property
    def begun(self) -> bool:
        """Whether a batch is being looked at."""
        return self._tap is not None

    def begin(self, samples: int) -> None:
        """Begins with a batch of so many samples."""
        self.close()
        self._begin(samples)
        self._tap = ActivationTap(self._module, self._wanted, self._hear, self._parts)
        self._inputs = InputTap(self._first, self._normalizations)
        self._tap.begin(samples)

    def _begin(self, samples: int) -> None:
        self._window.clear()
        self._samples = samples
        self._heard: dict[str, _Heard] = {}
        self._without_gradient: list[str] = []
        self._norms: list[Tensor] = []
        self._uncleared: dict[int, list[Tensor]] = {}
        self._stepped: set[int] = set()

    def before_backward(self, stepped: Iterable[Optimizer]) -> None:
        """Ends hearing layers, since a backward pass may run some again.

        Args:
            stepped: Optimizers that stepped in the batch before this one; their gradients ought to be cleared.
        """
        if self._tap is not None:
            self._tap.listening = False
        for optimizer in stepped:
            self._uncleared.setdefault(id(optimizer), []).append(_gradients_of(optimizer))

    def begin_accumulating(self, stepped: Iterable[Optimizer]) -> None:
        """Counts the gradients that are there as a step's first batch is to be propagated back, for the next look.

        Args:
            stepped: Optimizers that stepped in the batch before this one.
        """
        self._left_over += [_gradients_of(optimizer) for optimizer in stepped]

    def before_step(self, optimizer: Optimizer, loss_scale: Tensor | None = None) -> None:
        """Reads the gradients, just before an optimizer step."""
        self._stepped.add(id(optimizer))
        owned = {id(parameter) for parameter in parameters_of(optimizer)}
        self._window.add(None, loss_scale)
        for name, weight in self._weights.items():
            cut = weight.grad is None and weight.requires_grad
            if cut and id(weight) in owned and name in self._layers and name in self._heard:
                self._without_gradient.append(name)
        gradients = [p.grad for p in parameters_of(optimizer) if p.grad is not None]
        if gradients:
            total = norms(stored(gradients)).square().sum().sqrt()
            self._norms.append(total if loss_scale is None else total / loss_scale)

    def end(self, step: int, optimizers: Sequence[Optimizer]) -> Look:
        """Removes the hooks; returns what was seen. Call after the optimizer step."""
        tap, inputs = self._tap, self._inputs
        if tap is None or inputs is None:
            raise RuntimeError("expected begin() to be called before end()")
        self._window.end_update()
        try:
            tap.end()
        finally:
            self.close()
        gradients = self._window.statistics()
        self._window.clear()
        # Units that differ once do not become alike.
        self._alike = layers_of_alike_units(self._module, self._alike)
        total = torch.stack(self._norms).max().item() if self._norms else math.nan
        trained = [parameter for optimizer in optimizers for parameter in parameters_of(optimizer)]
        return Look(
            step,
            gradients,
            tuple(self._without_gradient),
            float(total),
            self._layer_looks(),
            tuple(self._alike),
            inputs.normalizations(),
            left_in_evaluation(self._module, trained),
            tuple(normalizing_as_in_evaluation(self._module, trained)),
            tuple(float(group["lr"]) for optimizer in optimizers for group in optimizer.param_groups),
            tuple(inputs.received()),
            self._count_uncleared(),
            min(self._samples, MAX_SAMPLES),
        )

    def _count_uncleared(self) -> int:
        counts = [min(map(int, counts)) for one, counts in self._uncleared.items() if one in self._stepped]
        left_over, self._left_over = self._left_over, []
        return max([*counts, *map(int, left_over)], default=0)

    def _layer_looks(self) -> dict[str, LayerLook]:
        looks = {name: _layer_look(heard) for name, heard in self._heard.items()}
        last = next((name for name in reversed(self._heard) if name in self._layers), None)
        if last is not None and not looks[last].non_finite:
            looks[last] = looks[last]._replace(directions=_directions(self._heard[last].values))
        return looks

    def close(self) -> None:
        """Removes the hooks."""
        tap, inputs, self._tap, self._inputs = self._tap, self._inputs, None, None
        if tap is not None:
            tap.close()
        if inputs is not None:
            inputs.close()

    def __getstate__(self) -> dict[str, Any]:
        # A model that is copied or saved meanwhile gets nothing of it.
        return {}

    def _hear(self, run: LayerRun) -> None:
        values = run.values.detach()
        values = values[:MAX_SAMPLES].float() if values.ndim > 1 else values[None].float()
        part, channels = self._parts[run.layer], run.channels if run.values.ndim > 1 else None
        some = _at_distances(values.flatten(1), MAX_VALUES)
        low, high = some.amin(0), some.amax(0)
        variation = (high - low).amax()
        missing = torch.full_like(variation, torch.nan)
        saturated = dead = missing
        if bounds_of(part) is not None:
            lowest, highest = saturation(part)
            saturated = ((some <= lowest) | (some >= highest)).float().mean()
        if is_rectifier(part) and channels is not None:
            places = _at_distances(values.movedim(channels, 1).flatten(2), MAX_PLACES) if values.ndim > 2 else values
            dead = (places.amax([0, *range(2, places.ndim)]) <= 0).float().mean()
        std = some.std(unbiased=False)
        if len(some) < 2:
            variation = torch.full_like(variation, torch.inf)
        facts = torch.stack([std, dead, saturated, low.amin(), high.amax(), variation])
        self._heard[run.layer] = _Heard(facts, some, values[0].numel())


def _at_distances(values: Tensor, most: int) -> Tensor:
    """A copy of some of the last dimension, at distances with no factor in common with its size: of all channels."""
    number = values.shape[-1]
    least = -(-number // most)
    apart = next(one for one in range(least, least + number) if math.gcd(one, number) == 1)
    return values[..., ::apart].contiguous()


def _gradients_of(optimizer: Optimizer) -> Tensor:
    """How many parameters of an optimizer have a gradient other than zero."""
    left = [parameter.grad for parameter in parameters_of(optimizer) if parameter.grad is not None]
    return (norms(stored(left)) > 0).sum() if left else torch.zeros((), dtype=torch.long)


def _layer_look(heard: _Heard) -> LayerLook:
    std, dead, saturated, low, high, variation = heard.facts.tolist()
    if not math.isfinite(low + high):
        missing = int(heard.values.numel() - heard.values.isfinite().sum())
        return LayerLook(math.nan, dead, saturated, missing, math.nan, heard.size)
    largest = max(abs(low), abs(high))
    return LayerLook(std, dead, saturated, 0, variation / largest if largest else 0.0, heard.size)


def _directions(values: Tensor) -> int:
    """The rank of values less their mean, shape (samples, values), but for what is due to rounding."""
    given = values.cpu().double()
    sizes = torch.linalg.svdvals(given - given.mean(0))
    return int((sizes > 1e-5 * max(float(given.abs().max()), float(sizes[0]))).sum())
