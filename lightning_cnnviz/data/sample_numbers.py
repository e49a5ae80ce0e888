"""Which samples of its dataset a dataloader's batches hold, without changing their order or any random state."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    SequentialSampler,
    Subset,
    default_collate,
)

Numbers = npt.NDArray[np.intp]
Classes = npt.NDArray[np.integer]


class UnknownSamplesError(Exception):
    """Why it cannot be told which samples batches hold."""


def followed_loader(loaders: Any, several: bool) -> Any:
    """Returns the dataloader whose samples can be followed: the first one.

    Args:
        loaders: A dataloader, or any nesting of several.
        several: Whether there may be several, one after the other as in a validation.

    Raises:
        UnknownSamplesError: If there are several and may not be, since batches are put together from all of them.

    Example:
        >>> loader = DataLoader(list(range(5)))
        >>> followed_loader({"one": loader, "other": loader}, several=True) is loader
        True
    """
    while isinstance(loaders, (list, tuple, dict)) and loaders:
        parts = list(loaders.values()) if isinstance(loaders, dict) else list(loaders)
        if len(parts) > 1 and not several:
            raise UnknownSamplesError(f"each batch holds samples of {len(parts)} dataloaders")
        loaders = parts[0]
    return loaders


def sample_count(loader: Any) -> int:
    """Returns the number of samples in a dataloader's dataset, if batches are put together from its samples, in order.

    Raises:
        UnknownSamplesError: If it cannot be told which samples a batch holds.

    Example:
        >>> sample_count(DataLoader(list(range(5)), batch_size=2))
        5
    """
    kind = type(loader)
    if not isinstance(loader, DataLoader) or kind.__iter__ is not DataLoader.__iter__:
        raise UnknownSamplesError(f"{kind.__name__} does not tell which samples a batch holds, as a DataLoader does")
    if isinstance(loader.dataset, IterableDataset):
        raise UnknownSamplesError(f"{type(loader.dataset).__name__} is a stream, whose samples have no numbers")
    if loader.batch_sampler is None:
        raise UnknownSamplesError("with batch_size=None the dataset itself makes the batches")
    if not getattr(loader, "in_order", True):
        raise UnknownSamplesError("with in_order=False batches come in any order")
    try:
        return len(loader.dataset)  # type: ignore[arg-type]
    except TypeError as error:
        raise UnknownSamplesError(f"{type(loader.dataset).__name__} has no length") from error


def repeated_batches(loader: Any) -> Iterator[Sequence[int]]:
    """Yields the samples of each batch of a dataloader, without touching it, if its order can be repeated.

    Raises:
        UnknownSamplesError: If it cannot be told which samples a batch holds, as where a validation is shuffled.

    Example:
        >>> list(repeated_batches(DataLoader(list(range(5)), batch_size=2)))
        [[0, 1], [2, 3], [4]]
    """
    sample_count(loader)
    kinds = type(loader.batch_sampler), type(loader.sampler)
    if kinds[0] is not BatchSampler or kinds[1] not in (SequentialSampler, DistributedSampler):
        name = kinds[kinds[0] is BatchSampler].__name__
        raise UnknownSamplesError(f"the order of {name} cannot be repeated; leave the validation unshuffled")
    return iter(BatchSampler(loader.sampler, loader.batch_sampler.batch_size, loader.batch_sampler.drop_last))


def numbers_in_source(dataset: Any, numbers: Numbers) -> Numbers:
    """Returns the numbers of samples in the dataset of which `dataset` is a subset, or a subset of a subset.

    Example:
        >>> numbers_in_source(Subset(Subset("abcde", [1, 3, 4]), [2, 0]), np.array([0, 1]))
        array([4, 1])
    """
    while isinstance(dataset, Subset):
        numbers, dataset = np.asarray(dataset.indices, dtype=np.intp)[numbers], dataset.dataset
    return numbers


def order_is_lost(own: Classes, given: Classes) -> bool:
    """Whether samples have the classes of their dataset in another order, as where a collate function sorts a batch.

    Classes that are renumbered, and a few that were changed, are none of that.

    Args:
        own: Class of each sample in the dataset, shape (samples,).
        given: Class of each sample in the batches, shape (samples,).

    Example:
        >>> own = np.array([0, 1, 2, 0, 1, 2])
        >>> order_is_lost(own, np.array([0, 0, 1, 1, 2, 2])), order_is_lost(own, 2 - own)
        (True, False)
    """
    classes, counts = np.unique(own, return_counts=True)
    if not np.array_equal(np.sort(own), np.sort(given)):
        return False
    by_chance = ((counts / max(len(own), 1)) ** 2).sum()
    renumbered = len(np.unique(np.stack([own, given]), axis=1).T) == len(classes)
    return not renumbered and bool((own == given).mean() < (1 + by_chance) / 2)


def order_is_kept(own: Classes, given: Classes) -> bool:
    """Whether the classes in the batches show that samples are in their dataset's order, whatever these are called.

    Args:
        own: Class of each sample in the dataset, shape (samples,).
        given: Class of each sample in the batches, shape (samples,).

    Example:
        >>> own = np.array([0, 1, 2, 0, 1, 2])
        >>> order_is_kept(own, own % 2), order_is_kept(own, np.sort(own)), order_is_kept(own, 0 * own)
        (True, False, False)
    """
    counts = np.zeros((len(np.unique(own)), len(np.unique(given))))
    np.add.at(counts, (np.unique(own, return_inverse=True)[1], np.unique(given, return_inverse=True)[1]), 1)
    by_chance = counts.sum(axis=0).max() / max(len(own), 1)
    return bool(counts.max(axis=1).sum() / max(len(own), 1) > (1 + by_chance) / 2)


def collates_in_order(loader: Any) -> bool:
    """Whether a dataloader puts its batches together as PyTorch does, in the sampler's order.

    Example:
        >>> collates_in_order(DataLoader([1, 2])), collates_in_order(DataLoader([1, 2], collate_fn=sorted))
        (True, False)
    """
    return loader.collate_fn is default_collate


class SampleNumbers:
    """The numbers of the samples in batches as these go by.

    Args:
        batches: The samples of each batch, in order; read as far as batches have gone by.
        first: Number of the first of them; where a resumed epoch goes on, not 0.

    Example:
        >>> numbers = SampleNumbers(iter([[4, 2], [0, 1], [3]]))
        >>> numbers.of(batch=0, samples=2), numbers.of(batch=2, samples=1)
        ([4, 2], [3])
    """

    def __init__(self, batches: Iterator[Sequence[int]], first: int = 0) -> None:
        self._batches = batches
        self._passed = first - 1  # the last batch

    def of(self, batch: int, samples: int) -> Sequence[int] | None:
        """Returns the numbers of a batch's samples; None if it does not hold as many as were asked for.

        Args:
            batch: Number of the batch in the pass, which rises.
            samples: Number of samples in it.
        """
        found: Sequence[int] = ()
        for _ in range(batch - self._passed):
            found = next(self._batches, ())
        self._passed = batch
        known = len(found) == samples and all(isinstance(number, (int, np.integer)) for number in found[:1])
        return found if known else None
