"""How much memory a waiting job holds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np
import torch


def owned_bytes(value: Any) -> int:
    """Returns the bytes of all tensors and arrays that a value holds, each counted once, views with all they keep.

    Looked into are the arguments of a `functools.partial`, variables that a function has closed over, collections and
    dataclasses. Of other objects, such as a callback whose method is called, nothing is counted: they live on anyway.

    Example:
        >>> weight = np.zeros((4, 3), dtype=np.float32)
        >>> owned_bytes(partial(np.add, weight, weight[1:])), owned_bytes([weight, weight.copy()]), owned_bytes("text")
        (48, 96, 0)
    """
    return sum(dict(_buffers(value, set())).values())


def _buffers(value: Any, seen: set[int]) -> Iterator[tuple[Any, int]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        yield _of_tensor(value)
    elif isinstance(value, np.ndarray):
        while isinstance(value.base, np.ndarray):
            value = value.base
        yield id(value), value.nbytes
    else:
        for part in _parts(value):
            yield from _buffers(part, seen)


def _of_tensor(tensor: torch.Tensor) -> tuple[Any, int]:
    try:
        storage = tensor.untyped_storage()
        return ("torch", storage.data_ptr()), storage.nbytes()
    except RuntimeError:  # sparse and other tensors without a storage
        return id(tensor), tensor.numel() * tensor.element_size()


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, FunctionType):
        yield from _closed_over(value)
        yield value.__defaults__
    elif isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from value
    elif is_dataclass(value) and not isinstance(value, type):
        yield from (getattr(value, field.name, None) for field in fields(value))


def _closed_over(function: Callable[..., Any]) -> Iterator[Any]:
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
