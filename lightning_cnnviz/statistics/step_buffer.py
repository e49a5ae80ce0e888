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
        read: Called with the copies, a list of tensors of shape (steps, ...), which it may modify.

    Example:
        >>> buffer = StepBuffer(lambda copies: print(copies[0].tolist()))
        >>> [buffer.add([torch.tensor([step, 7])]) for step in range(4)]
        [False, True, True, True]
        >>> buffer.read()
        [[1, 7], [2, 7], [3, 7]]
    """

    def __init__(self, read: Callable[[list[Tensor]], None]) -> None:
        self._read = read
        self._signature: list[Any] = []
        self._storage: list[Tensor] = []
        self._slots: list[list[Tensor]] = []
        self._steps = 0

    def add(self, tensors: list[Tensor]) -> bool:
        """Copies a step's tensors, which must be dense and detached.

        If shapes, dtypes or devices differ from those of the last step, the buffer is read first.

        Returns:
            Whether they were copied. False means that the caller must read them now: they are too large, or the first
            of their shapes, dtypes and devices.
        """
        signature = [
            torch.is_inference_mode_enabled(),
            *[(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors],
        ]
        if signature != self._signature:
            self.read()
            self._signature, self._storage, self._slots = signature, [], []
            return False
        if not self._storage and not self._allocate(tensors):
            return False
        copy_all(self._slots[self._steps], tensors)
        self._steps += 1
        if self._steps == len(self._slots):
            self.read()
        return True

    def read(self) -> None:
        """Passes on the buffered steps; if that fails, they are lost."""
        steps, self._steps = self._steps, 0
        if steps:
            self._read([tensor[:steps] for tensor in self._storage])

    def clear(self) -> None:
        """Discards the buffered steps."""
        self._steps = 0

    def _allocate(self, tensors: Sequence[Tensor]) -> bool:
        steps = min(MAX_STEPS, MAX_ELEMENTS // max(1, sum(tensor.numel() for tensor in tensors)))
        if steps > 1:
            self._storage = [tensor.new_empty(steps, *tensor.shape) for tensor in tensors]
            self._slots = [[copies[step] for copies in self._storage] for step in range(steps)]
        return steps > 1

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_signature": [], "_storage": [], "_slots": [], "_steps": 0}
