"""A copy of a user's model whose forward passes leave no trace in the original."""

import copy
from collections import deque
from collections.abc import Iterable, Mapping
from types import CellType, FunctionType
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from lightning_cnnviz.model.torch_internals import foreign_attributes, keep_hooks, without_compiled_code

MAX_WEIGHT_BYTES = 64 * 2**20
"""Weights of more than this in total, and stored tensors of more than this each, are shared with the original."""


def independent_copy(model: nn.Module) -> nn.Module:
    """Copies a model so that whatever its forward pass changes is changed in the copy only.

    Modules, buffers and plain attributes (counters, caches, states, metrics, random generators) are copied. Shared
    are: weights of more than 64 MiB in total, larger stored tensors, the trainer, datasets, and what cannot be copied,
    such as a lock. Hooks are left out, except for PyTorch's own, which compute weights; `self.log` does nothing.

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
    given = _given(model)
    memo = dict(given)
    try:
        copied = copy.deepcopy(model, memo)
    except Exception:  # an attribute that cannot be copied, such as a lock
        apart = given | {id(module): module for module in model.modules()}
        given |= {id(value): value for value in foreign_attributes(model) if not _can_be_copied(value, apart)}
        memo = dict(given)
        copied = copy.deepcopy(model, memo)
    for original in model.modules():
        twin = memo.get(id(original))
        if isinstance(twin, nn.Module) and twin is not original:
            if hasattr(original, "_trainer"):  # which Lightning leaves out of copies
                vars(twin)["_trainer"] = vars(original)["_trainer"]
                vars(twin).update(log=_log_nothing, log_dict=_log_nothing)
            without_compiled_code(twin)
            keep_hooks(twin, lambda hook: str(getattr(hook, "__module__", "")).startswith("torch."))
            for name, value in list(vars(twin).items()):
                if isinstance(value, FunctionType):
                    vars(twin)[name] = _rebound(value, memo)
    return copied


def _given(model: nn.Module) -> dict[int, Any]:
    """What takes the place of the model's tensors and of objects that are not to be copied, by their `id`."""
    parameters = list(model.parameters())
    stored, objects = _contents(foreign_attributes(model))
    trainers = [trainer for module in model.modules() if (trainer := getattr(module, "_trainer", None)) is not None]
    heavy = sum(parameter.nbytes for parameter in parameters) > MAX_WEIGHT_BYTES
    given: dict[int, Any] = {id(kept): kept for kept in [*objects, *trainers]}
    given |= {id(tensor): _twin(tensor, tensor.nbytes > MAX_WEIGHT_BYTES) for tensor in stored}
    given |= {id(parameter): _twin(parameter, heavy) for parameter in parameters}
    return given | {id(buffer): _twin(buffer, share=False) for buffer in model.buffers()}


def _twin(tensor: Tensor, share: bool) -> Tensor:
    data = tensor.detach() if share else tensor.detach().clone()
    return nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else data


def _contents(values: Iterable[object]) -> tuple[list[Tensor], list[object]]:
    """The tensors in plain attributes and their containers, and the objects that are never copied."""
    tensors, objects = list[Tensor](), list[object]()
    waiting, seen = deque(values), set[int]()
    while waiting:
        value = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, (Dataset, DataLoader, Optimizer)):
            objects.append(value)
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple, set, frozenset, deque)):
            waiting.extend(value)
    return tensors, objects


def _can_be_copied(value: object, given: Mapping[int, Any]) -> bool:
    try:
        copy.deepcopy(value, dict(given))
    except Exception:
        return False
    return True


def _rebound(function: FunctionType, memo: Mapping[int, Any]) -> FunctionType:
    """A function kept in an attribute, which refers to the copies of the modules that it refers to."""
    cells = function.__closure__ or ()
    twins = [_module_twin(cell, memo) for cell in cells]
    if all(twin is None for twin in twins):
        return function
    closure = tuple(cell if twin is None else CellType(twin) for cell, twin in zip(cells, twins, strict=True))
    return FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, closure)


def _module_twin(cell: CellType, memo: Mapping[int, Any]) -> nn.Module | None:
    try:
        value = cell.cell_contents
    except ValueError:  # not assigned yet
        return None
    return memo.get(id(value)) if isinstance(value, nn.Module) else None


def _log_nothing(*_: Any, **__: Any) -> None:
    """Takes the place of `self.log`."""
