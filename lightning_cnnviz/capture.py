"""Looking into a model without leaving a trace: choose layers, run one forward pass, read activations."""

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.hooks import RemovableHandle

INPUT = ".input"
"""Behind a layer's name: what the layer receives instead of what it returns."""


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
    }


def layers_with_weights(module: nn.Module, fewest_dimensions: int) -> list[str]:
    """Names of the layers with a weight of at least so many dimensions: two leave out normalisation layers."""
    found = _weights_by_layer(module).items()
    return [name for name, weights in found if any(part.ndim >= fewest_dimensions for part in weights.values())]


def _weights_by_layer(module: nn.Module) -> dict[str, dict[str, nn.Parameter]]:
    found: dict[str, dict[str, nn.Parameter]] = {}
    for path, parameter in module.named_parameters():
        layer, _, name = path.replace(".parametrizations.", ".", 1).rpartition(".")
        if ".parametrizations." in path:  # layer.parametrizations.weight.original
            layer, _, part = layer.rpartition(".")
            name = f"{part}.{name}"
        if layer and "weight" in name and not isinstance(parameter, nn.UninitializedParameter):
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


def _listed(names: Sequence[str], at_most: int = 40) -> str:
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")


@contextmanager
def isolated_rng() -> Iterator[None]:
    """Puts the random states of Python, NumPy and PyTorch (all devices in use) back afterwards."""
    python, array = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each submodule's own mode, the buffers and random states come back."""
    modules = list(module.modules())
    modes = [submodule.training for submodule in modules]
    registered = [dict(submodule._buffers) for submodule in modules]
    values = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    try:
        with isolated_rng(), torch.no_grad():
            for submodule in modules:  # not `.eval()`: users override it, and it would set frozen parts free
                submodule.training = False
            yield
    finally:
        for submodule, mode, buffers in zip(modules, modes, registered, strict=True):
            submodule.training = mode
            submodule._buffers.update(buffers)
        with torch.no_grad():
            for buffer, value in values:
                buffer.copy_(value)


class Activations(NamedTuple):
    """What one pass showed, on the CPU.

    Attributes:
        output: What the model returned, if that is a tensor (or its first tensor); else None.
        layers: Layer name → activations of shape (samples, ...). Layers that did not run, or did not give a
            tensor with one row per sample, are missing.
    """

    output: Tensor | None
    layers: dict[str, Tensor]


def record(module: nn.Module, inputs: Tensor, layers: Sequence[str], batch_size: int = 64) -> Activations:
    """Runs the model in evaluation mode and returns the activations of some layers.

    The model is left as it was: modes, buffers, random states, hooks. A compiled model runs uncompiled, since
    hooks do not reach compiled code. Of a layer that runs several times in a pass the last run counts.

    Args:
        module: The model; called as `module(inputs)`.
        inputs: Shape (samples, ...), on the model's device.
        layers: Names as in `named_modules`; a name with `.input` behind it stands for what the layer receives.
        batch_size: Samples that are passed at once.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> record(net, torch.ones(5, 4), ["1"]).layers["1"].shape
        torch.Size([5, 3])
    """
    parts = [_record(module, chunk, layers) for chunk in torch.split(inputs, batch_size)]
    outputs = [part.output for part in parts if part.output is not None]
    return Activations(
        torch.cat(outputs) if len(outputs) == len(parts) else None,
        {name: torch.cat([part.layers[name] for part in parts]) for name in parts[0].layers},
    )


def _record(module: nn.Module, inputs: Tensor, layers: Sequence[str]) -> Activations:
    seen: dict[str, Tensor] = {}

    def keep(name: str, value: Any) -> None:
        tensor = first_tensor(value)
        if tensor is not None and tensor.ndim >= 1 and len(tensor) == len(inputs):
            seen[name] = tensor.detach().to("cpu", copy=True)  # a copy: an in-place layer may follow

    named = dict(module.named_modules())
    with ExitStack() as stack:
        for name in layers:
            if name.endswith(INPUT) and name not in named:
                layer = named[name.removesuffix(INPUT)]
                handle = layer.register_forward_pre_hook(lambda _, args, name=name: keep(name, args))
            else:
                handle = named[name].register_forward_hook(lambda _, __, result, name=name: keep(name, result))
            stack.callback(handle.remove)
        stack.enter_context(evaluating(module))
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        output = first_tensor(module(inputs))
    return Activations(None if output is None else output.detach().to("cpu", copy=True), seen)


