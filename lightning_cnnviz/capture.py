"""Looking into a model without a trace: hooks for one forward pass, guards of modes, buffers and randomness."""

import inspect
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

from lightning_cnnviz.batch import are_scores

INPUT = ".input"
"""Behind a layer's name: what the layer receives instead of what it returns."""


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


looking: ContextVar[bool] = ContextVar("looking", default=False)
"""Whether the pass that runs is one of ours, which nobody counts as the model's."""


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each submodule's own mode, the buffers and random states come back.

    Raises:
        ValueError: If a layer still waits for its first input to know its size: a look must not be that.
    """
    if awaits_input(module):
        raise ValueError("the model has lazy layers, which have no sizes before the first batch has passed")
    modules = list(module.modules())
    modes = [submodule.training for submodule in modules]
    registered = [dict(part._buffers) if takes_hooks(part) else {} for part in modules]  # scripted ones never change
    # What was made in inference mode, in which Lightning validates, can't be written to outside of it.
    changeable = [buffer for buffer in module.buffers() if not buffer.is_inference()]
    values = [(buffer, buffer._version, buffer.detach().clone()) for buffer in changeable]
    token = looking.set(True)
    try:
        with isolated_rng(), torch.no_grad():
            for submodule in modules:  # not `.eval()`: users override it, and it would set frozen parts free
                submodule.training = False
            yield
    finally:
        looking.reset(token)
        for submodule, mode, buffers in zip(modules, modes, registered, strict=True):
            submodule.training = mode
            if buffers:
                submodule._buffers.update(buffers)
        with torch.no_grad():
            for buffer, version, value in values:
                if buffer._version != version:
                    buffer.resize_(value.shape).copy_(value)


def awaits_input(module: nn.Module) -> bool:
    """Whether the model has layers such as `nn.LazyLinear` that have not run yet.

    Example:
        >>> awaits_input(nn.LazyLinear(3)), awaits_input(nn.Linear(4, 3))
        (True, False)
    """
    return any(map(is_lazy, module.parameters())) or any(map(is_lazy, module.buffers()))


@contextmanager
def unfused_attention() -> Iterator[None]:
    """Transformers run through their parts: hooks see nothing of what the fused kernels for evaluation do."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def check_one_input(module: nn.Module) -> None:
    """Raises ValueError if a model can't be called with one input.

    Example:
        >>> check_one_input(nn.Linear(2, 1))
    """
    signature = inspect.signature(module.forward)
    try:
        signature.bind(None)
    except TypeError:
        raise ValueError(
            f"forward({', '.join(signature.parameters)}) takes more than one input, so nothing can be shown of what "
            "is inside; give all but the first a default"
        ) from None


class Activations(NamedTuple):
    """What one pass showed, on the CPU.

    Attributes:
        output: What the model returned: class scores (see `scores_in`) or else its first tensor; None for a single
            number.
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
        {
            name: torch.cat([part.layers[name] for part in parts])
            for name in layers
            if all(name in part.layers for part in parts)
        },
    )


def _record(module: nn.Module, inputs: Tensor, layers: Sequence[str]) -> Activations:
    seen: dict[str, Tensor] = {}

    def keep(name: str, value: Any) -> None:
        tensor = first_tensor(value)
        if tensor is not None and tensor.ndim >= 1 and len(tensor) == len(inputs):
            seen[name] = tensor.detach().to("cpu", copy=True)  # a copy: an in-place layer may follow

    with ExitStack() as stack:
        for name in layers:
            stack.callback(listen(module, name, partial(keep, name)).remove)
        stack.enter_context(evaluating(module))
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(unfused_attention())
        result = module(inputs)
        scores = scores_in(result, len(inputs))
        output = first_tensor(result) if scores is None else scores
    if output is None or output.ndim == 0:
        return Activations(None, seen)
    return Activations(output.detach().to("cpu", copy=True), seen)


def listen(module: nn.Module, name: str, hear: Callable[[Any], None]) -> RemovableHandle:
    """Has `hear` called with what a layer returns whenever it runs; the caller removes the hook.

    Args:
        module: The model.
        name: As in `named_modules`; with `.input` behind it, `hear` gets the arguments that the layer receives.
        hear: Takes a tensor or any nesting of tensors; has to return None.
    """
    named: dict[str, nn.Module] = dict(module.named_modules())
    if name.endswith(INPUT) and name not in named:
        return named[name.removesuffix(INPUT)].register_forward_pre_hook(lambda _, args: hear(args))
    return named[name].register_forward_hook(lambda _, __, result: hear(result))


def takes_hooks(module: nn.Module) -> bool:
    """Whether a module can be listened to: what TorchScript runs can't be."""
    return not isinstance(module, torch.jit.ScriptModule)


def first_tensor(value: Any) -> Tensor | None:
    """The tensor that a layer or model returned: itself, or the first in a tuple, list or mapping."""
    return value if isinstance(value, Tensor) else next(_tensors(value), None)


def scores_in(value: Any, samples: int) -> Tensor | None:
    """The first tensor in what a model returned that may be class scores, one called `logits` before the others.

    Example:
        >>> output = {"loss": torch.tensor(0.7), "logits": torch.zeros(5, 3)}
        >>> scores_in(output, samples=5).shape
        torch.Size([5, 3])
    """
    if isinstance(value, Tensor):  # as most models do
        return value if are_scores(value, samples) else None
    named = value.get("logits") if isinstance(value, Mapping) else getattr(value, "logits", None)
    for tensor in _tensors((named, value)):
        if are_scores(tensor, samples):
            return tensor
    return None


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    else:
        parts = value.values() if hasattr(value, "values") else value if isinstance(value, (tuple, list)) else ()
        for part in parts:
            yield from _tensors(part)
