"""How layers are set up for training: who trains them, and how their weights are initialised."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_cnnviz.model.layers import layers_with_weights, weights_of
from lightning_cnnviz.model.sharding import is_shard

FEWEST_WEIGHTS = 100
"""Weights of a layer from which on their distribution tells something."""


class LayerSetup(NamedTuple):
    """A layer with weights before the first step.

    Attributes:
        kind: Name of its class.
        trainable: Whether its weight requires a gradient.
        optimized: Whether an optimizer holds its weight.
        units: Number of its outputs: channels or features.
        scale: Standard deviation of its weights as a multiple of √(2 / inputs of a unit), He's initialisation.
        constant: Whether all of its weights have the same value.
        untrained: Whether its weights are distributed as a usual initialisation leaves them, and no copy of those of a
            layer that is trained, which they are to follow.
        weights: Their number.
    """

    kind: str
    trainable: bool
    optimized: bool
    units: int
    scale: float
    constant: bool
    untrained: bool
    weights: int = 0


class OptimizerSetup(NamedTuple):
    """An optimizer before the first step.

    Attributes:
        kind: Name of its class.
        momentum: Its momentum or first beta; 0 without.
        weight_decay: The largest of its groups.
    """

    kind: str
    momentum: float
    weight_decay: float


def layer_setups(module: nn.Module, optimizers: Sequence[Optimizer]) -> dict[str, LayerSetup]:
    """Returns the layers whose weight has at least two dimensions, in network order.

    Example:
        >>> net = nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 10).requires_grad_(False))
        >>> setups = layer_setups(net, [torch.optim.SGD(net[0].parameters(), lr=0.1)])
        >>> setups["0"].optimized, setups["1"].trainable, setups["1"].untrained
        (True, False, True)
    """
    owned = {id(parameter) for optimizer in optimizers for parameter in parameters_of(optimizer)}
    parts, weights = dict(module.named_modules()), weights_by_layer(module)
    found = {
        name: _setup(type(parts[owner_of(name, parts)]).__name__, weight, id(weight) in owned)
        for name, weight in weights.items()
    }
    trained = [weights[name] for name, one in found.items() if one.trainable]
    for name, one in found.items():
        if one.untrained and not one.trainable and any(_are_equal(weights[name], other) for other in trained):
            found[name] = one._replace(untrained=False)
    return found


def weights_by_layer(module: nn.Module) -> dict[str, nn.Parameter]:
    """Returns the weights of at least two dimensions, in network order, by layer or, of several, by parameter.

    Example:
        >>> list(weights_by_layer(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.GRU(3, 2))))
        ['0', '2.weight_ih_l0', '2.weight_hh_l0']
    """
    weights = weights_of(module, layers_with_weights(module, fewest_dimensions=2))
    return {
        name: weight
        for name, weight in weights.items()
        if not is_shard(weight) and weight.is_floating_point() and weight.ndim > 1 and weight.numel()
    }


def owner_of(name: str, parts: Mapping[str, nn.Module]) -> str:
    """Returns the name of the module that a weight of `weights_by_layer` belongs to.

    Args:
        name: Name of the weight there.
        parts: Modules by name, the model itself as `""`.

    Example:
        >>> owner_of("2.weight_ih_l0", dict(nn.Sequential(nn.Identity(), nn.Identity(), nn.GRU(3, 2)).named_modules()))
        '2'
    """
    while name not in parts:
        name = name.rpartition(".")[0]
    return name


def optimizer_setup(optimizer: Optimizer) -> OptimizerSetup:
    """Returns what an optimizer does.

    Example:
        >>> optimizer_setup(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)).momentum
        0.9
    """
    groups = optimizer.param_groups
    momenta = [group.get("momentum", 0) or group.get("betas", (0,))[0] for group in groups]
    decays = [group.get("weight_decay", 0) for group in groups]
    return OptimizerSetup(type(optimizer).__name__, float(max(momenta, default=0)), float(max(decays, default=0)))


def parameters_of(optimizer: Optimizer) -> Iterable[Tensor]:
    """The parameters that an optimizer holds."""
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


def is_untrained(weight: Tensor) -> bool:
    """Whether weights are distributed as a usual initialisation leaves them, rather than as training does.

    That is uniformly up to 1 / √(inputs), as PyTorch's layers are, or as Glorot's or He's initialisation, or normally
    with one of their deviations, 0.01 or 0.02. Trained weights have heavier tails.

    Args:
        weight: Shape (units, inputs, ...).

    Example:
        >>> is_untrained(nn.Conv2d(16, 32, 3).weight), is_untrained(torch.randn(32, 16) ** 3)
        (True, False)
    """
    if weight.numel() < FEWEST_WEIGHTS or weight.ndim < 2:
        return False
    values = weight.detach().double().flatten()
    inputs = weight[0].numel()
    outputs = len(weight) * weight[0, 0].numel()
    std = float(values.std())
    if not std > 0:
        return False
    tails = float(((values - values.mean()) / std).pow(4).mean())
    error, largest = 1 / math.sqrt(len(values)), float(values.abs().max())
    widths = [1 / inputs, 2 / inputs, 2 / outputs, 2 / (inputs + outputs)]
    uniform = [deviation for width in widths for deviation in (math.sqrt(width / 3), math.sqrt(width))]
    if any(largest <= 1.7325 * one and abs(std / one - 1) < 0.005 + 1.4 * error for one in uniform):
        return abs(tails - 1.8) < 0.02 + 4 * error
    normal = [*map(math.sqrt, widths), 0.01, 0.02]
    close = any(abs(std / one - 1) < 0.005 + 2.2 * error for one in normal)
    return close and len(values) >= 1000 and abs(tails - 3) < 0.02 + 15 * error


def _setup(kind: str, weight: nn.Parameter, optimized: bool) -> LayerSetup:
    values = weight.detach()
    scale = float(values.float().std(unbiased=False)) / math.sqrt(2 / max(values[0].numel(), 1))
    constant = bool((values == values.flatten()[0]).all())
    return LayerSetup(
        kind, weight.requires_grad, optimized, len(values), scale, constant, is_untrained(values), values.numel()
    )


def _are_equal(weight: Tensor, other: Tensor) -> bool:
    alike = weight.shape == other.shape and weight.device == other.device and weight.dtype == other.dtype
    return alike and torch.equal(weight, other)


@torch.no_grad()
def layers_of_alike_units(module: nn.Module, layers: Iterable[str]) -> list[str]:
    """Returns the convolutions and linear layers whose units, the first sixteen, all have the same weights."""
    parts, wanted = dict(module.named_modules()), set(layers)
    found, names = [], []
    # Of parameters, since to read the weight of a layer may run something, as with spectral normalisation.
    for name, weight in weights_by_layer(module).items() if wanted else ():
        kind = isinstance(parts.get(name), (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))
        if kind and name in wanted and len(weight) > 1:
            names.append(name)
            found.append((weight[:16] == weight[:1]).all())
    return [name for name, alike in zip(names, torch.stack(found).tolist(), strict=True) if alike] if found else []
