"""Activations of a model's layers, from an evaluation pass that leaves the model unchanged."""

import inspect
from collections.abc import Sequence
from functools import partial
from inspect import Parameter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_cnnviz.errors import names_list
from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.hooks import add_hook
from lightning_cnnviz.model.outputs import first_tensor, scores_in

FEWEST = 5
"""Samples that two batches of different sizes need, none of one sample, which some models take apart."""


class Activations(NamedTuple):
    """Output and activations of an evaluation pass, on the CPU.

    Attributes:
        output: The model's output: class scores (see `scores_in`), otherwise its first tensor; None if there is none
            or it has no row per sample.
        layers: Layer name → activations of shape (samples, ...). Layers that did not run, or did not return a
            tensor with one row per sample, are missing.
    """

    output: Tensor | None
    layers: dict[str, Tensor]


def record(module: nn.Module, inputs: Tensor, layers: str | Sequence[str], batch_size: int = 64) -> Activations:
    """Runs the model in evaluation mode and returns the activations of some layers.

    An independent copy of the model runs, in evaluation mode and without hooks of others, so that the model and all
    random states are left unchanged. A compiled model runs uncompiled, since hooks do not reach compiled code. If a
    layer runs several times in a pass, its last run is returned. The samples run in batches of different sizes, which
    tells a dimension of samples from any other: a layer that returns (time, samples, ...) may have as many time steps
    as there are samples. Fewer than five are therefore repeated.

    Args:
        module: The model; called as `module(inputs)`.
        inputs: Shape (samples, ...), on the model's device.
        layers: Names as in `named_modules`; a name with the suffix `.input` stands for what the layer receives.
        batch_size: Maximum number of samples per forward pass; with one sample in each, their dimension is a guess.

    Raises:
        ValueError: If the model has no such layer, or still has uninitialised lazy layers.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> record(net, torch.ones(5, 4), ["1"]).layers["1"].shape
        torch.Size([5, 3])
    """
    names = names_list(layers, "layers")
    enough = inputs if len(inputs) >= FEWEST else inputs[torch.arange(FEWEST) % len(inputs)]
    with evaluating(module) as copied:
        parts = [_record(copied, chunk, names) for chunk in torch.split(enough, _chunk_size(len(enough), batch_size))]
    outputs = [part.output for part in parts if part.output is not None]
    return Activations(
        torch.cat(outputs)[: len(inputs)] if len(outputs) == len(parts) else None,
        {
            name: torch.cat([part.layers[name] for part in parts])[: len(inputs)]
            for name in names
            if all(name in part.layers for part in parts)
        },
    )


def check_one_input(module: nn.Module) -> None:
    """Raises ValueError if a model cannot be called with a single input.

    Example:
        >>> check_one_input(nn.Linear(2, 1))
    """
    signature = inspect.signature(module.forward)
    try:
        signature.bind(None)
    except TypeError:
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        arguments = f"forward({', '.join(map(str, signature.parameters.values()))})"
        if kinds & {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD}:
            words = "give all parameters but the first a default"
        else:
            words = "it takes its inputs by keyword; let it take the first by position, too"
        raise ValueError(f"expected a forward() with one required input, got {arguments}; {words}") from None


def _chunk_size(count: int, most: int) -> int:
    """The size of the batches of which the last has another size, and if possible at least two samples."""
    for least in (2, 1):
        for size in range(min(most, count // 2 + 1), least, -1):
            if count % size >= least:
                return size
    return most


def _record(copied: nn.Module, inputs: Tensor, layers: Sequence[str]) -> Activations:
    seen: dict[str, Tensor] = {}

    def keep(name: str, value: Any) -> None:
        tensor = first_tensor(value)
        if tensor is not None and tensor.ndim >= 1 and len(tensor) == len(inputs):
            seen[name] = tensor.detach().to("cpu", copy=True)  # a copy: an in-place layer may follow

    handles = [add_hook(copied, name, partial(keep, name)) for name in layers]
    result = copied(inputs.clone())  # which the model may change in place
    for handle in handles:
        handle.remove()
    scores = scores_in(result, len(inputs))
    output = first_tensor(result) if scores is None else scores
    if output is None or output.ndim == 0 or len(output) != len(inputs):
        return Activations(None, seen)
    return Activations(output.detach().to("cpu", copy=True), seen)
