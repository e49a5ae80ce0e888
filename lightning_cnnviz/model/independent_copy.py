"""A copy of a user's model whose forward passes leave no trace in the original."""

import copy
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinMethodType, CellType, FunctionType
from typing import Any

import numpy.typing as npt
from torch import Tensor, nn

from lightning_cnnviz.model.contents import Contents, contents_of
from lightning_cnnviz.model.hook_reach import stays_inside
from lightning_cnnviz.model.stand_ins import fill_weak, read_only, silent_trainer, stand_in, twin_reference, uncached
from lightning_cnnviz.model.torch_internals import (
    Uncompiled,
    compiled_original,
    filtered_hooks,
    foreign_attributes,
    without_compiled_code,
)

MAX_BYTES = 64 * 2**20
"""Weights, buffers and stored tensors are copied up to so many bytes, the small ones first; the others are shared."""
MAX_DEPTH = 4
"""How deep attributes that cannot be copied as a whole are searched for the part that cannot."""


def independent_copy(model: nn.Module, contents: Contents | None = None) -> nn.Module:
    """Copies a model so that whatever its forward pass changes is changed in the copy only.

    Modules, buffers and plain attributes (counters, caches, states, metrics, random generators, functions and weak
    references that refer to them) are copied. Shared are: tensors and arrays beyond 64 MiB in total (see
    `shared_memory`), data modules, datasets, and what cannot be copied, such as a lock. Hooks are kept if all that
    they change is in the copy, and left out otherwise, as those of a tool that watches the model; `self.log`, the
    trainer's loggers and files that are written to do nothing, and iterators raise an error when they are used.

    Args:
        model: The model; a compiled one gives an uncompiled copy.
        contents: What its attributes hold, if that is known already.

    Raises:
        NotRunAgainError: If the attributes hold too many objects to be copied.

    Example:
        >>> import torch
        >>> class Counting(nn.Linear):
        ...     calls = 0
        ...     def forward(self, x):
        ...         self.calls += 1
        ...         return super().forward(x)
        >>> net = Counting(4, 3)
        >>> copied = independent_copy(net)
        >>> torch.equal(copied(torch.ones(5, 4)), net.forward(torch.ones(5, 4))), net.calls, copied.calls
        (True, 1, 1)
    """
    contents = contents_of(model) if contents is None else contents
    given = _given(model, contents)
    try:
        copied, memo = _copied(model, given, contents)
    except Exception:  # an attribute that cannot be copied, such as a lock
        apart = given | {id(one): one for one in (*contents.modules, *contents.functions)}
        for value in foreign_attributes(model):
            given |= {id(leaf): stand_in(leaf) for leaf in _not_copyable(value, apart, MAX_DEPTH)}
        copied, memo = _copied(model, given, contents)
    for original in contents.modules:
        twin = memo.get(id(original))
        if isinstance(twin, nn.Module) and twin is not original:
            if getattr(original, "_trainer", None) is not None:  # which Lightning leaves out of copies
                vars(twin)["_trainer"] = memo[id(vars(original)["_trainer"])]
                vars(twin).update(log=_log_nothing, log_dict=_log_nothing)
            vars(twin).update({name: uncached(method, twin) for name, method in _cached_methods(type(original))})
            without_compiled_code(twin)
    return copied


def shared_memory(model: nn.Module, contents: Contents) -> list[Tensor | npt.NDArray[Any]]:
    """The tensors and arrays that a copy shares with the model: what exceeds 64 MiB, when the small ones are copied.

    Example:
        >>> net = nn.Linear(8192, 2049)
        >>> [tensor is net.weight for tensor in shared_memory(net, contents_of(net))]
        [True]
    """
    kept = (*model.parameters(), *model.buffers(), *contents.tensors, *contents.arrays)
    shared, room = list[Tensor | npt.NDArray[Any]](), MAX_BYTES
    unique: dict[int, Any] = {id(values): values for values in kept}
    for values in sorted(unique.values(), key=lambda values: values.nbytes):
        room -= values.nbytes
        shared += [values] if room < 0 else []
    return shared


def _given(model: nn.Module, contents: Contents) -> dict[int, Any]:
    """What takes the place of tensors, hooks and objects that are not to be copied, by their `id`."""
    shared = {id(values): values for values in shared_memory(model, contents)}
    given: dict[int, Any] = {id(kept): kept for kept in contents.apart}
    trainers = {
        id(trainer): trainer
        for module in contents.modules
        if (trainer := getattr(module, "_trainer", None)) is not None
    }
    given |= {key: silent_trainer(trainer) for key, trainer in trainers.items()}
    given |= {id(flat): copy.copy(flat) for flat in contents.flat}
    given |= {id(one): twin_reference(one) or one for one in contents.references}
    given |= {id(array): read_only(array) for array in contents.arrays if id(array) in shared}
    weights = [weight for weight in model.parameters() if type(weight) is nn.Parameter]
    for tensor in (*contents.tensors, *weights, *model.buffers()):
        given[id(tensor)] = _twin(tensor, id(tensor) in shared)
    return given


