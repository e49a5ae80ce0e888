"""What steps leave behind to be read together."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

MOST_STEPS = 32
"""Steps that wait to be read together."""
MOST_NUMBERS = 4_000_000
"""Numbers that these may have, 16 MB in single precision; where there are more, each step's are read at once."""


class Waiting:
    """Copies tensors of one step after the other, to have them read together.

    Code that was run just before runs several times faster, and between two steps lies a whole training step: to
    copy a small network's gradients now and to read 32 steps of them later takes half the time of reading each.
    Copies, since loaders and optimizers use memory again.

    Args:
        read: Is given the copies as a list of tensors of shape (steps, ...), which it may change.

    Example:
        >>> waiting = Waiting(lambda copies: print(copies[0].tolist()))
        >>> for step in range(3):
        ...     _ = waiting.add([torch.tensor([step, 7])])
        >>> waiting.read()
        [[0, 7], [1, 7], [2, 7]]
    """

    def __init__(self, read: Callable[[list[Tensor]], None]) -> None:
        self._read = read
        self._shapes: list[torch.Size] = []
        self._room: list[Tensor] = []
        self._places: list[list[Tensor]] = []
        self._steps = 0

    def add(self, tensors: list[Tensor]) -> bool:
        """Copies a step's tensors, dense and without history; where they have other shapes, what waits is read before.

        Returns:
            Whether it did; False where they are too large to wait, and so to be read at once.
        """
        shapes = [tensor.shape for tensor in tensors]
        if shapes != self._shapes:
            self.read()
            self._make_room(tensors)
            self._shapes = shapes
        if not self._places:
            return False
        torch._foreach_copy_(self._places[self._steps], tensors)
        self._steps += 1
        if self._steps == len(self._places):
            self.read()
        return True

    def read(self) -> None:
        """Has read what waits."""
        steps, self._steps = self._steps, 0
        if steps:
            self._read([tensor[:steps] for tensor in self._room])

    def forget(self) -> None:
        """Drops what waits."""
        self._steps = 0

    def _make_room(self, tensors: Sequence[Tensor]) -> None:
        steps = min(MOST_STEPS, MOST_NUMBERS // max(1, sum(tensor.numel() for tensor in tensors)))
        self._room = [tensor.new_empty(steps, *tensor.shape) for tensor in tensors] if steps > 1 else []
        self._places = [[room[step] for room in self._room] for step in range(steps)] if self._room else []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shapes": [], "_room": [], "_places": [], "_steps": 0}
