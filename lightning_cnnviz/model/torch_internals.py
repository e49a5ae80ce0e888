"""The private PyTorch APIs that this package relies on, each with the reason; none are used elsewhere.

`tests/model/test_torch_internals.py` tests each separately, so that a failing test names the API that a release of
PyTorch has changed.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_cnnviz.errors import NotRunAgainError


def copy_all(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copies many tensors in one fused call, `torch._foreach_copy_`; one by one takes ten times as long.

    Example:
        >>> targets = [torch.zeros(2)]
        >>> copy_all(targets, [torch.ones(2)])
        >>> targets
        [tensor([1., 1.])]
    """
    torch._foreach_copy_(list(targets), list(sources))


def norms_of(tensors: Sequence[Tensor], order: float, dtype: torch.dtype) -> Tensor:
    """Returns the vector norms of many tensors, computed in one fused call, `torch._foreach_norm`.

    Public functions return the norm over all tensors (`torch.nn.utils.get_total_norm`) or of one tensor at a time.

    Example:
        >>> norms_of([torch.tensor([3.0, 4.0])], 2, torch.float32)
        tensor([5.])
    """
    return torch.stack(torch._foreach_norm(list(tensors), order, dtype=dtype))


def write_count(tensor: Tensor) -> int:
    """How often a tensor, or what shares its memory, was written to: `Tensor._version`; 0 if that is not counted.

    There is no public alternative to tell which arguments a function changes.

    Example:
        >>> values = torch.zeros(3)
        >>> _ = values[:2].add_(1)
        >>> write_count(values)
        1
    """
    return 0 if tensor.is_inference() else tensor._version


