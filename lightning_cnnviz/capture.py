"""Looking into a model without a trace: hooks for one forward pass, guards of modes, buffers and randomness."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

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


_looking: ContextVar[bool] = ContextVar("_looking", default=False)
"""Whether the pass that runs is one of ours, which nobody counts as the model's."""


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each submodule's own mode, the buffers and random states come back."""
    modules = list(module.modules())
    modes = [submodule.training for submodule in modules]
    registered = [dict(submodule._buffers) for submodule in modules]
    # What was made in inference mode, in which Lightning validates, can't be written to outside of it.
    changeable = [buffer for buffer in module.buffers() if not buffer.is_inference()]
    values = [(buffer, buffer._version, buffer.detach().clone()) for buffer in changeable]
    looking = _looking.set(True)
    try:
        with isolated_rng(), torch.no_grad():
            for submodule in modules:  # not `.eval()`: users override it, and it would set frozen parts free
                submodule.training = False
            yield
    finally:
        _looking.reset(looking)
        for submodule, mode, buffers in zip(modules, modes, registered, strict=True):
            submodule.training = mode
            submodule._buffers.update(buffers)
        with torch.no_grad():
            for buffer, version, value in values:
                if buffer._version != version:
                    buffer.copy_(value)


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


def first_tensor(value: Any) -> Tensor | None:
    """The tensor that a layer or model returned: itself, or the first in a tuple, list or mapping."""
    return next(_tensors(value), None)


def scores_in(value: Any, samples: int) -> Tensor | None:
    """The first tensor in what a model returned that may be class scores, one called `logits` before the others.

    Example:
        >>> output = {"loss": torch.tensor(0.7), "logits": torch.zeros(5, 3)}
        >>> scores_in(output, samples=5).shape
        torch.Size([5, 3])
    """
    if isinstance(value, Tensor):  # as most models do
        named = None
    else:
        named = value.get("logits") if isinstance(value, Mapping) else getattr(value, "logits", None)
    for tensor in _tensors((named, value)):
        if tensor.is_floating_point() and tensor.ndim in (1, 2) and len(tensor) == samples:
            return tensor
    return None


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    else:
        parts = value.values() if hasattr(value, "values") else value if isinstance(value, (tuple, list)) else ()
        for part in parts:
            yield from _tensors(part)


class Tap:
    """Listens to what a model returns while somebody else calls it, for one batch.

    Passes of this package's own, under `evaluating`, are not listened to.
    The model's own call counts; if its `forward` is not called (a training step may call a submodule), the last
    of its direct children with parameters (a loss has none) that returned one row per sample. Nothing is listened
    to in compiled code.

    Args:
        module: The model.
        samples: Rows that a classifier's output has.
        layer: Listen to this submodule only.
        children: Listen to the children as well, which takes longer the more there are.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3))
        >>> tap = Tap(net, samples=5)
        >>> _ = net(torch.ones(5, 4))
        >>> tap.close().shape
        torch.Size([5, 3])
    """

    def __init__(self, module: nn.Module, samples: int, layer: str | None = None, children: bool = True) -> None:
        self._samples = samples
        self._own: Tensor | None = None
        self._childs: Tensor | None = None
        self._handles: list[RemovableHandle] = []
        self._error: Exception | None = None
        if getattr(module, "_compiler_ctx", None) is not None:
            return
        target = module.get_submodule(layer) if layer else module
        self._handles = [target.register_forward_hook(self._hear_own)]
        if layer is None and children:
            self._handles += [
                child.register_forward_hook(self._hear_child)
                for child in module.children()
                if any(True for _ in child.parameters()) and not hasattr(child, "_orig_mod")
            ]

    @property
    def heard_own(self) -> bool:
        """Whether it was the model's own call, or that of the layer, that was heard."""
        return self._own is not None

    def close(self) -> Tensor | None:
        """Stops listening; returns the detached output, None if there was none with one row per sample.

        Raises what looking at an output raised.
        """
        for handle in self._handles:
            handle.remove()
        if self._error is not None:
            raise self._error
        return self._childs if self._own is None else self._own

    def __getstate__(self) -> dict[str, Any]:
        # A model that is saved while it is listened to takes a deaf tap along.
        return {"_samples": -1, "_own": None, "_childs": None, "_handles": [], "_error": None}

    def _hear_own(self, module: nn.Module, args: Any, result: Any) -> None:
        heard = self._rows(result)
        self._own = self._own if heard is None else heard

    def _hear_child(self, module: nn.Module, args: Any, result: Any) -> None:
        heard = self._rows(result)
        self._childs = self._childs if heard is None else heard

    def _rows(self, result: Any) -> Tensor | None:
        try:
            scores = None if _looking.get() else scores_in(result, self._samples)
        except Exception as error:  # not in the user's own forward pass
            self._error = error
            return None
        return None if scores is None else scores.detach()
