"""Samples and their class-balanced choice."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_cnnviz.data.colours import Colours


class Samples(NamedTuple):
    """Samples on the CPU, ordered so that the first n are class-balanced for any n.

    Attributes:
        inputs: Shape (samples, ...), as the model takes them.
        targets: Class indices, shape (samples,); -1 if unknown.
        class_names: A name for each class index.
        colours: How the inputs become images.
        channels_last: Whether the inputs are images with the channels in the last dimension.
    """

    inputs: Tensor
    targets: Tensor
    class_names: list[str]
    colours: Colours = Colours()
    channels_last: bool = False

    @property
    def images(self) -> Tensor:
        """The inputs as images, uint8 of shape (samples, 1 or 3, *size), as far as they are any."""
        return self.colours.images(self.planes)

    @property
    def planes(self) -> Tensor:
        """The inputs with the channels first, shape (samples, channels, *size)."""
        return self.inputs.movedim(-1, 1).contiguous() if self.channels_last else self.inputs

    def class_name(self, number: int) -> str:
        """Returns the name of a class, given its index; the index as text if it has no name."""
        return self.class_names[number] if 0 <= number < len(self.class_names) else str(number)


def balanced_order(targets: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Returns an order whose first n samples are, for any n, as class-balanced as the samples allow.

    The order within a class is preserved.

    Args:
        targets: Class indices, shape (samples,).

    Returns:
        Indices into `targets`, shape (samples,).

    Example:
        >>> balanced_order(np.array([7, 7, 7, 3, 3]))
        array([3, 0, 4, 1, 2])
    """
    by_class = np.argsort(targets, kind="stable")
    starts = np.searchsorted(targets[by_class], targets[by_class])
    rank = np.empty(len(targets), dtype=np.intp)
    rank[by_class] = np.arange(len(targets)) - starts
    return np.lexsort((targets, rank))


class Row(NamedTuple):
    """A sample on the CPU with its class index (-1 if unknown), and its place: number of its batch, row in it."""

    inputs: Tensor
    target: int
    place: tuple[int, int]


class BalancedReservoir:
    """A random, class-balanced choice from a pass over the data, made as its batches go by.

    The result is that of shuffling the whole pass and taking the first samples of its `balanced_order`, but no more
    samples are kept than are chosen.

    Args:
        most: Maximum number of samples.
        most_bytes: Maximum size of the samples together.
        seed: Seed of the choice.

    Example:
        >>> reservoir = BalancedReservoir(most=2, most_bytes=2**20, seed=0)
        >>> for batch in range(3):
        ...     reservoir.add(torch.rand(4, 1, 8, 8), torch.tensor([0, 0, 0, 1]), batch)
        >>> [row.target for row in reservoir.rows]
        [0, 1]
    """

    def __init__(self, most: int, most_bytes: int, seed: int) -> None:
        self.rows: list[Row] = []
        self._most = most
        self._most_bytes = most_bytes
        self._random = np.random.default_rng(seed)
        self._priorities = np.array([])

    def add(self, inputs: Tensor, targets: Tensor, batch: int) -> None:
        """Takes what it needs from a batch.

        Args:
            inputs: Shape (samples, ...), on any device.
            targets: Class indices, shape (samples,).
            batch: Number of the batch in the pass.
        """
        if not len(inputs):
            return
        classes = np.array([row.target for row in self.rows] + targets.tolist(), dtype=np.int64)
        priorities = np.concatenate([self._priorities, self._random.random(len(inputs))])
        shuffled = np.argsort(priorities)
        fits = self._most_bytes * len(inputs) // max(1, inputs.nbytes)
        chosen = shuffled[balanced_order(classes[shuffled])][: max(1, min(self._most, fits))]
        places = np.sort(chosen[chosen >= len(self.rows)]) - len(self.rows)
        taken = inputs.detach()[torch.from_numpy(places).to(inputs.device)].cpu()
        new = {
            len(self.rows) + int(row): Row(one.clone(), int(targets[row]), (batch, int(row)))
            for row, one in zip(places, taken, strict=True)
        }
        self.rows = [new[index] if index in new else self.rows[index] for index in map(int, chosen)]
        self._priorities = priorities[chosen]