def unscales_in_step(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer divides gradients by the loss scale within its step, as fused optimizers do.

    `GradScaler` itself checks `_step_supports_amp_scaling`; there is no public alternative.

    Example:
        >>> unscales_in_step(torch.optim.SGD([torch.zeros(1, requires_grad=True)]))
        False
    """
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def forward_pre_hooks(module: nn.Module) -> list[object]:
    """What a module calls before each forward pass: `Module._forward_pre_hooks`; hooks can be added but not listed.

    Example:
        >>> forward_pre_hooks(nn.Linear(4, 3))
        []
    """
    return list(module._forward_pre_hooks.values())


def is_compiled(module: nn.Module) -> bool:
    """Whether calls of a module run compiled code, which ignores hooks that are registered afterwards.

    `torch.compile` wraps a module and keeps the original as `_orig_mod`; Lightning sets `_compiler_ctx`.

    Example:
        >>> is_compiled(nn.Linear(4, 3))
        False
    """
    return hasattr(module, "_orig_mod") or getattr(module, "_compiler_ctx", None) is not None


def calls_compiled_code(module: nn.Module) -> bool:
    """Whether calls of a module run compiled code, also that of `Module.compile`.

    Example:
        >>> calls_compiled_code(nn.Linear(4, 3))
        False
    """
    return is_compiled(module) or vars(module).get("_compiled_call_impl") is not None


def filtered_hooks(
    module: nn.Module, wanted: Callable[[object], bool]
) -> list[tuple[OrderedDict[int, Any], OrderedDict[int, Any]]]:
    """Returns each of a module's dictionaries of hooks, with one that has only the wanted hooks.

    Without their handles hooks can be neither listed nor removed.

    Example:
        >>> layer = nn.Linear(4, 3)
        >>> _ = layer.register_forward_pre_hook(print)
        >>> any(kept for _, kept in filtered_hooks(layer, lambda hook: False))
        False
    """
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    found = [hooks for name in names if (hooks := vars(module).get(name)) is not None]
    return [(hooks, OrderedDict((key, hook) for key, hook in hooks.items() if wanted(hook))) for hooks in found]


def runs_compiled_code(model: nn.Module) -> bool:
    """Whether a model or a module in it was compiled, by whatever means; see `is_compiled`.

    Example:
        >>> layer = nn.Linear(4, 3)
        >>> layer.compile()
        >>> runs_compiled_code(nn.Sequential(layer)), runs_compiled_code(nn.Linear(4, 3))
        (True, False)
    """
    return any(is_compiled(part) or vars(part).get("_compiled_call_impl") is not None for part in model.modules())


class Uncompiled(nn.Module):
    """Takes the place of what `torch.compile` has returned for a module, with its name `_orig_mod`, in a copy.

    The original holds compiled code, which some releases of PyTorch cannot copy.
    """

    def forward(self, *args: Any, **options: Any) -> Any:
        """Calls the module itself."""
        return self._orig_mod(*args, **options)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("_orig_mod"), name)


def compiled_original(module: nn.Module) -> nn.Module | None:
    """Returns the module that `torch.compile` has wrapped; None if a module is no such wrapper.

    Example:
        >>> layer = nn.Linear(4, 3)
        >>> compiled_original(torch.compile(layer)) is layer, compiled_original(layer)
        (True, None)
    """
    return dict(module.named_children()).get("_orig_mod")


def without_compiled_code(module: nn.Module) -> None:
    """Removes the compiled calls that `Module.compile` and Lightning attach to a module itself.

    Example:
        >>> without_compiled_code(nn.Linear(4, 3))
    """
    if vars(module).get("_compiled_call_impl") is not None:
        module._compiled_call_impl = None
    if getattr(module, "_compiler_ctx", None):
        vars(module).pop("forward", None)  # the compiled one; the class has the original


def uncompiled(model: nn.Module) -> nn.Module:
    """Removes compiled code from a model, in place, and returns it; callers should pass a copy.

    Example:
        >>> layer = nn.Linear(4, 3)
        >>> uncompiled(torch.compile(layer)) is layer
        True
    """
    model = getattr(model, "_orig_mod", model)
    for module in list(model.modules()):
        without_compiled_code(module)
        for name, child in list(module.named_children()):
            setattr(module, name, getattr(child, "_orig_mod", child))
    return model


def foreign_attributes(model: nn.Module) -> Iterator[object]:
    """Yields the values of all attributes of the modules, except those that `nn.Module` and `torch.compile` set."""
    inner = {*vars(nn.Module()), "_compiled_call_impl", "_compiler_ctx"}
    steps = {"forward", "training_step", "validation_step", "test_step", "predict_step"}
    for module in model.modules():
        if compiled_original(module) is None:
            compiled = steps if getattr(module, "_compiler_ctx", None) else set()  # by Lightning
            yield from (value for name, value in vars(module).items() if name not in inner | compiled)


def graph_below(tensor: Tensor, stop: Container[str]) -> Iterator[Node]:
    """The nodes of a tensor's autograd graph from the top, each once, not going beyond nodes named in `stop`.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> [node.name() for node in graph_below((2 * x).sum(), stop=())]
        ['SumBackward0', 'MulBackward0', 'torch::autograd::AccumulateGrad']
    """
    waiting = deque([] if tensor.grad_fn is None else [tensor.grad_fn])
    seen = set(waiting)
    while waiting:
        node = waiting.popleft()
        yield node
        below = [] if node.name() in stop else [part for part, _ in node.next_functions if part is not None]
        waiting += [part for part in dict.fromkeys(below) if part not in seen]
        seen.update(below)


def compared_tensors(node: Node) -> tuple[Tensor, Tensor] | None:
    """The input and target that a loss function's node keeps for its backward pass; None if they are gone or hooked.

    The names of what a node keeps are documented by example only ("Saved tensors" in PyTorch's autograd mechanics).
    Reading what functions of the user's or a checkpoint have packed would call these, so it is left alone; releases of
    PyTorch whose saved tensors have no `unpack_hook` do not tell.

    Example:
        >>> loss = nn.functional.mse_loss(torch.ones(2, requires_grad=True), torch.zeros(2))
        >>> [tensor.tolist() for tensor in compared_tensors(loss.grad_fn)]
        [[1.0, 1.0], [0.0, 0.0]]
    """
    try:
        kept = node._raw_saved_self, node._raw_saved_target  # type: ignore[attr-defined]
        if any(getattr(saved, "unpack_hook", None) is not None for saved in kept):
            return None
        return node._saved_self, node._saved_target  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):  # not kept, or freed or overwritten meanwhile
        return None


def class_weights(node: Node) -> Tensor | None:
    """The weights of the classes that the node of a loss keeps, shape (classes,); None if there are none.

    Example:
        >>> scores = torch.zeros(1, 2, requires_grad=True).log_softmax(1)
        >>> loss = nn.functional.nll_loss(scores, torch.tensor([1]), weight=torch.tensor([1.0, 9.0]))
        >>> class_weights(loss.grad_fn)
        tensor([1., 9.])
    """
    try:
        if getattr(node._raw_saved_weight, "unpack_hook", None) is not None:  # type: ignore[attr-defined]
            return None
        weights: Tensor | None = node._saved_weight  # type: ignore[attr-defined]
        return weights
    except (AttributeError, RuntimeError):  # not kept, or freed or overwritten meanwhile
        return None


class WritesRefused(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context in which an operation that would write into the memory of given tensors raises an error instead.

    There is no public way to make a tensor read-only. What writes without PyTorch's knowledge is not seen.

    Example:
        >>> weight = torch.zeros(2)
        >>> with WritesRefused([weight]):  # doctest: +ELLIPSIS
        ...     weight[:1] = 3
        Traceback (most recent call last):
            ...
        lightning_cnnviz.errors.NotRunAgainError: ... writes into a tensor that is too large to be copied; ...
        >>> weight
        tensor([0., 0.])
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._memory = {place for tensor in tensors if (place := memory_address(tensor)) is not None}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation, after a look at its arguments."""
        options = kwargs or {}
        for position, argument in enumerate(function._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = args[position] if position < len(args) else options.get(argument.name)
                for tensor in value if isinstance(value, (list, tuple)) else [value]:
                    if isinstance(tensor, Tensor) and memory_address(tensor) in self._memory:
                        raise NotRunAgainError("its forward() writes into a tensor that is too large to be copied")
        return function(*args, **options)


class Operation(NamedTuple):
    """What an operation did with tensors.

    Attributes:
        name: Without namespace and overload, e.g. `"add_"`.
        given: Its arguments, without those that it overwrites only by keyword (`out`).
        written: The arguments that it writes to.
        made: The results, without those that are arguments.
    """

    name: str
    given: list[Tensor]
    written: list[Tensor]
    made: list[Tensor]


class OperationsHeard(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context in which a function is told of every operation on tensors, after it has run.

    Hooks of modules do not see what runs between modules, and only an operator's schema tells what it writes to.

    Example:
        >>> with OperationsHeard(lambda operation: print(operation.name, len(operation.made))):
        ...     _ = torch.ones(2).add_(1)
        ones 1
        add_ 0
    """

    def __init__(self, tell: Callable[[Operation], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tell = tell

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and tells of it."""
        options = kwargs or {}
        result = function(*args, **options)
        given, written = list[Tensor](), list[Tensor]()
        for position, argument in enumerate(function._schema.arguments):
            value = args[position] if position < len(args) else options.get(argument.name)
            tensors = _tensors_in(value)
            writes = argument.alias_info is not None and argument.alias_info.is_write
            written += tensors if writes else []
            given += [] if writes and argument.kwarg_only else tensors
        made = [part for part in _tensors_in(result) if not any(part is other for other in written)]
        self._tell(Operation(function._schema.name.rpartition("::")[2], given, written, made))
        return result


def _tensors_in(value: object) -> list[Tensor]:
    parts = value if isinstance(value, (list, tuple)) else [value]
    return [part for part in parts if isinstance(part, Tensor)]


def memory_address(tensor: Tensor) -> int | None:
    """The address of a tensor's memory, which its views share; None of a kind that has none of its own.

    Example:
        >>> values = torch.zeros(2, 3)
        >>> memory_address(values) == memory_address(values[0]), memory_address(values.to_sparse())
        (True, None)
    """
    try:
        return tensor.untyped_storage().data_ptr() or None
    except (RuntimeError, ValueError):
        return None
