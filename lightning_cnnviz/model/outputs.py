"""Finds the inputs in the arguments of a model, and the tensor or the class scores in its output."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from lightning_cnnviz.data.batch import may_be_inputs
from lightning_cnnviz.data.scores import are_scores


def plain(tensor: Tensor) -> Tensor:
    """Returns a tensor without what a subclass adds to it, such as metadata, which may forbid ordinary operations.

    Example:
        >>> import torch
        >>> class Named(Tensor): pass
        >>> type(plain(torch.zeros(2).as_subclass(Named))).__name__
        'Tensor'
    """
    distributed = hasattr(tensor, "to_local")  # which is no ordinary tensor underneath
    return tensor if type(tensor) is Tensor or distributed else tensor.as_subclass(Tensor)


def first_tensor(value: Any) -> Tensor | None:
    """Returns a tensor itself, or the first one in any nesting of tuples, lists and mappings; None if there is none.

    Example:
        >>> import torch
        >>> first_tensor((None, {"hidden": torch.zeros(2)}))
        tensor([0., 0.])
    """
    return value if isinstance(value, Tensor) else next(tensors_in(value), None)


def scores_in(value: Any, samples: int) -> Tensor | None:
    """Returns the first tensor in a model's output that may be class scores, preferably one named `logits`.

    Args:
        value: The model's output.
        samples: Number of input samples.

    Example:
        >>> import torch
        >>> output = {"loss": torch.tensor(0.7), "logits": torch.zeros(5, 3)}
        >>> scores_in(output, samples=5).shape
        torch.Size([5, 3])
    """
    if isinstance(value, Tensor):  # as most models do
        return value if are_scores(value, samples) else None
    named = value.get("logits") if isinstance(value, Mapping) else getattr(value, "logits", None)
    for tensor in tensors_in((named, value)):
        if are_scores(tensor, samples):
            return tensor
    return None


def input_in(value: Any, samples: int) -> Tensor | None:
    """Returns the first tensor in a model's arguments that may be its inputs, one row per sample; None if none is.

    Example:
        >>> import torch
        >>> input_in((torch.arange(5), {"image": torch.rand(5, 1, 8, 8)}), samples=5).shape
        torch.Size([5, 1, 8, 8])
    """
    found = (part for part in tensors_in(value) if part.ndim and len(part) == samples and may_be_inputs(part))
    return next(found, None)


def shares_memory(tensor: Tensor, value: Any) -> bool:
    """Whether a tensor, or a view of all of it, is in a nesting of tuples, lists and mappings.

    Example:
        >>> import torch
        >>> images = torch.zeros(5, 4)
        >>> shares_memory(images, ({"x": images.view(5, 2, 2)},)), shares_memory(images, (images + 1,))
        (True, False)
    """
    parts = [part for part in tensors_in(value) if part.numel() == tensor.numel()]
    return any(part is tensor or _same_memory(part, tensor) for part in parts)


def _same_memory(one: Tensor, other: Tensor) -> bool:
    try:
        return one.data_ptr() == other.data_ptr()
    except RuntimeError:  # within a transform of torch.func, or of a sparse tensor
        return False


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yields the tensors in any nesting of tuples, lists, mappings and data classes.

    Example:
        >>> import torch
        >>> [tensor.shape for tensor in tensors_in((None, {"hidden": torch.zeros(2)}))]
        [torch.Size([2])]
    """
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value) and not isinstance(value, (type, Mapping)):
        yield from tensors_in([getattr(value, field.name) for field in fields(value)])
    else:
        mapping = isinstance(value, Mapping) or callable(getattr(value, "values", None))
        parts = value if isinstance(value, (tuple, list)) else value.values() if mapping else ()
        for part in parts:
            yield from tensors_in(part)
