"""What a forward pass can reach outside of the model's attributes: class attributes, globals, defaults, closures."""

import operator
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.data import DataLoader, Dataset

from lightning_cnnviz.model.contents import PLAIN, Contents, parts_of

MAX_NOTED = 20_000
"""Objects that are noted; what is found after them is not."""
MAX_NOTED_BYTES = 2**20
"""Larger tensors are not noted but given to the caller."""
LIBRARIES = frozenset(sys.stdlib_module_names) | {
    *("lightning", "lightning_cnnviz", "lightning_fabric", "lightning_utilities", "numpy", "pytorch_lightning"),
    *("torch", "torchmetrics"),
}
"""Packages whose classes and functions keep nothing of a forward pass in themselves."""

PutBack: TypeAlias = Callable[[], None]
_CONTAINERS = (dict, list, tuple, set, frozenset, deque, bytearray)
_WRAPPERS = (partial, property, staticmethod, classmethod)
_GENERATORS: list[tuple[Any, Callable[[Any], Any], Callable[[Any, Any], Any]]] = [
    (torch.Generator, torch.Generator.get_state, torch.Generator.set_state),
    (np.random.RandomState, np.random.RandomState.get_state, np.random.RandomState.set_state),
    (
        np.random.Generator,
        lambda generator: generator.bit_generator.state,
        lambda generator, state: setattr(generator.bit_generator, "state", state),
    ),
    (random.Random, random.Random.getstate, random.Random.setstate),
]
_KNOWN = (*_CONTAINERS, *_WRAPPERS, nn.Module, Tensor, np.ndarray, *(kind for kind, _, _ in _GENERATORS))


@contextmanager
def surroundings_kept(contents: Contents) -> Iterator[list[Tensor]]:
    """Context on whose exit the classes and functions of a model, and the globals that these use, are as before.

    Noted and, where they have changed, put back are class attributes, mutable defaults, closures and globals with what
    is in them: plain values, containers, small tensors and arrays, random generators, and attributes of objects.

    Yields:
        The tensors that are too large to be noted.

    Example:
        >>> from lightning_cnnviz.model.contents import contents_of
        >>> class Counting(nn.Module):
        ...     calls, seen, __module__ = 0, [], "mine"
        ...     def forward(self, x):
        ...         Counting.calls += 1
        ...         self.seen.append(x)
        >>> with surroundings_kept(contents_of(Counting())):
        ...     Counting()(3)
        >>> Counting.calls, Counting.seen
        (0, [])
    """
    notes, large = list[PutBack](), list[Tensor]()
    kinds = {type(module) for module in contents.modules} | contents.kinds
    waiting = deque[object](dict.fromkeys(base for kind in kinds for base in kind.__mro__))
    waiting += contents.functions
    seen = {id(module) for module in contents.modules}  # which are copied
    while waiting and len(seen) < MAX_NOTED:
        value = waiting.popleft()
        if type(value) in PLAIN or id(value) in seen or not _may_keep_something(value):
            continue
        seen.add(id(value))
        if isinstance(value, Tensor) and not is_lazy(value) and value.nbytes > MAX_NOTED_BYTES:
            large.append(value)
        else:
            own, inside = _note(value)
            notes += own
            waiting += inside
    try:
        yield large
    finally:
        with torch.no_grad():
            for put_back in notes:
                put_back()


def _may_keep_something(value: object) -> bool:
    if isinstance(value, (ModuleType, Dataset, DataLoader)):
        return False
    named = value if isinstance(value, (type, FunctionType)) else type(value)
    return isinstance(value, _KNOWN) or str(named.__module__).partition(".")[0] not in LIBRARIES


def _note(value: Any) -> tuple[list[PutBack], Iterable[object]]:
    """How to put a value back, and the values inside of it."""
    if isinstance(value, type):
        own = _own_attributes(value)
        return [partial(_restore_class, value, own)], own.values()
    if isinstance(value, FunctionType):
        names = _names(value.__code__)
        used = {name: value.__globals__[name] for name in names if name in value.__globals__}
        cells = [(cell, content) for cell in value.__closure__ or () for content in _content(cell)]
        notes: list[PutBack] = [partial(setattr, cell, "cell_contents", content) for cell, content in cells]
        notes += [partial(_restore_names, value.__globals__, names, used), *_container(vars(value))]
        return notes, [*parts_of(value), *used.values(), *vars(value).values()]
    if isinstance(value, Tensor):
        usable = value.layout == torch.strided and not is_lazy(value) and not value.is_inference()
        return [partial(_restore_tensor, value, value.detach().clone())] if usable else [], ()
    if isinstance(value, np.ndarray):
        return [partial(np.copyto, value, value.copy())] if value.flags.writeable else [], ()
    for kind, read, write in _GENERATORS:
        if isinstance(value, kind):
            return [partial(write, value, read(value))], ()
    if isinstance(value, property):
        return [], [value.fget, value.fset]
    if isinstance(value, (staticmethod, classmethod)):
        return [], [value.__func__]
    attributes = getattr(value, "__dict__", {})
    return [*_container(value), *_container(attributes)], [*parts_of(value), *attributes.values()]


def _own_attributes(kind: type) -> dict[str, Any]:
    return {name: part for name, part in vars(kind).items() if not (name.startswith("__") and name.endswith("__"))}


def _names(code: CodeType) -> set[str]:
    """The names that a function and the functions inside of it use."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return {*code.co_names, *(name for part in inner for name in _names(part))}


def _content(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not assigned yet
        return []


def _container(value: Any) -> list[PutBack]:
    """How to put back what a container holds."""
    if isinstance(value, dict):
        return [partial(_restore_entries, value, dict(value), value.update)]
    if isinstance(value, set):
        return [partial(_restore_entries, value, set(value), value.update)]
    if isinstance(value, (list, deque, bytearray)):
        return [partial(_restore_entries, value, list(value), value.extend)]
    return []


def _restore_entries(container: Any, before: Any, fill: Callable[[Any], None]) -> None:
    same = len(container) == len(before) and all(map(operator.is_, container, before))
    if same and isinstance(container, dict):
        same = all(map(operator.is_, container.values(), before.values()))
    if not same:
        container.clear()
        fill(before)


def _restore_class(kind: type, before: dict[str, Any]) -> None:
    now = _own_attributes(kind)
    for name in now.keys() - before.keys():
        delattr(kind, name)
    for name, value in before.items():
        if name not in now or now[name] is not value:
            setattr(kind, name, value)


def _restore_names(names: dict[str, Any], used: Iterable[str], before: dict[str, Any]) -> None:
    for name in used:
        if name in before and names.get(name) is not before[name]:
            names[name] = before[name]
        elif name not in before and name in names:
            del names[name]


def _restore_tensor(tensor: Tensor, before: Tensor) -> None:
    if tensor.shape != before.shape:
        tensor.data = before
    elif not torch.equal(tensor, before):
        tensor.copy_(before)
