"""Capturing a model's inputs, scores and activations while the user's code calls it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_cnnviz.model.hooks import add_hook
from lightning_cnnviz.model.output_tap import OutputTap
from lightning_cnnviz.model.outputs import first_tensor, input_in, plain, shares_memory
from lightning_cnnviz.model.torch_internals import is_compiled


class Heard(NamedTuple):
    """What was captured of one batch, on the device on which it ran.

    Attributes:
        inputs: What the model was called with, shape (samples, ...).
        scores: Class scores, shape (samples, ...); None if there are none. See `OutputTap`.
        layers: Layer name → activations of some of the samples. Layers that did not run, or did not return a tensor
            with one row per sample, are missing.
    """

    inputs: Tensor
    scores: Tensor | None
    layers: dict[str, Tensor]


class ForwardTap:
    """Captures what happens to one batch while the user's code calls the model on it.

    Of several calls of the model, the one that received the batch's inputs counts, or else the only one. If a layer
    runs several times in it, its last run counts. If the model's `forward` is not called (a validation step may call
    a submodule), layers that run once count.

    Args:
        module: The model.
        inputs: The batch's inputs, shape (samples, ...).
        layers: Names as in `named_modules`; a name with the suffix `.input` stands for what the layer receives.
        rows: Indices of the samples whose activations are kept. Default: all of them.
        scores: Name of the layer that outputs the class scores. Default: the model itself.
        keep: Takes a layer's name and output and returns what is kept: a copy, as an in-place operation may follow, or
            None for nothing. Default: the activations of the rows, on the CPU.

    Example:
        >>> net, x = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.ones(5, 4)
        >>> tap = ForwardTap(net, x, ["0"], rows=[0, 2])
        >>> _ = net(x)
        >>> tap.close().layers["0"].shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: Tensor,
        layers: Sequence[str] = (),
        rows: Sequence[int] | None = None,
        scores: str | None = None,
        keep: Callable[[str, Tensor], Tensor | None] | None = None,
    ) -> None:
        self.paused = False
        """Whether layers that run are not those of a forward pass, as where a backward pass computes them again."""
        self._inputs = inputs
        self._keep_of = keep
        self._rows = None if rows is None else torch.tensor(rows, dtype=torch.long)
        self._last_row = max(rows or [-1])
        self._received: Tensor | None = None
        self._calls = 0
        self._running = False
        self._matched = False  # whether the last call received the batch's inputs
        self._over = False  # whether such a call has returned
        self._layers: dict[str, Tensor] = {}
        self._runs: dict[str, int] = {}
        self._error: Exception | None = None
        self._scores = OutputTap(module, len(inputs), scores, inputs=inputs)
        self._handles: list[RemovableHandle] = []
        if not is_compiled(module):
            self._handles = [
                module.register_forward_pre_hook(self._enter, with_kwargs=True),
                *(add_hook(module, name, partial(self._keep, name)) for name in layers),
                module.register_forward_hook(self._leave),
            ]

    @property
    def called(self) -> bool:
        """Whether the model's `forward` has been called, rather than only submodules."""
        return self._calls > 0

    @property
    def matched(self) -> bool:
        """Whether a call of the model received the batch's inputs."""
        return self._over

    def close(self) -> Heard | None:
        """Stops capturing; returns None if several calls of the model may have been that of the batch.

        Raises:
            Exception: What inspecting an input or output raised.
        """
        for handle in self._handles:
            handle.remove()
        scores = self._scores.close()
        if self._error is not None:
            raise self._error
        if self._calls > 1 and not self._matched:
            return None
        layers = self._layers
        if self._calls == 0:
            layers = {name: tensor for name, tensor in layers.items() if self._runs[name] == 1}
        return Heard(self._inputs if self._received is None else self._received, scores, layers)

    def __getstate__(self) -> dict[str, Any]:
        # A model that is copied or saved while capturing gets an inactive tap.
        inactive: dict[str, Any] = dict.fromkeys(("_inputs", "_rows", "_received", "_error", "_scores", "_keep_of"))
        return {
            **inactive,
            "paused": False,
            "_calls": 0,
            "_last_row": 0,
            "_running": False,
            "_over": True,
            "_matched": False,
            "_layers": {},
            "_runs": {},
            "_handles": [],
        }

    def _enter(self, module: nn.Module, args: Any, options: Any) -> None:
        if self._over:
            return
        try:
            self._calls += 1
            self._running = True
            self._matched = shares_memory(self._inputs, (args, options))
            self._layers.clear()
            received = input_in((args, options), len(self._inputs))
            if received is not None:  # a copy: an in-place operation may follow
                received = plain(received.detach().clone())
            self._received = received
        except Exception as error:  # raised in `close`, not in the user's forward pass
            self._error = error

    def _leave(self, module: nn.Module, args: Any, result: Any) -> None:
        self._running = False
        self._over = self._over or self._matched

    def _keep(self, name: str, value: Any) -> None:
        if self.paused or self._over or (self._calls and not self._running):  # not a part of the call that counts
            return
        try:
            self._runs[name] = self._runs.get(name, 0) + 1
            tensor = first_tensor(value)
            fits = tensor is not None and tensor.ndim >= 1 and len(tensor) == len(self._inputs) > self._last_row
            if tensor is not None and fits:
                kept = self._rows_of(tensor) if self._keep_of is None else self._keep_of(name, tensor)
                if kept is not None:
                    self._layers[name] = kept
        except Exception as error:
            self._error = error

    def _rows_of(self, tensor: Tensor) -> Tensor:
        tensor = plain(tensor.detach())
        rows = tensor if self._rows is None else tensor[self._rows.to(tensor.device)]
        return rows.to("cpu", copy=True)  # a copy: an in-place layer may follow
