"""A copy of a user's model whose forward passes leave no trace in the original."""

import copy
import inspect
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from functools import partial
from types import BuiltinMethodType, CellType, FunctionType, ModuleType, NoneType
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from lightning_cnnviz.model.torch_internals import (
    Uncompiled,
    compiled_original,
    filtered_hooks,
    foreign_attributes,
    without_compiled_code,
)

MAX_WEIGHT_BYTES = 64 * 2**20
"""Weights of more than this in total, and stored tensors of more than this each, are shared with the original."""
MAX_DEPTH = 4
"""How deep attributes that cannot be copied as a whole are searched for the part that cannot."""


def independent_copy(model: nn.Module) -> nn.Module:
    """Copies a model so that whatever its forward pass changes is changed in the copy only.

    Modules, buffers and plain attributes (counters, caches, states, metrics, random generators, functions that refer
    to them) are copied. Shared are: weights of more than 64 MiB in total, larger stored tensors, data modules,
    datasets, and what cannot be copied, such as a lock. Hooks are kept if all that they change is in the copy, and
    left out otherwise, as those of a tool that watches the model; `self.log` and the trainer's loggers do nothing.

    Args:
        model: The model; a compiled one gives an uncompiled copy.

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
    tensors, objects, functions, modules = _contents(model)
    given = _given(model, tensors, objects, modules)
    try:
        copied, memo = _copied(model, given, functions, modules)
    except Exception:  # an attribute that cannot be copied, such as a lock
        apart = given | {id(module): module for module in modules} | {id(one): one for one in functions}
        for value in foreign_attributes(model):
            given |= {id(leaf): leaf for leaf in _not_copyable(value, apart, MAX_DEPTH)}
        copied, memo = _copied(model, given, functions, modules)
    for original in modules:
        twin = memo.get(id(original))
        if isinstance(twin, nn.Module) and twin is not original:
            if getattr(original, "_trainer", None) is not None:  # which Lightning leaves out of copies
                vars(twin)["_trainer"] = memo[id(vars(original)["_trainer"])]
                vars(twin).update(log=_log_nothing, log_dict=_log_nothing)
            without_compiled_code(twin)
    return copied


def _copied(
    model: nn.Module,
    given: Mapping[int, Any],
    functions: Iterable[FunctionType | BuiltinMethodType],
    modules: Iterable[nn.Module],
) -> tuple[nn.Module, dict[int, Any]]:
    """Copies a model; functions, which `deepcopy` shares, get closures and defaults of the copied objects."""
    memo = dict(given)
    pairs = [pair for module in modules for pair in filtered_hooks(module, _stays_inside)]
    memo |= {id(hooks): OrderedDict() for hooks, _ in pairs}  # filled once the modules are copied
    wrappers = [(module, original) for module in modules if (original := compiled_original(module)) is not None]
    memo |= {id(wrapper): Uncompiled() for wrapper, _ in wrappers}
    twins: list[tuple[FunctionType, FunctionType]] = []
    for function in functions:
        if isinstance(function, FunctionType):
            twin = memo[id(function)] = _empty_twin(function)
            twins.append((function, twin))
    for function in functions:
        if isinstance(function, BuiltinMethodType):  # such as the `append` of a list
            memo[id(function)] = getattr(copy.deepcopy(function.__self__, memo), function.__name__)
    for wrapper, original in wrappers:
        memo[id(wrapper)].add_module("_orig_mod", copy.deepcopy(original, memo))
    copied = copy.deepcopy(model, memo)
    for hooks, kept in pairs:
        memo[id(hooks)].update(copy.deepcopy(kept, memo))
    for function, twin in twins:
        twin.__defaults__ = copy.deepcopy(function.__defaults__, memo)
        twin.__kwdefaults__ = copy.deepcopy(function.__kwdefaults__, memo)
        for cell, new in zip(function.__closure__ or (), twin.__closure__ or (), strict=True):
            try:
                new.cell_contents = copy.deepcopy(cell.cell_contents, memo)
            except ValueError:  # not assigned yet
                continue
    return copied, memo


def _empty_twin(function: FunctionType) -> FunctionType:
    closure = None if function.__closure__ is None else tuple(CellType() for _ in function.__closure__)
    twin = FunctionType(function.__code__, function.__globals__, function.__name__, None, closure)
    twin.__dict__.update(function.__dict__)
    return twin


def _given(
    model: nn.Module, tensors: Iterable[Tensor], objects: Iterable[object], modules: Iterable[nn.Module]
) -> dict[int, Any]:
    """What takes the place of tensors, hooks and objects that are not to be copied, by their `id`."""
    parameters = list(model.parameters())
    heavy = sum(parameter.nbytes for parameter in parameters) > MAX_WEIGHT_BYTES
    given: dict[int, Any] = {id(kept): kept for kept in objects}
    trainers = {
        id(trainer): trainer for module in modules if (trainer := getattr(module, "_trainer", None)) is not None
    }
    given |= {key: _silent_trainer(trainer) for key, trainer in trainers.items()}
    given |= {id(tensor): _twin(tensor, tensor.nbytes > MAX_WEIGHT_BYTES) for tensor in tensors}
    given |= {id(parameter): _twin(parameter, heavy) for parameter in parameters if type(parameter) is nn.Parameter}
    given |= {id(buffer): _twin(buffer, share=False) for buffer in model.buffers()}
    return given


def _twin(tensor: Tensor, share: bool) -> Tensor:
    data = tensor.detach() if share else tensor.detach().clone()
    return nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data


def _contents(
    model: nn.Module,
) -> tuple[list[Tensor], list[object], list[FunctionType | BuiltinMethodType], list[nn.Module]]:
    """The tensors, the objects that are never copied, the functions and the modules in a model's attributes."""
    tensors, objects = list[Tensor](), list[object]()
    functions, modules = list[FunctionType | BuiltinMethodType](), list(model.modules())
    waiting = deque[object]([*foreign_attributes(model), *_kept_hooks(modules)])
    seen = {id(module) for module in modules}
    while waiting:
        value = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, (Dataset, DataLoader, Optimizer)) or hasattr(value, "train_dataloader"):
            if not isinstance(value, nn.Module):
                objects.append(value)
        elif isinstance(value, nn.Module):  # kept beside the registered ones
            new = [part for part in value.modules() if part is value or id(part) not in seen]
            modules += new
            waiting.extend(_kept_hooks(new))
            seen |= {id(part) for part in value.modules()}
            waiting.extend(foreign_attributes(value))
        elif isinstance(value, FunctionType):
            functions.append(value)
            waiting.extend(_closure(value))
        elif isinstance(value, BuiltinMethodType) and not isinstance(value.__self__, (NoneType, type, ModuleType)):
            functions.append(value)
            waiting.append(value.__self__)
        elif isinstance(value, partial):
            waiting.extend([value.func, value.args, value.keywords])
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple, set, frozenset, deque)):
            waiting.extend(value)
        elif hasattr(value, "__func__"):  # a bound method
            waiting.append(getattr(value, "__self__", None))
    return tensors, objects, functions, modules


