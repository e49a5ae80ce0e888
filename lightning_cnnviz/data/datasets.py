"""Dataloaders, class indices and class names, found in a user's data without loading samples."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

from lightning_cnnviz.data.batch import split_batch
from lightning_cnnviz.data.colours import Normalization, normalization_in
from lightning_cnnviz.errors import ConfigurationError, class_names_list


def first_loader(loaders: Any) -> DataLoader[Any] | None:
    """Returns the first of a trainer's dataloaders, which may be nested; None if there is none."""
    if isinstance(loaders, DataLoader):
        return loaders
    parts = getattr(loaders, "flattened", loaders)
    parts = list(parts.values()) if isinstance(parts, dict) else parts if isinstance(parts, (list, tuple)) else []
    return next((found for found in map(first_loader, parts) if found is not None), None)


def known_targets(dataset: Any) -> npt.NDArray[np.integer] | None:
    """Returns class indices that are available without loading samples, as far as can be told; None if there are none.

    Returns:
        Integers of shape (samples,).
    """
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
    try:
        numbers = np.asarray(targets)
    except ValueError:  # rows of different lengths: not one class for each sample
        return None
    return numbers if numbers.ndim == 1 and np.issubdtype(numbers.dtype, np.integer) else None


def find_class_names(dataset: Any, *owners: Any) -> list[str] | None:
    """Finds class names, ordered by class index: `class_names` or `classes` of a dataset or one that it wraps.

    Args:
        dataset: The dataset.
        *owners: Objects to search next, such as the data module and the model.

    Example:
        >>> from types import SimpleNamespace as Owner
        >>> find_class_names(Owner(), Owner(classes=["cat", "dog"]))
        ['cat', 'dog']
    """
    for owner in (*_chain(dataset), *owners):
        for attribute in ("class_names", "classes"):
            if names := _names(getattr(owner, attribute, None)):
                return names
    return None


def distinct_names(names: Sequence[str] | None, classes: int) -> list[str]:
    """Returns a name for each class that no other class has: the index where there are not as many names as classes.

    Example:
        >>> distinct_names(["cat", "dog", "cat"], 3), distinct_names(None, 2)
        (['cat (0)', 'dog', 'cat (2)'], ['0', '1'])
    """
    if names is None or len(names) != classes:
        return [str(number) for number in range(classes)]
    times = Counter(names)
    return [name if times[name] == 1 else f"{name} ({number})" for number, name in enumerate(names)]


def find_normalization(dataset: Any) -> Normalization | None:
    """Finds by what the images of a dataset, or of one that it wraps, are normalised; None if that is uncertain.

    Example:
        >>> from types import SimpleNamespace as Dataset
        >>> from torchvision.transforms import Normalize
        >>> find_normalization(Dataset(dataset=Dataset(transform=Normalize(0.5, 0.25))))
        Normalization(mean=(0.5,), std=(0.25,))
    """
    transforms = [part for owner in _chain(dataset) for part in (_transform_of(owner),) if part is not None]
    return normalization_in(transforms)


def _transform_of(dataset: Any) -> Any:
    given = getattr(dataset, "transform", None)
    return getattr(dataset, "transforms", None) if given is None else given


def _chain(dataset: Any) -> list[Any]:
    """A dataset and those that it wraps, from the outside; of several side by side the first."""
    chain: list[Any] = []
    while dataset is not None and all(dataset is not other for other in chain):
        chain.append(dataset)
        parts = getattr(dataset, "datasets", None)
        dataset = parts[0] if isinstance(parts, (list, tuple)) and parts else getattr(dataset, "dataset", None)
    return chain


def _names(value: Any) -> list[str] | None:
    """Class names held by an attribute, which may hold anything else; then None."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [str(name) for name in value] if all(isinstance(name, (str, int)) for name in value) else None
    try:
        return class_names_list(value) if isinstance(value, Mapping) else None
    except TypeError:
        return None


def check_class_names(names: Sequence[str], classes: int) -> None:
    """Raises ConfigurationError if the number of class names differs from the number of the model's classes."""
    if len(names) != classes:
        raise ConfigurationError(
            f"expected a name for each of the model's {classes} classes, got {len(names)} class_names: {names}"
        )
