"""Images of a few wanted samples, kept from the batches in which they went by."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_cnnviz.functional.tab.stored_maps import downsampled

MAX_SIDE = 112
"""In pixels; larger images are kept at a fraction of their size."""
MAX_BYTES = 2**25
"""Bytes of the images that are kept."""


class Thumbnails:
    """Keeps inputs of wanted samples; of which samples they are wanted is told as a ranking becomes known.

    Until it is told, every sample is wanted, and the first ones are kept.

    Args:
        most: Maximum number of samples.

    Example:
        >>> thumbnails = Thumbnails(most=1)
        >>> thumbnails.add([7, 3], torch.tensor([[[[0.25]]], [[[0.75]]]]))
        >>> thumbnails.want([3])
        >>> thumbnails.add([7, 3], torch.tensor([[[[0.25]]], [[[0.75]]]]))
        >>> thumbnails.images([3, 7])
        {3: tensor([[[0.7500]]])}
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[int, Tensor] = {}
        self._waiting: dict[int, Tensor] = {}  # on their device, since the last `settle`
        self._bytes = 0
        self._shape: torch.Size | None = None  # of the images, which are shown on one sheet
        self._wanted: set[int] | None = None  # numbers that are neither kept nor waiting; None for any

    def add(self, numbers: Sequence[int], inputs: Tensor) -> None:
        """Keeps what is wanted of a batch, without synchronising the device.

        Args:
            numbers: Numbers of the samples.
            inputs: Shape (samples, ...), as the model takes them.
        """
        wanted = self._wanted
        if wanted is None:
            rows: Iterable[int] = range(len(numbers)) if len(self._kept) + len(self._waiting) < self._most else ()
        elif wanted.isdisjoint(numbers):  # as of most batches
            return
        else:
            rows = [row for row, number in enumerate(numbers) if number in wanted]
        self._shape = self._shape or inputs.shape[1:]
        for row in rows if inputs.shape[1:] == self._shape else ():
            number = int(numbers[row])
            full = len(self._kept) + len(self._waiting) >= self._most
            if full or self._bytes + inputs[row].nbytes > MAX_BYTES:
                break
            if number not in self._kept and number not in self._waiting:
                self._waiting[number] = inputs[row].detach().clone()
                self._bytes += inputs[row].nbytes

    def want(self, numbers: Sequence[int]) -> None:
        """Says of which samples images are wanted from now on, those that matter most first; others are discarded."""
        self.settle()
        chosen = dict.fromkeys(map(int, list(numbers)[: self._most]))
        self._kept = {number: image for number, image in self._kept.items() if number in chosen}
        self._bytes = sum(image.nbytes for image in self._kept.values())
        self._wanted = set(chosen).difference(self._kept)

    def settle(self) -> None:
        """Takes what waits from the device, and makes large images smaller."""
        waiting, self._waiting = self._waiting, {}
        for number, image in waiting.items():
            self._kept[number] = _small(image.cpu())
        self._bytes = sum(image.nbytes for image in self._kept.values())
        if self._wanted is not None:
            self._wanted.difference_update(self._kept)

    def images(self, numbers: Iterable[int]) -> dict[int, Tensor]:
        """Returns number → image on the CPU, of those that are kept."""
        self.settle()
        return {number: self._kept[number] for number in map(int, numbers) if number in self._kept}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_waiting": {}}


def _small(image: Tensor) -> Tensor:
    if image.ndim != 3 or max(image.shape[1:]) <= MAX_SIDE or image.is_complex():
        return image
    return torch.from_numpy(downsampled(image.float().numpy()[None], MAX_SIDE)[0])