def _closure(function: FunctionType) -> list[object]:
    found: list[object] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return found


def _kept_hooks(modules: Iterable[nn.Module]) -> list[object]:
    return [hook for module in modules for _, kept in filtered_hooks(module, _stays_inside) for hook in kept.values()]


def _stays_inside(hook: object) -> bool:
    """Whether all that a hook can change is in the model, so that in a copy it changes the copy only.

    Of PyTorch's own hooks that is known: they compute weights, or observe for quantisation.
    """
    if str(getattr(hook, "__module__", "")).startswith("torch."):
        return True
    function = getattr(hook, "__func__", hook)
    owner = getattr(hook, "__self__", None)
    if not isinstance(function, FunctionType) or not (owner is None or isinstance(owner, nn.Module)):
        return False
    outside = inspect.getclosurevars(function)
    harmless = all(isinstance(part, (ModuleType, type)) for part in outside.globals.values())
    reachable = all(isinstance(part, (nn.Module, Tensor, int, float, str)) for part in outside.nonlocals.values())
    return harmless and reachable and not {"print", "open", "setattr", "exec", "eval"} & set(outside.builtins)


def _not_copyable(value: object, given: Mapping[int, Any], depth: int) -> list[object]:
    """The parts of a value that cannot be copied, as far inside as they can be told."""
    if _can_be_copied(value, given):
        return []
    parts: list[object] = []
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        parts = list(value)
    elif hasattr(value, "__dict__"):
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


class _Nothing:
    """A logger, and whatever a user gets from it, that takes everything and does nothing."""

    def __getattr__(self, name: str) -> "_Nothing":
        return self

    def __call__(self, *_: Any, **__: Any) -> "_Nothing":
        return self


def _silent_trainer(trainer: Any) -> Any:
    """A shallow copy of a trainer whose logger does nothing."""
    silent = copy.copy(trainer)
    silent.loggers = [_Nothing() for _ in trainer.loggers]
    return silent


def _log_nothing(*_: Any, **__: Any) -> None:
    """Takes the place of `self.log`."""
