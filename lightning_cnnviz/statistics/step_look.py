"""One training step, looked at closely: gradients, updates, what layers receive and return, and modes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_cnnviz.functional.activations.value_sums import SUMS, value_sums
from lightning_cnnviz.functional.diagnosis.evidence import LayerLook, LayerSetup, Look
from lightning_cnnviz.functional.gradients.gradient_sums import norms, stored
from lightning_cnnviz.model.activation_kinds import bounds_of, is_activation, is_rectifier, saturation
from lightning_cnnviz.model.activation_tap import ActivationTap, LayerRun, layers_within_reach
from lightning_cnnviz.model.input_tap import BatchNorm, InputTap, left_in_evaluation, normalizing_as_in_evaluation
from lightning_cnnviz.model.layers import convolutions, linear_layers, spread
from lightning_cnnviz.model.training_setup import layers_of_alike_units, owner_of, parameters_of, weights_by_layer
from lightning_cnnviz.statistics.gradient_window import GradientWindow

MAX_LAYERS = 40
"""Layers whose output, and batch normalisations whose input, are looked at, chosen evenly over depth."""
MAX_SAMPLES = 64
"""Samples of a batch that are looked at."""


class StepLook:
    """Looks at one training batch and at the optimizer steps that end with it, through hooks that `end` removes.

    Args:
        module: The model.
        layers: Its layers with weights.
        window: The gradients of these, empty.

    Example:
        >>> net, batch = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.ones(5, 4)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> look = StepLook(net, {}, GradientWindow({"0": net[0].weight}))
        >>> look.begin(samples=5)
        >>> net(batch).sum().backward()
        >>> look.before_step(optimizer)
        >>> optimizer.step()
        >>> found = look.end(1, [optimizer])
        >>> list(found.layers), found.received, found.learning_rates
        (['0', '1'], (1.0, 1.0, 1.0, 0.0), (0.1,))
    """

    def __init__(self, module: nn.Module, layers: Mapping[str, LayerSetup], window: GradientWindow) -> None:
        self._module, self._layers, self._window = module, layers, window
        self._parts = layers_within_reach(module)
        heard = [*convolutions(module), *linear_layers(module)]
        wanted = [name for name, part in self._parts.items() if name in heard or is_activation(part)]
        self._heard: dict[str, Tensor] = {}
        self._samples = 0
        self._tap = ActivationTap(module, spread(wanted, MAX_LAYERS), self._hear)
        modules = dict(module.named_modules())
        owners = {owner_of(name, modules) for name in layers}
        first = {name: part for name, part in self._parts.items() if name in owners or name in heard}
        normalizations = [name for name, part in self._parts.items() if isinstance(part, BatchNorm)]
        chosen = {name: self._parts[name] for name in spread(normalizations, MAX_LAYERS)}
        self._inputs = InputTap(first, chosen)
        self._without_gradient: list[str] = []
        self._norms: list[Tensor] = []
        self._uncleared: dict[int, list[Tensor]] = {}
        self._stepped: set[int] = set()

    def begin(self, samples: int) -> None:
        """Begins with a batch of so many samples."""
        self._samples = samples
        self._tap.begin(samples)

    def before_backward(self, stepped: Iterable[Optimizer]) -> None:
        """Ends hearing layers, since a backward pass may run some again.

        Args:
            stepped: Optimizers that stepped in the batch before this one; their gradients ought to be cleared.
        """
        self._tap.listening = False
        for optimizer in stepped:
            left = [parameter.grad for parameter in parameters_of(optimizer) if parameter.grad is not None]
            count = (norms(stored(left)) > 0).sum() if left else torch.zeros((), dtype=torch.long)
            self._uncleared.setdefault(id(optimizer), []).append(count)

    def before_step(self, optimizer: Optimizer, loss_scale: Tensor | None = None) -> None:
        """Reads the gradients, just before an optimizer step."""
        self._stepped.add(id(optimizer))
        owned = {id(parameter) for parameter in parameters_of(optimizer)}
        self._window.add(None, loss_scale)
        for name, weight in weights_by_layer(self._module).items():
            cut = weight.grad is None and weight.requires_grad
            if cut and id(weight) in owned and name in self._layers and name in self._heard:
                self._without_gradient.append(name)
        gradients = [p.grad for p in parameters_of(optimizer) if p.grad is not None]
        if gradients:
            total = norms(stored(gradients)).square().sum().sqrt()
            self._norms.append(total if loss_scale is None else total / loss_scale)

    def end(self, step: int, optimizers: Sequence[Optimizer]) -> Look:
        """Removes the hooks; returns what was seen. Call after the optimizer step."""
        self._window.end_update()
        try:
            self._tap.end()
        finally:
            self.close()
        gradients = self._window.statistics()
        self._window.clear()
        total = torch.stack(self._norms).max().item() if self._norms else math.nan
        return Look(
            step,
            gradients,
            tuple(self._without_gradient),
            float(total),
            {name: _layer_look(self._parts[name], facts) for name, facts in self._heard.items()},
            tuple(layers_of_alike_units(self._module, self._layers)),
            self._inputs.normalizations(),
            left_in_evaluation(self._module),
            tuple(normalizing_as_in_evaluation(self._module)),
            tuple(float(group["lr"]) for optimizer in optimizers for group in optimizer.param_groups),
            tuple(self._inputs.received()),
            max((min(map(int, counts)) for one, counts in self._uncleared.items() if one in self._stepped), default=0),
            min(self._samples, MAX_SAMPLES),
        )

    def close(self) -> None:
        """Removes the hooks."""
        self._tap.close()
        self._inputs.close()

    def __getstate__(self) -> dict[str, Any]:
        # A model that is copied or saved meanwhile gets nothing of it.
        return {}

    def _hear(self, run: LayerRun) -> None:
        values = run.values[:MAX_SAMPLES] if run.values.ndim > 1 else run.values
        part = self._parts[run.layer]
        dead = torch.full((), torch.nan, device=values.device)
        if is_rectifier(part) and run.channels is not None and values.ndim > 1:
            others = [dimension for dimension in range(values.ndim) if dimension != run.channels]
            dead = (values.amax(others) <= 0).float().mean()
        varies = (values.amax(0) - values.amin(0)).max() if len(values) > 1 else torch.full_like(dead, torch.inf)
        sums = value_sums(values, saturation(part))
        number = torch.full_like(sums[0], values.numel())
        self._heard[run.layer] = torch.stack([*sums, dead.to(sums), varies.to(sums), number])


def _layer_look(part: nn.Module, facts: Tensor) -> LayerLook:
    sums = dict(zip((*SUMS, "dead", "varies", "number"), facts.tolist(), strict=True))
    number = sums["number"] - sums["non_finite"]
    mean = sums["total"] / number if number else math.nan
    variance = sums["squares"] / number - mean**2 if number else math.nan
    largest = max(abs(sums["low"]), abs(sums["high"]))
    return LayerLook(
        math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan,
        sums["dead"],
        sums["saturated"] / number if number and bounds_of(part) is not None else math.nan,
        int(sums["non_finite"]),
        sums["varies"] / largest if 0 < largest < math.inf else 0.0 if largest == 0 else math.nan,
    )
