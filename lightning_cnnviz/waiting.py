"""What steps leave behind to be read together."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

MOST_STEPS = 32
"""Steps that wait to be read together."""
MOST_NUMBERS = 4_000_000
"""Numbers that these may have, 16 MB in single precision; of larger tensors each step's are read at once."""


class Waiting:
    """Copies tensors of one step after the other, to have them read together.

    Code that was run just before runs several times faster, and between two steps lies a whole training step: to
    copy a small network's gradients now and to read 32 steps of them later takes half the time of reading each.
    Copies, since loaders and optimizers use memory again.

    Args:
        read: Is given the copies as a list of tensors of shape (steps, ...), which it may change.

    Example:
        >>> waiting = Waiting(lambda copies: print(copies[0].tolist()))
        >>> [waiting.add([torch.tensor([step, 7])]) for step in range(4)]
        [False, True, True, True]
        >>> waiting.read()
        [[1, 7], [2, 7], [3, 7]]
    """

    def __init__(self, read: Callable[[list[Tensor]], None]) -> None:
        self._read = read
        self._kind: list[Any] = []
        self._room: list[Tensor] = []
        self._places: list[list[Tensor]] = []
        self._steps = 0

    def add(self, tensors: list[Tensor]) -> bool:
        """Copies a step's tensors, dense and without history; of another kind than before, what waits is read first.

        Returns:
            Whether it did; False where they are to be read at once: too large to wait, or the first of their kind.
        """
        kind = [
            torch.is_inference_mode_enabled(),
            *[(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors],
        ]
        if kind != self._kind:
            self.read()
            self._kind, self._room, self._places = kind, [], []
            return False
        if not self._room and not self._make_room(tensors):
            return False
        torch._foreach_copy_(self._places[self._steps], tensors)
        self._steps += 1
        if self._steps == len(self._places):
            self.read()
        return True

    def read(self) -> None:
        """Has read what waits; if that fails, it is lost."""
        steps, self._steps = self._steps, 0
        if steps:
            self._read([tensor[:steps] for tensor in self._room])

    def forget(self) -> None:
        """Drops what waits."""
        self._steps = 0

    def _make_room(self, tensors: Sequence[Tensor]) -> bool:
        steps = min(MOST_STEPS, MOST_NUMBERS // max(1, sum(tensor.numel() for tensor in tensors)))
        if steps > 1:
            self._room = [tensor.new_empty(steps, *tensor.shape) for tensor in tensors]
            self._places = [[room[step] for room in self._room] for step in range(steps)]
        return steps > 1

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kind": [], "_room": [], "_places": [], "_steps": 0}
