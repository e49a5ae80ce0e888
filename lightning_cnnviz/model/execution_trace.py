"""A trace of a forward pass: modules in execution order, their output shapes and their operation counts."""

import warnings
from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lightning_cnnviz.model.data_flow import DataFlow
from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.hooks import takes_hooks
from lightning_cnnviz.model.outputs import first_tensor


class ExecutionTrace:
    """The modules that ran in one forward pass.

    Args:
        counter: Counts the operations of the pass.
        samples: Size of the batch.

    Attributes:
        runs: Module name → number of runs, in the order in which the modules were first called.
        shapes: Module name → shape of its first output, without the batch dimension; None if it was not a tensor.
        flops: Call stack of module names, outermost first → floating-point operations in the innermost module, as
            counted by `torch.utils.flop_counter`, for the whole batch.
        flow: Its operations and what they read.
        samples: Size of the batch.
    """

    def __init__(self, counter: FlopCounterMode, samples: int) -> None:
        self.runs = Counter[str]()
        self.shapes: dict[str, tuple[int, ...] | None] = {}
        self.flops = Counter[tuple[str, ...]]()
        self.flow = DataFlow()
        self.samples = samples
        self._counter = counter
        self._running: list[str] = []
        self._settled = 0

    def enter(self, name: str) -> None:
        """Records that a module is called."""
        self._settle()
        self._running.append(name)
        self.runs[name] += 1
        self.flow.enter(name)

    def leave(self, name: str, result: Any) -> Any:
        """Records that the module called last has returned; returns its result, see `DataFlow.leave`."""
        self._settle()
        self._running.pop()
        tensor = first_tensor(result)
        self.shapes.setdefault(name, None if tensor is None else self.of_one_sample(tensor.shape))
        return self.flow.leave(result)

    def of_one_sample(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Returns a shape without the batch dimension, if it has one."""
        return tuple(shape[1:] if shape and shape[0] == self.samples else shape)

    def _settle(self) -> None:
        total = self._counter.get_total_flops()
        self.flops[tuple(self._running)] += total - self._settled
        self._settled = total


def trace_execution(model: nn.Module, inputs: Tensor) -> ExecutionTrace:
    """Runs a model once in evaluation mode, leaving it unchanged; a compiled model runs uncompiled.

    The computation of a parametrized weight (`torch.nn.utils.parametrize`) is attributed to the layer that owns it.

    Args:
        model: Called as `model(inputs)`.
        inputs: A few samples, shape (samples, ...), on the model's device.

    Example:
        >>> trace = trace_execution(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.rand(5, 4))
        >>> dict(trace.shapes)
        {'0': (3,), '1': (3,), '': (3,)}
        >>> trace.flops["", "0"]
        120
    """
    recurrent = {torch.ops.aten.mkldnn_rnn_layer: _mkldnn_rnn_flops, torch.ops.aten._cudnn_rnn: _cudnn_rnn_flops}
    counter = FlopCounterMode(display=False, custom_mapping=recurrent)
    trace = ExecutionTrace(counter, len(inputs))
    # The counter covers only the kernels of the math backend.
    with evaluating(model) as copied, sdpa_kernel(SDPBackend.MATH), counter, warnings.catch_warnings():
        # Caused by the counter's own hooks, which see a compiled part twice; the total that is read here does not.
        warnings.filterwarnings("ignore", r"Using `torch.compile\(module\)` when there are global hooks")
        for name, module in copied.named_modules():
            if owner_of(name) == name and takes_hooks(module):
                module.register_forward_pre_hook(lambda _, __, name=name: trace.enter(name))
                module.register_forward_hook(lambda _, __, result, name=name: trace.leave(name, result))
        given = inputs.clone()
        with trace.flow.listening(given):
            copied(given)
    return trace


def owner_of(path: str) -> str:
    """Returns the layer that owns a parametrization, given the path of a module in it; otherwise the path itself.

    Example:
        >>> owner_of("head.conv.parametrizations.weight.0"), owner_of("head.conv")
        ('head.conv', 'head.conv')
    """
    names = path.split(".")
    return ".".join(names[: names.index("parametrizations")]) if "parametrizations" in names else path


# The counter has no formulas for fused recurrent layers: in each time step, each sample is multiplied by all weights.
def _mkldnn_rnn_flops(inputs: Sequence[int], *arguments: Any, **_: Any) -> int:
    weights: Sequence[Sequence[int]] = arguments[:2]
    return 2 * prod(inputs[:-1]) * sum(prod(weight) for weight in weights)


def _cudnn_rnn_flops(inputs: Sequence[int], weights: Sequence[Sequence[int]], *_: Any, **__: Any) -> int:
    return 2 * prod(inputs[:-1]) * sum(prod(weight) for weight in weights if len(weight) == 2)
