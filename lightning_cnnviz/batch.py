"""What in a batch is what: the inputs and the class numbers, whatever the batch is made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lightning_cnnviz.errors import ConfigurationError

Key: TypeAlias = int | str
INPUT_NAMES = ("x", "input", "inputs", "image", "images", "img", "imgs", "pixel_values", "data")
TARGET_NAMES = ("y", "label", "labels", "target", "targets", "class", "classes")


def split_batch(batch: Any, inputs: Key | None = None, targets: Key | None = None) -> tuple[Tensor, Tensor | None]:
    """Finds the inputs and the class numbers in a batch.

    Args:
        batch: A tensor, or any nesting of tuples, lists, mappings, dataclasses and named tuples of them.
        inputs: Index, key or attribute of the inputs. Default: the first floating-point tensor with at least
            two dimensions, one with a usual name (`"image"`, `"x"`, ...) before the others.
        targets: Index, key or attribute of the class numbers. Default: the first tensor of whole numbers (or
            of zeros and ones) with one entry per sample, one with a usual name (`"label"`, ...) first.

    Returns:
        Inputs of shape (samples, ...) and int64 class numbers of shape (samples,), None if there are none.

    Raises:
        ValueError: If there are no inputs.
        ConfigurationError: If what `inputs` or `targets` names is not there, or is something else.

    Example:
        >>> x, y = split_batch({"label": torch.tensor([1, 0]), "image": torch.rand(2, 3, 8, 8)})
        >>> x.shape, y
        (torch.Size([2, 3, 8, 8]), tensor([1, 0]))
    """
    if inputs is None and targets is None and _is_pair(batch):
        return batch[0], batch[1]
    leaves = list(_leaves(batch))
    if inputs is None:
        candidates = [leaf for leaf in leaves if leaf[1].is_floating_point() and leaf[1].ndim >= 2]
        x = _preferred(candidates, INPUT_NAMES)
    else:
        x = _entry(batch, inputs)
    if not isinstance(x, Tensor) or x.ndim < 1:
        found = ", ".join(f"{name or 'tensor'} {tuple(leaf.shape)} {leaf.dtype}" for name, leaf in leaves)
        raise ValueError(
            f"expected a batch with a floating-point tensor of shape (samples, ...), got {type(batch).__name__} "
            f"with {found or 'no tensors'}; say where the inputs are: Probe(inputs=<index, key or attribute>)"
        )
    if targets is None:
        y = _preferred([leaf for leaf in leaves if leaf[1] is not x and _is_class(leaf[1], len(x))], TARGET_NAMES)
    else:
        y = _entry(batch, targets)
        if not _is_class(y, len(x)):
            raise ConfigurationError(
                f"expected {targets!r} in the batch to be class numbers, whole and one for each of {len(x)} samples, "
                f"got shape {tuple(y.shape)} of {y.dtype}"
            )
    return x, None if y is None else y.detach().reshape(len(x)).long()


def batch_size(batch: Any) -> int:
    """Samples in a batch: the length of its first tensor that has one; 1 if there is none.

    Example:
        >>> batch_size({"scale": torch.tensor(2.0), "image": torch.rand(5, 1, 8, 8)})
        5
    """
    if _is_pair(batch):
        return len(batch[0])
    return next((len(leaf) for _, leaf in _leaves(batch) if leaf.ndim), 1)


def predicted_classes(output: Tensor | None, samples: int, logits: Tensor | None = None) -> Tensor | None:
    """Class numbers out of a classifier's scores.

    Args:
        output: Scores of shape (samples, classes), or for two classes (samples,) or (samples, 1).
        samples: Number of samples that went in.
        logits: Whether such single scores are logits rather than probabilities, a scalar on their device.
            Default: they are probabilities if all lie in 0…1.

    Returns:
        int64 of shape (samples,), on the output's device; None if the output has another shape.

    Example:
        >>> predicted_classes(torch.tensor([[0.1, 2.0], [1.0, 0.0]]), 2)
        tensor([1, 0])
    """
    if output is None or not are_scores(output, samples):
        return None
    if output.ndim == 2 and output.shape[1] > 1:
        return output.argmax(dim=1)
    scores = output.reshape(-1)
    threshold = torch.where(are_logits(scores) if logits is None else logits, 0.0, 0.5)
    return (scores > threshold).long() if len(scores) == samples else None


def are_scores(output: Tensor, samples: int) -> bool:
    """Whether an output may be a classifier's scores, by its type and shape.

    Example:
        >>> are_scores(torch.rand(5, 3), samples=5)
        True
    """
    wide = output.ndim == 1 or (output.ndim == 2 and output.shape[1] > 0)
    return wide and output.is_floating_point() and len(output) == samples


def are_logits(scores: Tensor) -> Tensor:
    """Whether any of some scores can't be a probability, a scalar on their device.

    Example:
        >>> are_logits(torch.tensor([0.2, 1.7]))
        tensor(True)
    """
    return ~((scores >= 0) & (scores <= 1)).all()


def confidences(output: Tensor, logits: Tensor | None = None) -> Tensor:
    """The probability that a classifier gives the class it predicts.

    Args:
        output: Scores of which `predicted_classes` makes class numbers; of several classes also several batches, shape
            (batches, samples, classes), each of which is looked at on its own. Scores that are probabilities (in 0…1,
            and with a column per class summing up to 1 in each finite row) are taken as such, others are logits
            and go through softmax or, for a single column, the logistic function.
        logits: As in `predicted_classes`.

    Returns:
        float32 of shape (samples,) or (batches, samples), 0…1, on the output's device; NaN where it can't be told.

    Example:
        >>> confidences(torch.tensor([[0.25, 0.75], [1.0, 0.0]]))
        tensor([0.7500, 1.0000])
    """
    scores = output.detach().float()
    if output.ndim > 1 and output.shape[-1] > 1:
        sums_to_one = (scores >= 0).all(dim=-1) & ((scores.sum(dim=-1) - 1).abs() < 0.01)
        given = (sums_to_one | ~scores.isfinite().all(dim=-1)).all(dim=-1)[..., None, None]
        return torch.where(given, scores, scores.softmax(dim=-1)).amax(dim=-1)
    scores = scores.reshape(-1)
    positive = torch.where(are_logits(scores) if logits is None else logits, scores.sigmoid(), scores)
    return torch.maximum(positive, 1 - positive)


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
    """Whether a batch is of the commonest kind: inputs and class numbers, for which nobody has to search."""
    if type(batch) not in (list, tuple) or len(batch) != 2:
        return False
    x, y = batch
    return (
        isinstance(x, Tensor)
        and isinstance(y, Tensor)
        and y.dtype == torch.int64
        and x.is_floating_point()
        and x.ndim >= 2
        and y.shape == x.shape[:1]
    )


def _entry(batch: Any, key: Key) -> Tensor:
    try:
        by_name = isinstance(key, str) and not isinstance(batch, Mapping)
        value = getattr(batch, str(key)) if by_name else batch[key]
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        there = list(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise ConfigurationError(f"expected the batch to have {key!r}, got {there}") from error
    if not isinstance(value, Tensor):
        raise ConfigurationError(f"expected {key!r} in the batch to be a tensor, got {type(value).__name__}")
    return value


def _preferred(leaves: Sequence[tuple[Key | None, Tensor]], names: Sequence[str]) -> Tensor | None:
    named = [tensor for name, tensor in leaves if name in names]
    return next(iter(named or [tensor for _, tensor in leaves]), None)


def _is_class(tensor: Tensor, samples: int) -> bool:
    one_per_sample = tensor.ndim in (1, 2) and tensor.numel() == samples and len(tensor) == samples
    if not one_per_sample or tensor.is_complex():
        return False
    return not tensor.is_floating_point() or bool(((tensor == 0) | (tensor == 1)).all())
