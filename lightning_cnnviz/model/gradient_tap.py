"""Capturing activations of a training batch, and the gradients that the training's own backward pass gives them."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle, unserializable_hook

from lightning_cnnviz.model.forward_tap import ForwardTap
from lightning_cnnviz.model.hooks import INPUT, takes_hooks
from lightning_cnnviz.model.outputs import plain, shares_memory
from lightning_cnnviz.model.sharding import is_shard


class HeardGradients(NamedTuple):
    """What was captured of the first rows of one batch, on the CPU.

    Attributes:
        inputs: What the model was called with, shape (samples, ...); where it was not, the batch's inputs.
        scores: Class scores, shape (samples, ...); None if there are none. See `OutputTap`.
        layers: Layer name → activations, and the gradient with respect to them. Layers that got no gradient, several
            of them, or whose rows are not known to be those of the inputs, are missing.
        in_batch: Whether the inputs are those of the batch, row by row.
    """

    inputs: Tensor
    scores: Tensor | None
    layers: dict[str, tuple[Tensor, Tensor]]
    in_batch: bool


class GradientTap:
    """Captures activations and gradients while the user's code runs one batch forward and backward.

    A gradient counts if it arrives between `begin_backward` and `end_backward`, once. Which call of the model counts,
    and which run of a layer, is as in `ForwardTap`; layers that the backward pass runs again are ignored. Where the
    model's `forward` is not called, a layer counts if it, or a module around it, received the batch's inputs in its
    only call.

    Args:
        module: The model.
        inputs: The batch's inputs, shape (samples, ...).
        layers: Layer name, as in `ForwardTap` → what is kept of the rows of its output, as a function of them.
        rows: Number of samples that are kept, starting from the first.
        scores: Name of the layer that outputs the class scores. Default: the model itself.

    Example:
        >>> import torch
        >>> net, x = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.ones(5, 4)
        >>> tap = GradientTap(net, x, {"0": lambda rows: rows[:, :2]}, rows=1)
        >>> loss = net(x)[:, 0].sum()
        >>> tap.begin_backward()
        >>> loss.backward()
        >>> tap.end_backward()
        >>> tap.close().layers["0"][1].shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Tensor,
        layers: Mapping[str, Callable[[Tensor], Tensor]],
        rows: int,
        scores: str | None = None,
    ) -> None:
        self.seconds = 0.0
        """Time that copying took within the passes, in seconds."""
        parts = {name: part for name, part in module.named_modules() if takes_hooks(part)}
        self._parts = {name: keep for name, keep in layers.items() if name.removesuffix(INPUT) in parts}
        self._inputs, self._rows = inputs, min(rows, len(inputs))
        self._scale: Tensor | None = None
        self._in_backward = False
        self._gradients: dict[str, list[Tensor]] = {}
        self._calls: dict[str, list[bool]] = {}  # of modules: whether each received the batch's inputs
        self._error: Exception | None = None
        self._handles: list[RemovableHandle] = []
        self._forward = ForwardTap(module, inputs, list(self._parts), list(range(self._rows)), scores, self._keep)
        for name in {name for layer in self._parts for name in _around(layer) if name in parts}:
            hook = partial(self._enter, name)
            self._handles.append(parts[name].register_forward_pre_hook(hook, with_kwargs=True))

    def begin_backward(self, scale: Tensor | None = None) -> None:
        """Says that a loss is about to be propagated back.

        Args:
            scale: Factor by which it is scaled (mixed precision), a scalar. Default: it is not.
        """
        self._scale = scale
        self._in_backward = self._forward.paused = True

    def end_backward(self) -> None:
        """Says that a loss has been propagated back."""
        self._in_backward = self._forward.paused = False

    def close(self) -> HeardGradients | None:
        """Stops capturing; returns None if several calls of the model may have been that of the batch.

        Raises:
            Exception: What inspecting an input, an output or a gradient raised.
        """
        for handle in self._handles:
            handle.remove()
        self._in_backward = False
        gradients, self._gradients = self._gradients, {}
        heard = self._forward.close()
        if self._error is not None:
            raise self._error
        if heard is None:
            return None
        called = self._forward.called
        found = {
            name: (activations, gradients[name][0])
            for name, activations in heard.layers.items()
            if len(gradients.get(name, ())) == 1 and (called or self._received_inputs(name))
        }
        inputs, scores = heard.inputs, heard.scores
        first = slice(self._rows)
        return HeardGradients(
            inputs.detach()[first].to("cpu", copy=True),
            None if scores is None else scores.detach()[first].to("cpu", copy=True),
            found,
            self._forward.matched or not called,
        )

    def __getstate__(self) -> dict[str, Any]:
        # A model that is copied or saved while capturing gets an inactive tap.
        empty: dict[str, Any] = dict.fromkeys(("_inputs", "_scale", "_error", "_forward"))
        return {
            **empty,
            "seconds": 0.0,
            "_rows": 0,
            "_parts": {},
            "_in_backward": False,
            "_gradients": {},
            "_calls": {},
            "_handles": [],
        }

    def _enter(self, name: str, module: nn.Module, args: Any, options: Any) -> None:
        if self._in_backward or self._inputs is None:
            return
        try:
            self._calls.setdefault(name, []).append(shares_memory(self._inputs, (args, options)))
        except Exception as error:  # raised in `close`, not in the user's forward pass
            self._error = error

    def _received_inputs(self, layer: str) -> bool:
        return any(self._calls.get(name) == [True] for name in _around(layer))

    def _keep(self, name: str, tensor: Tensor) -> Tensor | None:
        self._gradients.pop(name, None)
        if not tensor.requires_grad or tensor.is_complex() or is_shard(tensor):
            return None
        received = self._gradients[name] = []  # that of an earlier run is let go
        hook = unserializable_hook(partial(self._receive, name, received))  # type: ignore[no-untyped-call]
        self._handles.append(tensor.register_hook(hook))  # type: ignore[no-untyped-call]
        return self._copy(name, tensor)

    def _receive(self, name: str, received: list[Tensor], gradient: Tensor | None) -> None:
        if gradient is None or not self._in_backward:  # then it is of another quantity than the loss
            return
        try:
            copy = self._copy(name, gradient)
            received.append(copy if self._scale is None else copy / self._scale.to(copy.device))
        except Exception as error:  # raised in `close`, not in the user's backward pass
            self._error = error

    def _copy(self, name: str, tensor: Tensor) -> Tensor:
        start = time.perf_counter()
        rows = plain(tensor.detach())[: self._rows].float()
        copy = self._parts[name](rows).to("cpu", copy=True)
        self.seconds += time.perf_counter() - start
        return copy


def _around(layer: str) -> list[str]:
    """A layer's name and those of the modules around it, without the model itself."""
    parts = layer.removesuffix(INPUT).split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
