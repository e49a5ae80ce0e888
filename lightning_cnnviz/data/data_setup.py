"""What dataloaders tell of the order and the origin of samples without reading any."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler, Subset

from lightning_cnnviz.data.datasets import known_targets

MAX_BLOCKS = 200
"""Batches of which the classes are counted."""
MAX_COMPARED = 1000
"""Samples by which two datasets are compared."""


class DataSetup(NamedTuple):
    """What is known of the training data.

    Attributes:
        sequential: Whether samples come in the order of the dataset.
        class_counts: Samples of each class; empty if not known.
        purity: Mean share of the most frequent class in a batch, in the order of the dataset; NaN if not known.
        batch_size: Samples of a batch; 0 if not known.
    """

    sequential: bool = False
    class_counts: tuple[int, ...] = ()
    purity: float = math.nan
    batch_size: int = 0


def data_setup(loader: DataLoader[Any] | None) -> DataSetup:
    """Returns what a dataloader of training data tells.

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> data = TensorDataset(torch.rand(8, 3), torch.arange(8) // 4)
        >>> data_setup(DataLoader(data, batch_size=2))
        DataSetup(sequential=True, class_counts=(4, 4), purity=1.0, batch_size=2)
    """
    if loader is None:
        return DataSetup()
    in_order = isinstance(loader.sampler, SequentialSampler) and type(loader.batch_sampler) is BatchSampler
    size = loader.batch_size or 0
    targets = known_targets(loader.dataset)
    if targets is None or not len(targets) or targets.min() < 0:
        return DataSetup(in_order, batch_size=size)
    counts = np.bincount(targets)
    return DataSetup(in_order, tuple(counts.tolist()), _purity(targets, size), size)


def shared_samples(train: DataLoader[Any] | None, val: DataLoader[Any] | None) -> float:
    """Returns the share of validation samples that are training samples, by their indices; NaN if not known.

    Example:
        >>> data = list(range(10))
        >>> shared_samples(DataLoader(Subset(data, range(8))), DataLoader(Subset(data, range(7, 9))))
        0.5
    """
    if train is None or val is None:
        return math.nan
    (one, indices), (other, others) = _origin(train.dataset), _origin(val.dataset)
    if not _same_samples(one, other):
        return math.nan
    return float(np.isin(others, indices).mean()) if len(others) else math.nan


def samples_of(dataset: Any) -> int:
    """Returns the number of samples of a dataset; 0 if it does not tell.

    Example:
        >>> samples_of([1, 2, 3]), samples_of(iter([1, 2, 3]))
        (3, 0)
    """
    try:
        return len(dataset)
    except (TypeError, NotImplementedError):
        return 0


def _origin(dataset: Any) -> tuple[Any, npt.NDArray[np.intp]]:
    """The dataset that subsets are of, and the indices of the samples."""
    if isinstance(dataset, Subset):
        origin, indices = _origin(dataset.dataset)
        return origin, indices[np.asarray(dataset.indices, dtype=np.intp)] if len(indices) else indices
    return dataset, np.arange(samples_of(dataset))


def _same_samples(one: Any, other: Any) -> bool:
    """Whether two datasets are one, or were read from the same files."""
    if one is other:
        return True
    if type(one) is not type(other) or not isinstance(one, Dataset):
        return False
    for name in ("data", "samples", "imgs"):
        first, second = getattr(one, name, None), getattr(other, name, None)
        if type(first) is not type(second) or not isinstance(first, (Tensor, np.ndarray, list)) or not len(first):
            continue
        apart = -(-len(first) // MAX_COMPARED)  # the arrays may be larger than memory
        if len(first) != len(second):  # type: ignore[arg-type]
            return False
        some, others = first[::apart], second[::apart]  # type: ignore[index]
        return bool(some == others) if isinstance(some, list) else np.array_equal(some, others)
    return False


def _purity(targets: npt.NDArray[Any], size: int) -> float:
    blocks = len(targets) // size if size else 0
    if not blocks:
        return math.nan
    chosen = np.unique(np.linspace(0, blocks - 1, min(blocks, MAX_BLOCKS)).astype(int))
    return float(np.mean([np.bincount(targets[one * size : (one + 1) * size]).max() / size for one in chosen]))
