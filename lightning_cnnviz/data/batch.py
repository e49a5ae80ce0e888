"""Finds the inputs and the class indices in a batch of any structure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lightning_cnnviz.errors import ConfigurationError

Key: TypeAlias = int | str | Sequence[int | str]
"""Index, key or attribute of a part of a batch; several of them lead to a part of a part."""
INPUT_NAMES = ("x", "input", "inputs", "image", "images", "img", "imgs", "pixel_values", "data")
TARGET_NAMES = ("y", "label", "labels", "target", "targets", "class", "classes")


def split_batch(batch: Any, inputs: Key | None = None, targets: Key | None = None) -> tuple[Tensor, Tensor | None]:
    """Finds the inputs and the class indices in a batch.

    Args:
        batch: A tensor, or any nesting of tuples, lists, mappings, dataclasses and named tuples of tensors.
        inputs: Index, key or attribute of the inputs, or a list of them that leads into nested parts. Default: the
            first floating-point tensor with at least two dimensions, or uint8 tensor with at least three, preferably
            one with a common name (`"image"`, `"x"`, ...).
        targets: Index, key or attribute of the class indices. Default: the first integer tensor (or tensor of zeros
            and ones) with one entry per sample, preferably one with a common name (`"label"`, ...).

    Returns:
        Inputs of shape (samples, ...), and class indices, int64 of shape (samples,), or None if there are none.

    Raises:
        ValueError: If no inputs are found.
        ConfigurationError: If `inputs` or `targets` names something that is missing or unsuitable.

    Example:
        >>> x, y = split_batch({"label": torch.tensor([1, 0]), "image": torch.rand(2, 3, 8, 8)})
        >>> x.shape, y
        (torch.Size([2, 3, 8, 8]), tensor([1, 0]))
    """
    if inputs is None and targets is None and _is_pair(batch):
        return batch[0], batch[1]
    leaves = list(_leaves(batch))
    if inputs is None:
        candidates = [leaf for leaf in leaves if may_be_inputs(leaf[1])]
        x = _preferred(candidates, INPUT_NAMES)
    else:
        x = _entry(batch, inputs)
    if not isinstance(x, Tensor) or x.ndim < 1:
        found = ", ".join(f"{name or 'tensor'} {tuple(leaf.shape)} {leaf.dtype}" for name, leaf in leaves)
        raise ValueError(
            "expected a batch with a floating-point or uint8 tensor of shape (samples, ...), got "
            f"{type(batch).__name__} with {found or 'no tensors'}; "
            "specify the inputs with Probe(inputs=<index, key or attribute>)"
        )
    if targets is None:
        y = _preferred(
            [leaf for leaf in leaves if leaf[1] is not x and _are_class_indices(leaf[1], len(x))], TARGET_NAMES
        )
    else:
        y = _entry(batch, targets)
        if not _are_class_indices(y, len(x)):
            raise ConfigurationError(
                f"expected {targets!r} in the batch to be class indices, one integer for each of {len(x)} samples, "
                f"got shape {tuple(y.shape)}, {y.dtype}"
            )
    return x, None if y is None else y.detach().reshape(len(x)).long()


def targets_are_certain(batch: Any, inputs: Tensor, targets: Key | None = None) -> bool:
    """Whether there is only one reading of what in a batch are the class indices, without knowing the loss.

    That is so for a pair of inputs and class indices, for a single candidate without a name, and for one with a
    common name (`"label"`, ...) or that the user has named. A tensor of another name may be a length or an ID.

    Args:
        batch: The batch.
        inputs: Its inputs, shape (samples, ...).
        targets: Index, key or attribute of the class indices, if the user has named it.

    Example:
        >>> images, numbers = torch.rand(2, 3, 8, 8), torch.tensor([1, 0])
        >>> targets_are_certain({"image": images, "label": numbers}, images)
        True
        >>> targets_are_certain({"image": images, "length": numbers}, images)
        False
    """
    if targets is not None or _is_pair(batch):
        return True
    found = [leaf for leaf in _leaves(batch) if leaf[1] is not inputs and _are_class_indices(leaf[1], len(inputs))]
    return any(name in TARGET_NAMES for name, _ in found) or (len(found) == 1 and found[0][0] is None)


def named_tensors(batch: Any) -> list[tuple[Key | None, Tensor]]:
    """The tensors of a batch in their order, each with its name, if it has one.

    Example:
        >>> [name for name, _ in named_tensors({"image": torch.ones(2, 3), "label": (torch.ones(2),)})]
        ['image', None]
    """
    return list(_leaves(batch))


def class_indices_at(batch: Any, place: tuple[Key | None, int, int], samples: int) -> Tensor | None:
    """Returns the class indices at a place in a batch, shape (samples,); None if it has none there.

    Args:
        batch: The batch.
        place: Name, position among the batch's tensors, and number of these. In a batch with another number of
            tensors the name counts.
        samples: Number of samples.
    """
    name, position, count = place
    tensors = named_tensors(batch)
    if len(tensors) == count:
        found = [tensors[position][1]]
    else:
        found = [tensor for key, tensor in tensors if name is not None and key == name]
    if len(found) != 1 or not _are_class_indices(found[0], samples):
        return None
    return found[0].detach().reshape(samples).long()


def place_in_words(batch: Any, tensor: Tensor) -> str:
    """Returns where a tensor is in a batch, as Python code where that is possible.

    Example:
        >>> images = torch.rand(5, 1, 8, 8)
        >>> place_in_words((images, torch.arange(5)), images), place_in_words({"image": images}, images)
        ('batch[0]', 'batch["image"]')
    """
    leaves = named_tensors(batch)
    position = next((index for index, (_, leaf) in enumerate(leaves) if leaf is tensor), None)
    if position is None:
        position = next((i for i, (_, leaf) in enumerate(leaves) if leaf.data_ptr() == tensor.data_ptr()), None)
    if position is None:
        return "not in the batch"
    name, leaf = leaves[position]
    if batch is leaf:
        return "batch"
    if isinstance(batch, Mapping) and name in batch and batch[name] is leaf:
        return f'batch["{name}"]' if isinstance(name, str) else f"batch[{name}]"
    if isinstance(name, str) and getattr(batch, name, None) is leaf:
        return f"batch.{name}"
    if isinstance(batch, Sequence) and position < len(batch) and batch[position] is leaf:
        return f"batch[{position}]"
    return f"tensor {position + 1} of {len(leaves)} in the batch"


def batch_size(batch: Any) -> int:
    """Number of samples in a batch: the length of its first tensor that is not a scalar; 1 if there is none.

    Example:
        >>> batch_size({"scale": torch.tensor(2.0), "image": torch.rand(5, 1, 8, 8)})
        5
    """
    if _is_pair(batch):
        return len(batch[0])
    return next((len(leaf) for _, leaf in _leaves(batch) if leaf.ndim), 1)


def _leaves(value: Any, name: Key | None = None) -> Iterator[tuple[Key | None, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, key)
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from _leaves(dict(zip(value._fields, value, strict=True)))
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for part in value:
            yield from _leaves(part)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _leaves({field.name: getattr(value, field.name) for field in fields(value)})


def _is_pair(batch: Any) -> bool:
    """Whether a batch has the most common structure, a pair of inputs and class indices, which needs no search."""
    if type(batch) not in (list, tuple) or len(batch) != 2:
        return False
    x, y = batch
    return (
        isinstance(x, Tensor)
        and isinstance(y, Tensor)
        and y.dtype == torch.int64
        and may_be_inputs(x)
        and y.shape == x.shape[:1]
    )


def _entry(batch: Any, key: Key) -> Tensor:
    value = batch
    for part in [key] if isinstance(key, (int, str)) else key:
        try:
            by_name = isinstance(part, str) and not isinstance(value, Mapping)
            value = getattr(value, str(part)) if by_name else value[part]
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            found = list(value) if isinstance(value, Mapping) else type(value).__name__
            raise ConfigurationError(f"expected the batch to have {key!r}, got {found}") from error
    if not isinstance(value, Tensor):
        raise ConfigurationError(f"expected {key!r} in the batch to be a tensor, got {type(value).__name__}")
    return value


def _preferred(leaves: Sequence[tuple[Key | None, Tensor]], names: Sequence[str]) -> Tensor | None:
    named = [tensor for name, tensor in leaves if name in names]
    return next(iter(named or [tensor for _, tensor in leaves]), None)


def may_be_inputs(tensor: Tensor) -> bool:
    """Whether a tensor may be a model's inputs, judging by its dtype and shape.

    Example:
        >>> may_be_inputs(torch.rand(5, 1, 8, 8)), may_be_inputs(torch.arange(5))
        (True, False)
    """
    return (tensor.is_floating_point() and tensor.ndim >= 2) or (tensor.dtype == torch.uint8 and tensor.ndim >= 3)


def _are_class_indices(tensor: Tensor, samples: int) -> bool:
    one_per_sample = tensor.ndim in (1, 2) and tensor.numel() == samples and len(tensor) == samples
    if not one_per_sample or tensor.is_complex():
        return False
    return not tensor.is_floating_point() or bool(((tensor == 0) | (tensor == 1)).all())
