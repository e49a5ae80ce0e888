"""Forward hooks on layers, by name."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

INPUT = ".input"
"""Suffix of a layer's name that stands for the layer's input instead of its output."""


def add_hook(module: nn.Module, name: str, callback: Callable[[Any], None]) -> RemovableHandle:
    """Calls `callback` with the output of a layer whenever the layer runs; the caller removes the hook.

    Args:
        module: The model.
        name: As in `named_modules`; with the suffix `.input`, `callback` gets the layer's arguments instead.
        callback: Takes a tensor or any nesting of tensors; must return None.

    Raises:
        ValueError: If the model has no such layer; the message lists its layers.

    Example:
        >>> net, seen = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), []
        >>> hook = add_hook(net, "0", lambda result: seen.append(result.shape))
        >>> _ = net(torch.ones(5, 4))
        >>> hook.remove()
        >>> seen
        [torch.Size([5, 3])]
    """
    layer = _submodule(module, name)
    if layer is not None:
        return layer.register_forward_hook(partial(_pass_output, callback))
    layer = _submodule(module, name.removesuffix(INPUT))
    if layer is None:
        layers = [path for path, _ in module.named_modules() if path]
        raise ValueError(f"the model has no layer {name!r}; its layers are: {listed(layers)}")
    return layer.register_forward_pre_hook(partial(_pass_arguments, callback), with_kwargs=True)


def _submodule(module: nn.Module, name: str) -> nn.Module | None:
    try:
        return module.get_submodule(name)
    except AttributeError:
        return None


# Named functions, so that a model can be pickled while it has such hooks.
def _pass_output(callback: Callable[[Any], None], module: nn.Module, args: Any, result: Any) -> None:
    callback(result)


def _pass_arguments(callback: Callable[[Any], None], module: nn.Module, args: Any, options: Any) -> None:
    callback((args, options))


def takes_hooks(module: nn.Module) -> bool:
    """Whether a module calls its hooks, which TorchScript modules do not.

    Example:
        >>> takes_hooks(nn.Linear(4, 3))
        True
    """
    return not isinstance(module, torch.jit.ScriptModule)


def listed(names: Sequence[str], at_most: int = 40) -> str:
    """Joins names for a message, at most the first `at_most`.

    Example:
        >>> listed(["conv1", "conv2", "fc"], at_most=2)
        'conv1, conv2 and 1 more'
    """
    more = len(names) - at_most
    return (", ".join(names[:at_most]) or "none") + (f" and {more} more" if more > 0 else "")