def first_tensor(value: Any) -> Tensor | None:
    """The tensor that a layer or model returned: itself, or the first in a tuple, list or mapping."""
    if isinstance(value, Tensor):
        return value
    parts = value.values() if hasattr(value, "values") else value if isinstance(value, (tuple, list)) else ()
    return next((tensor for tensor in map(first_tensor, parts) if tensor is not None), None)


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
    trail: list[tuple[str, Tensor | None, Tensor | None]] = []
    leaves = {name: leaf for name, leaf in module.named_modules() if name and not list(leaf.children())}

    def keep(name: str, received: Any, returned: Any) -> None:
        trail.append((name, _flat_copy(received), _flat_copy(returned)))

    with ExitStack() as stack:
        for name, leaf in leaves.items():
            hook = leaf.register_forward_hook(lambda _, args, result, name=name: keep(name, args, result))
            stack.callback(hook.remove)
        record(module, inputs, [])
    weighted = [
        at for at, (name, *_) in enumerate(trail) if getattr(getattr(leaves[name], "weight", None), "ndim", 0) >= 2
    ]
    if not weighted:
        raise ValueError("expected a layer with a weight matrix, but none ran; name layers with layers=...")
    head, embedding, _ = trail[weighted[-1]]
    for name, _, returned in trail[: weighted[-1]]:
        if embedding is not None and returned is not None and torch.equal(embedding, returned):
            return name
    return head + INPUT


def _flat_copy(value: Any, at_most: int = 2**16) -> Tensor | None:
    """One row per sample; None where the rows are too long to be an embedding, which saves the memory."""
    tensor = first_tensor(value)
    if tensor is None or tensor.ndim < 1 or tensor.numel() > at_most * len(tensor):
        return None
    return tensor.detach().flatten(1).clone() if tensor.ndim > 1 else tensor.detach().clone()


class Tap:
    """Listens to what a model returns while somebody else calls it, for one batch.

    The model's own call counts; if its `forward` is not called (a training step may call a submodule), the last
    of its direct children that returned one row per sample. Nothing is listened to in compiled code.

    Args:
        module: The model.
        samples: Rows that a classifier's output has.
        layer: Listen to this submodule only.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3))
        >>> tap = Tap(net, samples=5)
        >>> _ = net(torch.ones(5, 4))
        >>> tap.close().shape
        torch.Size([5, 3])
    """

    def __init__(self, module: nn.Module, samples: int, layer: str | None = None) -> None:
        self._samples = samples
        self._own: Tensor | None = None
        self._childs: Tensor | None = None
        self._handles: list[RemovableHandle] = []
        if getattr(module, "_compiler_ctx", None) is not None:
            return
        children = [] if layer else [child for child in module.children() if not hasattr(child, "_orig_mod")]
        target = module.get_submodule(layer) if layer else module
        self._handles = [target.register_forward_hook(self._hear_own)]
        self._handles += [child.register_forward_hook(self._hear_child) for child in children]

    def close(self) -> Tensor | None:
        """Stops listening; returns the detached output, None if there was none with one row per sample."""
        for handle in self._handles:
            handle.remove()
        return self._childs if self._own is None else self._own

    def __getstate__(self) -> dict[str, Any]:
        # A model that is saved while it is listened to takes a deaf tap along.
        return {"_samples": -1, "_own": None, "_childs": None, "_handles": []}

    def _hear_own(self, module: nn.Module, args: Any, result: Any) -> None:
        heard = self._rows(result)
        self._own = self._own if heard is None else heard

    def _hear_child(self, module: nn.Module, args: Any, result: Any) -> None:
        heard = self._rows(result)
        self._childs = self._childs if heard is None else heard

    def _rows(self, result: Any) -> Tensor | None:
        tensor = first_tensor(result)
        fits = tensor is not None and tensor.is_floating_point() and tensor.ndim in (1, 2)
        return tensor.detach() if tensor is not None and fits and len(tensor) == self._samples else None
