"""A buffer of tensors from several steps, which are then processed together."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_cnnviz.model.torch_internals import copy_all

MAX_STEPS = 32
"""Maximum number of steps in the buffer."""
MAX_ELEMENTS = 4_000_000
"""Maximum number of elements in the buffer, 16 MB in single precision; larger tensors are not buffered."""


class StepBuffer:
    """Copies the tensors of consecutive steps and passes them on together.

    Code that has just run (warm caches) is several times faster, and a whole training step lies between two calls:
    copying a small network's gradients now and reading 32 steps of them later takes half the time of reading each
    step. Tensors are copied because dataloaders and optimizers reuse memory.

    Args:
        read: Called with the copies, a list of tensors of shape (steps, ...), which it may modify. The steps of a
            tensor are those in which it was present, so that their number may differ.

    Example:
        >>> buffer = StepBuffer(lambda copies: print([copy.tolist() for copy in copies]))
        >>> one = torch.tensor([1, 7])
        >>> [buffer.add([step * one, one if step != 2 else None]) for step in range(4)]
        [False, True, True, True]
        >>> buffer.read()
        [[[1, 7], [2, 14], [3, 21]], [[1, 7], [1, 7]]]
    """

    def __init__(self, read: Callable[[list[Tensor]], None]) -> None:
        self._read = read
        self._kinds: list[tuple[torch.Size, torch.dtype, torch.device] | None] = []
        self._storage: list[Tensor | None] = []
        self._slots: list[Sequence[Tensor]] = []
        self._filled: list[int] = []
        self._full = False
        self._inference = False

    def add(self, tensors: Sequence[Tensor | None]) -> bool:
        """Copies a step's tensors, which must be dense and detached; None for one that is not present in this step.

        If shapes, dtypes or devices differ from those of earlier steps, the buffer is read first.

        Returns:
            Whether they were copied. False means that the caller must read them now: they are too large, or the first
            of their shapes, dtypes and devices.
        """
        if self._full:
            self.read()
        if not self._fits(tensors):
            return False
        if not self._storage and not self._allocate():
            return False
        places = [place for place, tensor in enumerate(tensors) if tensor is not None]
        if places:
            slots = [self._slots[place][self._filled[place]] for place in places]
            copy_all(slots, [tensor for tensor in tensors if tensor is not None])
        for place in places:
            self._filled[place] += 1
            self._full = self._full or self._filled[place] == len(self._slots[place])
        return True

    def read(self) -> None:
        """Passes on the buffered steps; if that fails, they are lost."""
        filled = self._filled
        self.clear()
        copies = [part[:steps] for part, steps in zip(self._storage, filled, strict=False) if part is not None]
        if any(filled):
            self._read(copies)

    def clear(self) -> None:
        """Discards the buffered steps."""
        self._filled, self._full = [0] * len(self._kinds), False

    def _fits(self, tensors: Sequence[Tensor | None]) -> bool:
        """Whether tensors are like those of earlier steps; if not, the buffer is read, and begins anew with them."""
        kinds = [None if tensor is None else (tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
        same_mode = torch.is_inference_mode_enabled() == self._inference
        if same_mode and len(kinds) == len(self._kinds):
            if all(kind is None or kind == known for kind, known in zip(kinds, self._kinds, strict=True)):
                return True
            kinds = [known if kind is None else kind for kind, known in zip(kinds, self._kinds, strict=True)]
        self.read()
        self._inference = torch.is_inference_mode_enabled()
        self._kinds, self._storage, self._slots = kinds, [], []
        self._filled = [0] * len(kinds)
        return False

    def _allocate(self) -> bool:
        elements = sum(kind[0].numel() for kind in self._kinds if kind is not None)
        steps = min(MAX_STEPS, MAX_ELEMENTS // max(1, elements))
        if steps > 1:
            self._storage = [
                None if kind is None else torch.empty(steps, *kind[0], dtype=kind[1], device=kind[2])
                for kind in self._kinds
            ]
            self._slots = [() if copies is None else copies.unbind() for copies in self._storage]
        return steps > 1

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kinds": [], "_storage": [], "_slots": [], "_filled": [], "_full": False}
