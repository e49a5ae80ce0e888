"""What each operation of a forward pass read, and which call of a module or function it belongs to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

from lightning_cnnviz.model.memory_history import MemoryHistory, memory_of
from lightning_cnnviz.model.outputs import first_tensor, tensors_in
from lightning_cnnviz.model.torch_internals import Operation, OperationsHeard

SAME_TENSOR = {"alias", "detach", "lift_fresh"}
"""Operations that give the tensor itself."""
ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
OVERWRITING = {"copy_", "fill_", "zero_", "normal_", "uniform_", "bernoulli_", "exponential_", "random_"}
"""Operations in place that do not read what they overwrite."""
SHAPE_ONLY = {
    *("zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "randint_like"),
    *("new_zeros", "new_ones", "new_full"),
}
"""Operations that read no values, only what kind of tensor they are given."""
TESTING = {"__bool__", "is_nonzero"}
"""Methods by which values decide what is run."""
LEAVING = {"numpy", "__array__", "tolist", "item", "__float__", "__int__", "__index__", "__dlpack__", "data_ptr"}
"""Methods by which values leave tensors, so that what is computed from them cannot be followed."""


@dataclass(eq=False)
class Call:
    """A call of a module or of a function.

    Attributes:
        name: A module's path as in `named_modules`, or the function's name, e.g. `"cat"`.
        is_module: Whether a module was called.
        parent: The call that it was made in.
        calls: The calls made in it.
        shape: Shape of the first tensor that it returned, with the batch dimension.
        unseen: Whether it read values of which no operation was seen that computed them.
        left: Indices of the steps whose values left PyTorch in it, as through `.numpy()`.
        tested: Indices of the steps whose values decided in it what was run, as through `if`.
    """

    name: str
    is_module: bool
    parent: "Call | None" = None
    calls: list["Call"] = field(default_factory=list)
    shape: tuple[int, ...] | None = None
    unseen: bool = False
    left: tuple[int, ...] = ()
    tested: tuple[int, ...] = ()

    @property
    def holds_modules(self) -> bool:
        """Whether modules were called in it."""
        return any(call.is_module or call.holds_modules for call in self.calls)


class Step(NamedTuple):
    """An operation that computed values, the first being the model's inputs themselves.

    Attributes:
        name: The operation.
        call: The innermost call that it was made in.
        sources: Indices of the steps that computed what it read.
        shape: Shape of its first result.
    """

    name: str
    call: Call
    sources: tuple[int, ...]
    shape: tuple[int, ...] | None


class DataFlow:
    """Listens to one forward pass: `enter` and `leave` are for modules' hooks, `listening` for the pass itself.

    Attributes:
        root: The pass as a whole; its calls are those that were made in it.
        steps: Its operations in order.
        returned: Indices of the steps that computed what the model returned.

    Example:
        >>> flow, x = DataFlow(), torch.ones(2)
        >>> with flow.listening(x):
        ...     _ = torch.relu(x) + x
        >>> [(step.name, step.sources) for step in flow.steps]
        [('input', ()), ('relu', (0,)), ('add', (1, 0))]
    """

    def __init__(self) -> None:
        self.root = self._call = Call("", is_module=False)
        self.steps: list[Step] = []
        self.returned: set[int] = set()
        self._first: list[int] = []  # for each module that runs, the number of its first step
        self._memory = MemoryHistory()
        self._passing = False
        self._looking = False  # what is called then is called by ourselves

    @contextmanager
    def listening(self, inputs: Tensor) -> Iterator[None]:
        """Context for the forward pass of inputs."""
        self.steps.append(Step("input", self.root, (), tuple(inputs.shape)))
        self._memory.allocated(inputs, 0)
        with OperationsHeard(self._hear), _FunctionsHeard(self._run):
            yield

    def enter(self, name: str) -> None:
        """Begins a call of a module."""
        self._begin(name, is_module=True)
        self._first.append(len(self.steps))

    def leave(self, result: Any) -> Any:
        """Ends the call of a module, and returns its result.

        Tensors that a module without submodules hands on as they are, as `nn.Identity` does, are replaced by aliases,
        to tell whether later calls use the input or the result.
        """
        first = self._first.pop()
        self._looking = True
        try:
            if self._call.parent is self.root:
                self.returned.update(*(self._memory.sources(tensor).writers for tensor in tensors_in(result)))
            if not self._call.holds_modules:
                result = self._handed_on(result, first)
            self._end(result)
        finally:
            self._looking = False
        return result

    def _handed_on(self, result: Any, first: int) -> Any:
        if type(result) in (tuple, list):
            return type(result)(self._handed_on(part, first) for part in result)
        if type(result) is not Tensor or result.layout is not torch.strided:
            return result
        if any(writer >= first for writer in self._memory.sources(result).writers):
            return result
        self._passing = True
        try:
            return torch.ops.aten.alias(result)
        finally:
            self._passing = False

    def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if self._looking:
            return function(*arguments, **options)
        called = _name_of(function)
        before, outer = len(self.steps), self._call
        self._begin(called, is_module=False)
        try:
            result = function(*arguments, **options)
        except Exception:  # which the model may expect
            self._call = outer
            raise
        if called in LEAVING and arguments and isinstance(arguments[0], Tensor):
            self._call.left = self._memory.sources(arguments[0]).writers
        if called in TESTING and arguments and isinstance(arguments[0], Tensor):
            self._call.tested = self._memory.sources(arguments[0]).writers
        self._end(result)
        if len(self.steps) == before and not outer.calls[-1].left and not outer.calls[-1].tested:
            outer.calls.pop()  # it computed nothing: an attribute, or what does nothing in evaluation
        return result

    def _begin(self, name: str, is_module: bool) -> None:
        call = Call(name, is_module, self._call)
        self._call.calls.append(call)
        self._call = call

    def _end(self, result: Any) -> None:
        first = first_tensor(result)
        self._call.shape = None if first is None else _shape_of(first)
        if self._call.parent is not None:
            self._call = self._call.parent

    def _hear(self, operation: Operation) -> None:
        memory, name = self._memory, operation.name
        whole = name == "slice" and _shape_of(operation.made[0]) == _shape_of(operation.given[0])  # as in x[:, 0]
        if (name in SAME_TENSOR or whole) and not self._passing:
            for tensor in operation.made:
                memory.passed_on(tensor, operation.given[0])
            return
        if name in ALLOCATIONS:
            for tensor in operation.made:
                memory.allocated(tensor, None)
            return
        overwritten = operation.written if name in OVERWRITING else []
        sources: dict[int, None] = {}
        for tensor in [] if name in SHAPE_ONLY else operation.given:
            if any(tensor is other for other in overwritten):
                continue
            views = [other for other in operation.made if memory_of(other) is memory_of(tensor)]
            for part in views or [tensor]:
                read = memory.sources(tensor, part)
                sources |= dict.fromkeys(read.writers)
                self._call.unseen |= not read.certain
        changed = [*operation.made, *operation.written]
        if not changed:
            return
        self.steps.append(Step(name, self._call, tuple(sources), _shape_of(changed[0])))
        for tensor in operation.written:
            memory.wrote(tensor, len(self.steps) - 1)
        for tensor in operation.made:
            if memory.known(tensor) or any(memory_of(tensor) is memory_of(other) for other in operation.given):
                memory.viewed(tensor, len(self.steps) - 1)
            else:
                memory.allocated(tensor, len(self.steps) - 1)


class _FunctionsHeard(TorchFunctionMode):
    """Context in which every function of PyTorch is called by `run`; not those that such a function calls."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self._run = run

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._run(function, args, kwargs or {})


def _name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", str(function))
    if name == "__get__":  # of a property such as `Tensor.mT`
        name = (resolve_name(function) or name).split(".")[-2]
    return name


def _shape_of(tensor: Tensor) -> tuple[int, ...] | None:
    try:
        return tuple(tensor.shape)
    except RuntimeError:  # of a nested tensor
        return None
