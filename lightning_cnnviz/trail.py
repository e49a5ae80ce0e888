"""What ran in a forward pass: modules in their order, the shapes they returned, and what was computed in each."""

import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lightning_cnnviz.capture import evaluating, first_tensor, takes_hooks, unfused_attention


class Trail:
    """What one pass showed.

    Args:
        counter: Counts the operations of the pass.
        samples: Size of the batch that passes.

    Attributes:
        runs: Module name → how often it ran, in the order in which the modules began.
        shapes: Module name → shape of what it returned first, without the batch dimension; None if it was no tensor.
        flops: Names of the modules that were running, from the outermost → floating-point operations in the
            innermost, as `torch.utils.flop_counter` counts them, for the whole batch.
    """

    def __init__(self, counter: FlopCounterMode, samples: int) -> None:
        self.runs = Counter[str]()
        self.shapes: dict[str, tuple[int, ...] | None] = {}
        self.flops = Counter[tuple[str, ...]]()
        self._counter = counter
        self._samples = samples
        self._running: list[str] = []
        self._settled = 0

    def enter(self, name: str) -> None:
        """Notes that a module begins."""
        self._settle()
        self._running.append(name)
        self.runs[name] += 1

    def leave(self, name: str, result: Any) -> None:
        """Notes that the module that began last is done."""
        self._settle()
        self._running.pop()
        tensor = first_tensor(result)
        shape = None if tensor is None else tuple(tensor.shape)
        self.shapes.setdefault(name, shape[1:] if shape and shape[0] == self._samples else shape)

    def _settle(self) -> None:
        total = self._counter.get_total_flops()
        self.flops[tuple(self._running)] += total - self._settled
        self._settled = total


def follow(model: nn.Module, inputs: Tensor) -> Trail:
    """Runs a model once in evaluation mode, leaving it as it was; a compiled one runs uncompiled.

    What computes a parameter (`torch.nn.utils.parametrize`) belongs to the layer that has it.

    Args:
        model: Called as `model(inputs)`.
        inputs: A few samples, shape (samples, ...), on the model's device.

    Example:
        >>> trail = follow(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.rand(5, 4))
        >>> dict(trail.shapes)
        {'0': (3,), '1': (3,), '': (3,)}
        >>> trail.flops["", "0"]
        120
    """
    recurrent = {torch.ops.aten.mkldnn_rnn_layer: _mkldnn_rnn_flops, torch.ops.aten._cudnn_rnn: _cudnn_rnn_flops}
    counter = FlopCounterMode(display=False, custom_mapping=recurrent)
    trail = Trail(counter, len(inputs))
    with ExitStack() as stack:
        for name, module in model.named_modules():
            if owner_of(name) == name and takes_hooks(module):
                enter = module.register_forward_pre_hook(lambda _, __, name=name: trail.enter(name))
                leave = module.register_forward_hook(lambda _, __, result, name=name: trail.leave(name, result))
                stack.callback(enter.remove)
                stack.callback(leave.remove)
        stack.enter_context(evaluating(model))
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(unfused_attention())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # the fused kernels can't be counted
        stack.enter_context(counter)
        stack.enter_context(warnings.catch_warnings())
        # Of the counter's own hooks, which see a compiled part twice; the sum that is read from it does not.
        warnings.filterwarnings("ignore", r"Using `torch.compile\(module\)` when there are global hooks")
        model(inputs)
    return trail


def owner_of(path: str) -> str:
    """The layer, where a module's path leads to the parts that the layer's parameters are computed from.

    Example:
        >>> owner_of("head.conv.parametrizations.weight.0"), owner_of("head.conv")
        ('head.conv', 'head.conv')
    """
    names = path.split(".")
    return ".".join(names[: names.index("parametrizations")]) if "parametrizations" in names else path


# The counter has no formulas for fused recurrent layers: each sample meets all weight matrices in each step.
def _mkldnn_rnn_flops(inputs: Sequence[int], *arguments: Any, **_: Any) -> int:
    weights: Sequence[Sequence[int]] = arguments[:2]
    return 2 * prod(inputs[:-1]) * sum(prod(weight) for weight in weights)


def _cudnn_rnn_flops(inputs: Sequence[int], weights: Sequence[Sequence[int]], *_: Any, **__: Any) -> int:
    return 2 * prod(inputs[:-1]) * sum(prod(weight) for weight in weights if len(weight) == 2)
