"""Capturing a model's output while the user's code calls it."""

import weakref
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_cnnviz.data.image_axes import ImageAxes
from lightning_cnnviz.model.hooks import takes_hooks
from lightning_cnnviz.model.layers import CONVOLUTIONS
from lightning_cnnviz.model.outputs import first_tensor, plain, scores_in, shares_memory
from lightning_cnnviz.model.torch_internals import is_compiled


class OutputTap:
    """Captures the class scores that a model returns for one batch while the user's code calls it.

    The output of the model's own call counts. If its `forward` is not called (a training step may call a submodule),
    the output of the last direct child with parameters (a loss has none) that returned one row per sample counts,
    unless it is one of several heads, since it is unknown which of them predicts the batch's classes. Nothing is
    captured within compiled code, but a child that `torch.compile` has returned is captured as a whole.

    Args:
        module: The model.
        samples: Number of samples in the batch, i.e. rows of the scores.
        layer: Capture this submodule only.
        children: Capture the children as well, at a cost that grows with their number.
        inputs: The batch's inputs. Of several calls of the model, the one that received them counts.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(4, 3))
        >>> tap = OutputTap(net, samples=5)
        >>> _ = net(torch.ones(5, 4))
        >>> tap.close().shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        module: nn.Module,
        samples: int,
        layer: str | None = None,
        children: bool = True,
        inputs: Tensor | None = None,
    ) -> None:
        self._samples = samples
        self._inputs = inputs
        self._received_inputs = False
        self._own_scores: Tensor | None = None
        self._child_scores: Tensor | None = None
        self._heads: list[tuple[nn.Module, weakref.ref[Tensor]]] = []  # with their inputs
        self._several_heads = False
        self._handles: list[RemovableHandle] = []
        self._error: Exception | None = None
        self._images = ImageAxes.of(module)
        self._axes: ImageAxes | None = None  # while they are to be settled
        if is_compiled(module):
            return
        target = module.get_submodule(layer) if layer else module
        self._handles = [target.register_forward_hook(self._capture_own, with_kwargs=True)]
        if layer is None and children:
            self._handles += [
                child.register_forward_hook(self._capture_child)
                for child in module.children()
                if any(True for _ in child.parameters()) and takes_hooks(child)
            ]

        if inputs is not None and self._images.wants(inputs):
            self._axes = self._images
            parts = [part for part in module.modules() if isinstance(part, CONVOLUTIONS) and takes_hooks(part)]
            self._handles += [part.register_forward_pre_hook(self._settle_axes) for part in parts]

    @property
    def captured_own(self) -> bool:
        """Whether the scores are from the model's own call, or that of the layer, rather than a child's."""
        return self._own_scores is not None

    def planes(self, inputs: Tensor) -> Tensor:
        """Returns the batch's inputs, of images with the channels first as far as that is certain."""
        return self._images.planes(inputs)

    def close(self) -> Tensor | None:
        """Stops capturing and returns the scores, detached; None if no output has one row per sample.

        Raises:
            Exception: What inspecting an output raised.
        """
        for handle in self._handles:
            handle.remove()
        if self._axes is not None and self._inputs is not None:
            self._axes.settle(self._inputs, None)
        if self._error is not None:
            raise self._error
        heads, self._heads = None if self._several_heads else self._child_scores, []
        return heads if self._own_scores is None else self._own_scores

    def __getstate__(self) -> dict[str, Any]:
        # A model that is copied or saved while capturing gets an inactive tap.
        empty = dict.fromkeys(("_own_scores", "_child_scores", "_error", "_axes"))
        inactive: dict[str, Any] = {"_samples": -1, "_inputs": None, "_received_inputs": False, "_heads": []}
        return {**empty, **inactive, "_several_heads": False, "_handles": [], "_images": ImageAxes()}

    def _settle_axes(self, module: nn.Module, args: Any) -> None:
        """Settles the order of the images' axes by what the first convolution receives."""
        axes = self._axes
        if axes is None or self._inputs is None:
            return
        try:
            received = first_tensor(args)
            if received is not None and _is_concrete(received) and len(received) == self._samples:
                self._axes = None
                axes.settle(self._inputs, plain(received))
        except Exception as error:  # raised in `close`, not in the user's forward pass
            self._error = error

    def _capture_own(self, module: nn.Module, args: Any, options: Any, result: Any) -> None:
        scores = self._class_scores(result)
        if scores is None or not _is_concrete(scores):
            return
        received = self._inputs is not None and shares_memory(self._inputs, (args, options))
        if received or not self._received_inputs:  # otherwise another pass, e.g. of a baseline
            self._own_scores = scores
        self._received_inputs |= received

    def _capture_child(self, module: nn.Module, args: Any, result: Any) -> None:
        scores = self._class_scores(result)
        if scores is None or not _is_concrete(scores):
            return
        try:
            received = first_tensor(args)
        except Exception as error:  # raised in `close`, not in the user's forward pass
            self._error = error
            return
        self._child_scores = scores
        self._several_heads = any(other is not module and seen() is received for other, seen in self._heads)
        if received is not None:
            self._heads.append((module, weakref.ref(received)))

    def _class_scores(self, result: Any) -> Tensor | None:
        try:
            scores = scores_in(result, self._samples)
        except Exception as error:  # raised in `close`, not in the user's forward pass
            self._error = error
            return None
        return None if scores is None else plain(scores.detach())


def _is_concrete(scores: Tensor) -> bool:
    """Whether a tensor may be kept: those within a transform of `torch.func` end with it."""
    try:
        return scores.data_ptr() != 0 or scores.numel() == 0
    except RuntimeError:
        return False
