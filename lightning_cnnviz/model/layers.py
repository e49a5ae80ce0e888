"""Selection of layers: by name or glob, by type, and the one that holds the embedding."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.hooks import INPUT, listed, takes_hooks
from lightning_cnnviz.model.outputs import first_tensor

T = TypeVar("T")
_CHANNEL_FACTORS = ("weight", "gamma", "beta", "scale", "alpha", "g")
"""Names of one-dimensional parameters that are multiplied with, or added to, each channel."""
CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def convolutions(module: nn.Module) -> list[str]:
    """Returns the names of the 1-D, 2-D and 3-D convolutions, plain or transposed; shared ones are listed once.

    Example:
        >>> convolutions(nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.ConvTranspose1d(6, 16, 5)))
        ['0', '2']
    """
    return [name for name, layer in module.named_modules() if name and isinstance(layer, CONVOLUTIONS)]


def linear_layers(module: nn.Module) -> list[str]:
    """Returns the names of the linear layers; shared ones are listed once.

    Example:
        >>> linear_layers(nn.Sequential(nn.Conv2d(1, 6, 5), nn.Flatten(), nn.Linear(6, 3)))
        ['2']
    """
    return [name for name, layer in module.named_modules() if name and isinstance(layer, nn.Linear)]


def weights_of(module: nn.Module, layers: Sequence[str]) -> dict[str, nn.Parameter]:
    """Returns the weights (not biases) of layers by layer name, or by parameter name where that tells more.

    Example:
        >>> list(weights_of(nn.Sequential(nn.Linear(4, 3), nn.LSTM(3, 2)), ["0", "1"]))
        ['0', '1.weight_ih_l0', '1.weight_hh_l0']
    """
    found = {name: weights for name, weights in _weights_by_layer(module).items() if name in layers}
    return {
        layer if len(weights) == 1 and (name in layer or "weight" in name) else f"{layer}.{name}": weight
        for layer, weights in found.items()
        for name, weight in weights.items()
        if not is_lazy(weight)  # uninitialised, of a layer that never ran
    }


def layers_with_weights(module: nn.Module, fewest_dimensions: int) -> list[str]:
    """Returns the names of the layers with a weight of at least so many dimensions, or an uninitialised lazy one.

    A parameter of the model itself is a layer of its own name. With `fewest_dimensions=2`, factors of each channel
    are excluded, as in normalisation layers, but not one-dimensional weights of other names, as in equivariant ones.
    """
    return [
        layer
        for layer, weights in _weights_by_layer(module).items()
        if any(
            is_lazy(part) or part.ndim >= fewest_dimensions or (part.ndim and name not in _CHANNEL_FACTORS)
            for name, part in weights.items()
        )
    ]


def _weights_by_layer(module: nn.Module) -> dict[str, dict[str, nn.Parameter]]:
    found: dict[str, dict[str, nn.Parameter]] = {}
    for path, parameter in module.named_parameters():
        layer, _, name = path.replace(".parametrizations.", ".", 1).rpartition(".")
        if ".parametrizations." in path:  # layer.parametrizations.weight.original
            layer, _, part = layer.rpartition(".")
            name = f"{part}.{name}"
        if "bias" not in name:
            found.setdefault(layer or name, {})[name] = parameter
    return found


def select_layers(
    module: nn.Module, patterns: str | Sequence[str] | None, fitting: Sequence[str] | None, what: str
) -> list[str]:
    """Returns the names of the layers that match a user's patterns, in the order of `named_modules`.

    Args:
        module: The model.
        patterns: Exact names or globs such as `"features.*"`; None for every layer that fits. If `fitting` is
            None, a name or glob may have the suffix `.input`, which stands for what the layer receives.
        fitting: Names of the layers that can be shown; None for all. Other layers that a pattern matches are
            ignored.
        what: Name of such a layer in messages, e.g. `"convolution"`.

    Raises:
        ValueError: If a pattern matches nothing, or nothing that fits; the message lists the available layers.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.Conv2d(6, 16, 5))
        >>> select_layers(net, "*", convolutions(net), "convolution")
        ['0', '2']
    """
    layers = [name for name, _ in module.named_modules() if name]
    candidates = list(fitting) if fitting is not None else [*layers, *(name + INPUT for name in layers)]
    if patterns is None:
        return candidates
    chosen: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        found = [name for name in layers if name == pattern or fnmatchcase(name, pattern)]
        if fitting is None and not found:
            found = [name for name in candidates if name.endswith(INPUT) and fnmatchcase(name, pattern)]
        if not found:
            raise ValueError(f"layers={pattern!r} matches no layer of the model; its layers are: {listed(layers)}")
        if not set(found).intersection(candidates):
            raise ValueError(
                f"layers={pattern!r} matches {listed(found)}, but no {what}; available are: {listed(candidates)}"
            )
        chosen.update(found)
    return [name for name in candidates if name in chosen]


def spread(items: Sequence[T], most: int) -> list[T]:
    """Returns at most so many items, evenly from the first to the last.

    Example:
        >>> spread(["a", "b", "c", "d", "e"], 3), spread(["a", "b"], 3)
        (['a', 'c', 'e'], ['a', 'b'])
    """
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[0]]
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def scores_layer(module: nn.Module, patterns: str | Sequence[str] | None) -> list[str]:
    """Returns the layer that outputs the class scores, as named by the user: one name, or none for the module itself.

    Raises:
        ValueError: If a pattern matches nothing, or the patterns match several layers.

    Example:
        >>> scores_layer(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), "0")
        ['0']
    """
    selected = [] if patterns is None else select_layers(module, patterns, None, "layer")
    if len(selected) > 1:
        raise ValueError(f"expected layers to be the one layer that outputs the class scores, got {selected}")
    return selected


def last_hidden_layer(module: nn.Module, inputs: Tensor) -> str:
    """Returns the name under which `record` returns the model's embedding: the input of the last layer with weights.

    That is the earliest layer that returned exactly these values (so a ReLU rather than a dropout after it, which does
    nothing in evaluation) or, if none did, the last layer's name with the suffix `.input`.

    Args:
        module: The model.
        inputs: A few samples, on the model's device.

    Raises:
        ValueError: If no layer with a weight matrix ran.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2))
        >>> last_hidden_layer(net, torch.randn(5, 4))
        '1'
    """
    steps, head = _steps_to_last_weights(module, inputs)
    embedding = steps[head].received
    last_returned = {step.layer: step.returned for step in steps}
    for step in steps[:head]:
        if _same(embedding, last_returned[step.layer]):
            return step.layer
    return steps[head].layer + INPUT


def last_layer_with_weights(module: nn.Module, inputs: Tensor) -> str:
    """Returns the name of the last layer with a weight matrix to run; in a classifier, its units are the classes.

    Args:
        module: The model.
        inputs: A few samples, on the model's device.

    Raises:
        ValueError: If no layer with a weight matrix ran.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.Softmax(1))
        >>> last_layer_with_weights(net, torch.randn(5, 4))
        '2'
    """
    steps, head = _steps_to_last_weights(module, inputs)
    return steps[head].layer


class _Step(NamedTuple):
    """A layer that ran, with copies of its input and output; None where these are too long to be an embedding."""

    layer: str
    received: Tensor | None
    returned: Tensor | None


def _steps_to_last_weights(module: nn.Module, inputs: Tensor) -> tuple[list[_Step], int]:
    """Leaf layers in execution order, and the index of the last one with a weight matrix.

    If that is a part of a wrapped linear layer, such as a low-rank adapter, the wrapper as a whole takes its place.
    """
    steps: list[_Step] = []
    wrapped: dict[str, _Step] = {}
    leaves = {
        name: leaf
        for name, leaf in module.named_modules()
        if name and "parametrizations" not in name
        if set(dict(leaf.named_children())) <= {"parametrizations"} or isinstance(leaf, (nn.Linear, *CONVOLUTIONS))
        if takes_hooks(leaf)
    }

    wrappers = [name for name, part in module.named_modules() if name and name not in leaves and _is_linear(part)]

    def keep(name: str, received: Any, returned: Any) -> None:
        step = _Step(name, _flat_copy(received), _flat_copy(returned))
        if name in leaves:
            steps.append(step)
        else:
            wrapped[name] = step

    with evaluating(module) as copied:
        for name in (*leaves, *wrappers):
            hook = partial(lambda name, _, args, options, result: keep(name, (args, options), result), name)
            copied.get_submodule(name).register_forward_hook(hook, with_kwargs=True)
        copied(inputs.clone())
    weighted = set(layers_with_weights(module, fewest_dimensions=2))
    heads = [at for at, step in enumerate(steps) if step.layer in weighted]
    if not heads:
        raise ValueError("expected a layer with a weight matrix, got none that ran; select layers with layers=[...]")
    head = steps[heads[-1]].layer
    for name, step in sorted(wrapped.items()):  # the outermost first
        parts = [part for part in steps if part.layer.startswith(f"{name}.")]
        if head.startswith(f"{name}.") and sum(_same(part.received, step.received) for part in parts) > 1:
            return [*steps, step], len(steps)
    return steps, heads[-1]


def _is_linear(module: nn.Module) -> bool:
    """Whether several linear layers, and nothing else that computes, are in a module."""
    parts = [part for part in module.modules() if not any(True for _ in part.children())]
    several = sum(isinstance(part, nn.Linear) for part in parts) > 1
    return several and all(isinstance(part, (nn.Linear, nn.Dropout, nn.Identity)) for part in parts)


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)


def _flat_copy(value: Any, at_most: int = 2**16) -> Tensor | None:
    """A copy with one row per sample; None if the rows are too long to be an embedding, which saves memory."""
    tensor = first_tensor(value)
    if tensor is None or tensor.ndim < 1 or tensor.numel() > at_most * len(tensor):
        return None
    return tensor.detach().flatten(1).clone() if tensor.ndim > 1 else tensor.detach().clone()