def _twin(tensor: Tensor, share: bool) -> Tensor:
    data = tensor.detach() if share else tensor.detach().clone()
    return nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data


def _copied(model: nn.Module, given: Mapping[int, Any], contents: Contents) -> tuple[nn.Module, dict[int, Any]]:
    """Copies a model; functions, which `deepcopy` shares, get closures and defaults of the copied objects."""
    memo = dict(given)
    pairs = [pair for module in contents.modules for pair in filtered_hooks(module, stays_inside)]
    memo |= {id(hooks): OrderedDict() for hooks, _ in pairs}  # filled once the modules are copied
    memo |= {id(weak): type(weak)() for weak in contents.weak}  # likewise
    wrappers = [(part, original) for part in contents.modules if (original := compiled_original(part)) is not None]
    memo |= {id(wrapper): Uncompiled() for wrapper, _ in wrappers}
    references = [twin for one in contents.references if (twin := memo[id(one)]) is not one]
    twins: list[tuple[FunctionType, FunctionType]] = []
    for function in contents.functions:
        if isinstance(function, FunctionType):
            twin = memo[id(function)] = _empty_twin(function)
            twins.append((function, twin))
    for function in contents.functions:
        if isinstance(function, BuiltinMethodType):  # such as the `append` of a list
            memo[id(function)] = getattr(_copied_part(function.__self__, memo), function.__name__)
    for wrapper, original in wrappers:
        memo[id(wrapper)].add_module("_orig_mod", copy.deepcopy(original, memo))
    copied = copy.deepcopy(model, memo)
    for hooks, kept in pairs:
        memo[id(hooks)].update(copy.deepcopy(kept, memo))
    for weak in contents.weak:
        fill_weak(memo[id(weak)], weak, memo)
    for function, twin in twins:
        twin.__defaults__ = _copied_part(function.__defaults__, memo)
        twin.__kwdefaults__ = _copied_part(function.__kwdefaults__, memo)
        for cell, new in zip(function.__closure__ or (), twin.__closure__ or (), strict=True):
            try:
                new.cell_contents = _copied_part(cell.cell_contents, memo)
            except ValueError:  # not assigned yet
                continue
    for reference in references:
        reference.bind(memo)
    return copied, memo


def _empty_twin(function: FunctionType) -> FunctionType:
    closure = None if function.__closure__ is None else tuple(CellType() for _ in function.__closure__)
    twin = FunctionType(function.__code__, function.__globals__, function.__name__, None, closure)
    twin.__dict__.update(function.__dict__)
    return twin


def _copied_part(value: Any, memo: dict[int, Any]) -> Any:
    """A copy of what a function refers to; the value itself if it cannot be copied, such as a module or a lock."""
    known = len(memo)
    try:
        return copy.deepcopy(value, memo)
    except Exception:
        while len(memo) > known:  # copies that were begun and are not whole
            memo.popitem()
        return value


def _cached_methods(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Name and function of the methods with a `functools.lru_cache`, which would hold the copy."""
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("torch."):
            for name, value in vars(base).items():
                function = getattr(value, "__wrapped__", None)
                if function is not None and hasattr(value, "cache_info") and getattr(kind, name, None) is value:
                    yield name, function


def _not_copyable(value: object, given: Mapping[int, Any], depth: int) -> list[object]:
    """The parts of a value that cannot be copied, as far inside as they can be told."""
    if _can_be_copied(value, given):
        return []
    parts: list[object] = []
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        parts = list(value)
    elif hasattr(value, "__dict__") and stand_in(value) is value:
        parts = list(vars(value).values())
    inside = [leaf for part in parts for leaf in _not_copyable(part, given, depth - 1)] if depth else []
    known = {**given, **{id(leaf): leaf for leaf in inside}}
    return inside if inside and _can_be_copied(value, known) else [value]


def _can_be_copied(value: object, given: Mapping[int, Any]) -> bool:
    try:
        copy.deepcopy(value, dict(given))
    except Exception:
        return False
    return True


def _log_nothing(*_: Any, **__: Any) -> None:
    """Takes the place of `self.log`."""
