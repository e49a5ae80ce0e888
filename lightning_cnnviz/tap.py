"""Listening to what a model returns while somebody else calls it."""

import weakref
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_cnnviz.capture import first_tensor, looking, scores_in, takes_hooks


class Tap:
    """Listens to what a model returns while somebody else calls it, for one batch.

    Passes of this package's own, under `evaluating`, are not listened to.
    The model's own call counts; if its `forward` is not called (a training step may call a submodule), the last
    of its direct children with parameters (a loss has none) that returned one row per sample, unless it is one of
    several heads: nobody knows whose classes are those of the batch. Nothing is listened to in compiled code.

    Args:
        module: The model.
        samples: Rows that a classifier's output has.
        layer: Listen to this submodule only.
        children: Listen to the children as well, which takes longer the more there are.

    Example:
        >>> import torch
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
        self._heads: list[tuple[nn.Module, weakref.ref[Tensor]]] = []  # and what they received
        self._forked = False
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
                if any(True for _ in child.parameters()) and not hasattr(child, "_orig_mod") and takes_hooks(child)
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
        heads, self._heads = None if self._forked else self._childs, []
        return heads if self._own is None else self._own

    def __getstate__(self) -> dict[str, Any]:
        # A model that is saved while it is listened to takes a deaf tap along.
        nothing = dict.fromkeys(("_own", "_childs", "_error"))
        return {**nothing, "_samples": -1, "_heads": [], "_forked": False, "_handles": []}

    def _hear_own(self, module: nn.Module, args: Any, result: Any) -> None:
        heard = self._rows(result)
        self._own = self._own if heard is None else heard

    def _hear_child(self, module: nn.Module, args: Any, result: Any) -> None:
        heard = self._rows(result)
        if heard is None:
            return
        received = first_tensor(args)
        self._childs = heard
        self._forked = any(other is not module and seen() is received for other, seen in self._heads)
        if received is not None:
            self._heads.append((module, weakref.ref(received)))

    def _rows(self, result: Any) -> Tensor | None:
        try:
            scores = None if looking.get() else scores_in(result, self._samples)
        except Exception as error:  # not in the user's own forward pass
            self._error = error
            return None
        return None if scores is None else scores.detach()
