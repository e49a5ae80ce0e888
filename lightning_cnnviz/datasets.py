"""What can be learnt from a user's data without loading samples: loaders, class numbers, class names."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

from lightning_cnnviz.batch import split_batch
from lightning_cnnviz.errors import ConfigurationError


def first_loader(loaders: Any) -> DataLoader[Any] | None:
    """The first of a trainer's loaders, which may be nested; None if there is none."""
    if isinstance(loaders, DataLoader):
        return loaders
    parts = getattr(loaders, "flattened", loaders)
    parts = list(parts.values()) if isinstance(parts, dict) else parts if isinstance(parts, (list, tuple)) else []
    return next((found for found in map(first_loader, parts) if found is not None), None)


def known_targets(dataset: Any) -> npt.NDArray[np.integer] | None:
    """What seem to be class numbers and can be had without loading samples; None if there are none."""
    targets: Any = None
    if isinstance(dataset, Subset):
        known = known_targets(dataset.dataset)
        return None if known is None else known[np.asarray(dataset.indices, dtype=np.intp)]
    if isinstance(dataset, ConcatDataset):
        parts = [known_targets(part) for part in dataset.datasets]
        known_parts = [part for part in parts if part is not None]
        return np.concatenate(known_parts) if len(known_parts) == len(parts) else None
    if isinstance(dataset, TensorDataset):
        with contextlib.suppress(ValueError):
            targets = split_batch(dataset.tensors)[1]  # all samples as one batch
    else:
        targets = getattr(dataset, "targets", getattr(dataset, "labels", None))
    if not isinstance(targets, (Tensor, np.ndarray, list, tuple)):
        return None
    numbers = np.asarray(targets)
    return numbers if numbers.ndim == 1 and np.issubdtype(numbers.dtype, np.integer) else None


def find_class_names(dataset: Any, *owners: Any) -> list[str] | None:
    """Class names by class number: `class_names` or `classes` of the data (or what it wraps) or of an owner.

    Example:
        >>> from types import SimpleNamespace as Owner
        >>> find_class_names(Owner(), Owner(classes=["cat", "dog"]))
        ['cat', 'dog']
    """
    chain = []
    while dataset is not None:
        chain.append(dataset)
        parts = getattr(dataset, "datasets", None)
        dataset = parts[0] if isinstance(parts, (list, tuple)) and parts else getattr(dataset, "dataset", None)
    for owner in (*chain, *owners):
        names = getattr(owner, "class_names", None) or getattr(owner, "classes", None)
        if isinstance(names, (list, tuple)) and all(isinstance(name, (str, int)) for name in names):
            return [str(name) for name in names]
    return None


def check_class_names(names: Sequence[str], classes: int) -> None:
    """Raises ConfigurationError if a user's class names are not as many as the model's classes."""
    if len(names) != classes:
        raise ConfigurationError(
            f"expected a name for each of the model's {classes} classes, got {len(names)} class_names: {names}"
        )
