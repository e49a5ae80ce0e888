"""Which layers: by name or glob, by kind, and the one that holds the embedding."""

from collections.abc import Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from lightning_cnnviz.capture import INPUT, first_tensor, record, takes_hooks


def convolutions(module: nn.Module) -> list[str]:
    """Names of the 1-D, 2-D and 3-D convolutions, plain or transposed, shared ones once.

    Example:
        >>> convolutions(nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.ConvTranspose1d(6, 16, 5)))
        ['0', '2']
    """
    return [name for name, layer in module.named_modules() if name and isinstance(layer, _ConvNd)]


def weights_of(module: nn.Module, layers: Sequence[str]) -> dict[str, nn.Parameter]:
    """The weights (no biases) of layers, by the layer's name, or by the weight's own where it has several.

    Example:
        >>> list(weights_of(nn.Sequential(nn.Linear(4, 3), nn.LSTM(3, 2)), ["0", "1"]))
        ['0', '1.weight_ih_l0', '1.weight_hh_l0']
    """
    found = {name: weights for name, weights in _weights_by_layer(module).items() if name in layers}
    return {
        layer if len(weights) == 1 else f"{layer}.{name}": weight
        for layer, weights in found.items()
        for name, weight in weights.items()
        if not is_lazy(weight)  # of a layer that never ran
    }


def layers_with_weights(module: nn.Module, fewest_dimensions: int) -> list[str]:
    """Names of the layers with a weight of at least so many dimensions, or of no size yet; two leave out norms."""
    found = _weights_by_layer(module).items()
    return [
        name
        for name, weights in found
        if any(is_lazy(part) or part.ndim >= fewest_dimensions for part in weights.values())
    ]


def _weights_by_layer(module: nn.Module) -> dict[str, dict[str, nn.Parameter]]:
    found: dict[str, dict[str, nn.Parameter]] = {}
    for path, parameter in module.named_parameters():
        layer, _, name = path.replace(".parametrizations.", ".", 1).rpartition(".")
        if ".parametrizations." in path:  # layer.parametrizations.weight.original
            layer, _, part = layer.rpartition(".")
            name = f"{part}.{name}"
        if layer and "weight" in name:
            found.setdefault(layer, {})[name] = parameter
    return found


def select_layers(
    module: nn.Module, patterns: str | Sequence[str] | None, fitting: Sequence[str] | None, what: str
) -> list[str]:
    """Names of the layers that a user asked for, in the order of `named_modules`.

    Args:
        module: The model.
        patterns: Exact names or globs like `"features.*"`; None for every layer that fits. If `fitting` is
            None, `.input` may stand behind a name or glob, for what the layer receives.
        fitting: Names of the layers that can be shown, None for all. Of what a glob matches the others are
            passed over.
        what: What such layers are called in messages, e.g. `"convolution"`.

    Raises:
        ValueError: If a pattern matches nothing, or nothing that fits. Names what could be had.

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
            raise ValueError(f"layers={pattern!r} matches no layer of the model; its layers are: {_listed(layers)}")
        if not set(found).intersection(candidates):
            raise ValueError(
                f"layers={pattern!r} matches {_listed(found)}, but no {what}; "
                f"to choose from there are: {_listed(candidates) or 'none'}"
            )
        chosen.update(found)
    return [name for name in candidates if name in chosen]


def scores_layer(module: nn.Module, patterns: str | Sequence[str] | None) -> list[str]:
    """The layer that a user says gives the class scores: one name, or none where the module itself does.

    Raises:
        ValueError: If a pattern matches nothing, or they match several layers.

    Example:
        >>> scores_layer(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), "0")
        ['0']
    """
    selected = [] if patterns is None else select_layers(module, patterns, None, "layer")
    if len(selected) > 1:
        raise ValueError(f"expected layers to be the one layer that gives the class scores, got {selected}")
    return selected


def _listed(names: Sequence[str], at_most: int = 40) -> str:
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")


def last_hidden_layer(module: nn.Module, inputs: Tensor) -> str:
    """The name under which `record` gives what the last layer with weights receives: the model's embedding.

    That is the earliest layer that returned these very values (so a ReLU rather than the dropout behind it,
    which does nothing in evaluation), or, where no module did, the last layer's name and `.input`.

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
    trail, head = _trail_to_last_weights(module, inputs)
    embedding = trail[head].received
    last_returned = {step.layer: step.returned for step in trail}
    for step in trail[:head]:
        returned = last_returned[step.layer]
        if embedding is not None and returned is not None and torch.equal(embedding, returned):
            return step.layer
    return trail[head].layer + INPUT


def last_layer_with_weights(module: nn.Module, inputs: Tensor) -> str:
    """The name of the layer with a weight matrix that runs last: in a classifier, its units are the classes.

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
    trail, head = _trail_to_last_weights(module, inputs)
    return trail[head].layer


class _Step(NamedTuple):
    """A layer that ran, with copies of what it received and returned, None where that is too long."""

    layer: str
    received: Tensor | None
    returned: Tensor | None


def _trail_to_last_weights(module: nn.Module, inputs: Tensor) -> tuple[list[_Step], int]:
    """The layers without parts in the order in which they ran, and the place of the last with a weight matrix."""
    trail: list[_Step] = []
    leaves = {
        name: leaf
        for name, leaf in module.named_modules()
        if name and set(dict(leaf.named_children())) <= {"parametrizations"} and "parametrizations" not in name
        if takes_hooks(leaf)
    }

    def keep(name: str, received: Any, returned: Any) -> None:
        trail.append(_Step(name, _flat_copy(received), _flat_copy(returned)))

    with ExitStack() as stack:
        for name, leaf in leaves.items():
            hook = leaf.register_forward_hook(lambda _, args, result, name=name: keep(name, args, result))
            stack.callback(hook.remove)
        record(module, inputs, [])
    weighted = set(layers_with_weights(module, fewest_dimensions=2))
    heads = [at for at, step in enumerate(trail) if step.layer in weighted]
    if not heads:
        raise ValueError("expected a layer with a weight matrix, but none ran; name layers with layers=...")
    return trail, heads[-1]


def _flat_copy(value: Any, at_most: int = 2**16) -> Tensor | None:
    """One row per sample; None where the rows are too long to be an embedding, which saves the memory."""
    tensor = first_tensor(value)
    if tensor is None or tensor.ndim < 1 or tensor.numel() > at_most * len(tensor):
        return None
    return tensor.detach().flatten(1).clone() if tensor.ndim > 1 else tensor.detach().clone()
