"""What the attributes of a model hold, down to the objects inside of objects, as far as a copy has to know it."""

import weakref
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import BuiltinMethodType, FunctionType, ModuleType, NoneType
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from lightning_cnnviz.errors import NotRunAgainError
from lightning_cnnviz.model.hook_reach import stays_inside
from lightning_cnnviz.model.torch_internals import filtered_hooks, foreign_attributes

MAX_OBJECTS = 100_000
"""Objects in a model's attributes, apart from those in `MAX_ENTRIES`; more are not copied."""
MAX_ENTRIES = 2_000_000
"""Numbers, texts and the like in lists, sets and dictionaries that hold nothing else; more are not copied."""
PLAIN = frozenset({bool, int, float, complex, str, bytes, NoneType, torch.dtype, torch.device, torch.Size})
FLAT = frozenset({dict, OrderedDict, list, tuple, set, frozenset, deque, bytearray})

Function: TypeAlias = FunctionType | BuiltinMethodType


@dataclass(eq=False)
class Contents:
    """What the attributes of a model hold.

    Attributes:
        modules: The registered modules, and those that attributes refer to.
        tensors: Stored tensors, other than parameters and buffers.
        arrays: NumPy arrays.
        functions: Functions, which refer to other objects by closures and defaults, and methods of built-in objects.
        flat: Containers of numbers, texts and the like.
        references: Weak references.
        weak: Weak dictionaries and sets.
        apart: Objects that are no part of the model: datasets, loaders, optimizers, trainers.
        kinds: Classes of all other objects.
    """

    modules: list[nn.Module]
    tensors: list[Tensor] = field(default_factory=list)
    arrays: list[npt.NDArray[Any]] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    flat: list[Any] = field(default_factory=list)
    references: list[Any] = field(default_factory=list)
    weak: list[Any] = field(default_factory=list)
    apart: list[object] = field(default_factory=list)
    kinds: set[type] = field(default_factory=set)


def contents_of(model: nn.Module) -> Contents:
    """Finds what a model's attributes hold.

    Raises:
        NotRunAgainError: If that are too many objects to be copied.

    Example:
        >>> net = nn.Linear(4, 3)
        >>> net.seen, net.average = [1, 2], {"weight": net.weight.detach().clone()}
        >>> found = contents_of(net)
        >>> found.flat, len(found.tensors)
        ([[1, 2]], 1)
    """
    found = Contents(list(model.modules()))
    waiting = deque[object]([*foreign_attributes(model), *kept_hooks(found.modules)])
    seen = {id(module) for module in found.modules}
    entries = 0
    while waiting:
        value = waiting.popleft()
        if type(value) in PLAIN or id(value) in seen:
            continue
        seen.add(id(value))
        if len(seen) > MAX_OBJECTS or entries > MAX_ENTRIES:
            raise NotRunAgainError("its attributes hold too many objects to be copied")
        if type(value) in weakref.ProxyTypes or isinstance(value, weakref.ref):
            found.references.append(value)
        elif isinstance(value, (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)):
            found.weak.append(value)
        elif isinstance(value, Tensor):
            found.tensors.append(value)
        elif isinstance(value, np.ndarray) and value.dtype != object:
            found.arrays.append(value)
        elif isinstance(value, nn.Module):  # kept beside the registered ones
            new = [part for part in value.modules() if part is value or id(part) not in seen]
            found.modules += new
            seen |= {id(part) for part in new}
            waiting += [*kept_hooks(new), *foreign_attributes(value)]
        elif isinstance(value, (Dataset, DataLoader, Optimizer)) or hasattr(value, "train_dataloader"):
            found.apart.append(value)
        elif type(value) in FLAT and _is_flat(value):
            found.flat.append(value)
            entries += len(found.flat[-1])
        else:
            if isinstance(value, FunctionType) or _is_bound(value):
                found.functions.append(value)
            found.kinds.add(type(value))
            waiting += parts_of(value)
    return found


def kept_hooks(modules: Iterable[nn.Module]) -> list[object]:
    """The hooks that a copy keeps; see `stays_inside`."""
    return [hook for module in modules for _, kept in filtered_hooks(module, stays_inside) for hook in kept.values()]


def parts_of(value: Any) -> list[object]:
    """The objects that a function, a container or a plain object refers to; none of what copies itself in its own way.

    Example:
        >>> parts_of({"a": [1]}), parts_of(partial(max, 3))
        ([[1]], [<built-in function max>, (3,), {}])
    """
    if isinstance(value, FunctionType):
        return [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), *cells_of(value)]
    if isinstance(value, BuiltinMethodType):
        return [value.__self__]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, Mapping):
        return [*value.values()]
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return [*value]
    if hasattr(value, "__func__"):  # a bound method
        return [getattr(value, "__self__", None)]
    if isinstance(value, (type, ModuleType)) or _copies_itself(type(value)):
        return []
    return [*getattr(value, "__dict__", {}).values()]


def cells_of(function: FunctionType) -> list[object]:
    """The contents of a function's closure.

    Example:
        >>> cells_of((lambda x: lambda: x)(3))
        [3]
    """
    found: list[object] = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return found


def _is_bound(value: object) -> TypeGuard[BuiltinMethodType]:
    return isinstance(value, BuiltinMethodType) and not isinstance(value.__self__, (NoneType, type, ModuleType))


def _copies_itself(kind: Any) -> bool:
    own = kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not object.__reduce__
    return own or hasattr(kind, "__deepcopy__")


def _is_flat(value: Any) -> bool:
    return set(map(type, value)) <= PLAIN and (not isinstance(value, dict) or set(map(type, value.values())) <= PLAIN)
