"""Nonlinearities of a network: known modules, their breakpoints, and their inputs in a forward pass."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from lightning_cnnviz.model.outputs import first_tensor

Float64Array = npt.NDArray[np.float64]
EntryIndices = npt.NDArray[np.intp]
Pattern = npt.NDArray[np.int16]

# Continuous and piecewise affine, with these breakpoints.
_BREAKPOINTS: dict[type[nn.Module], Callable[[Any], tuple[float, ...]]] = {
    nn.ReLU6: lambda _: (0.0, 6.0),  # before Hardtanh, its base class
    nn.Hardtanh: lambda nonlinearity: (nonlinearity.min_val, nonlinearity.max_val),
    nn.Hardsigmoid: lambda _: (-3.0, 3.0),
    nn.Softshrink: lambda nonlinearity: (-nonlinearity.lambd, nonlinearity.lambd),
    **dict.fromkeys((nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU), lambda _: (0.0,)),
}
_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_ADAPTIVE_POOLS = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
# Smooth: shown by where their input is 0, which for the sigmoid is where its output is 0.5.
_SMOOTH = (
    nn.Sigmoid, nn.Tanh, nn.LogSigmoid, nn.Softsign, nn.Softplus, nn.Tanhshrink,
    nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish,
)  # fmt: skip
_SOFTMAX = (nn.Softmax, nn.LogSoftmax)


class Nonlinearity(NamedTuple):
    """One call of a nonlinear module, as observed in a forward pass.

    Attributes:
        name: Name of the layer with weights that feeds it, or of the module itself if another nonlinearity follows
            that layer first. Repeated names are numbered.
        module_name: Name of the module itself.
        module: The module.
        shape: Shape of its input, without the batch dimension.
        layer: Name of the layer with weights that feeds it; None after another nonlinearity.
    """

    name: str
    module_name: str
    module: nn.Module
    shape: tuple[int, ...]
    layer: str | None

    @property
    def smooth(self) -> bool:
        """Whether it is smooth, so that nothing after it is piecewise affine."""
        return isinstance(self.module, (*_SMOOTH, *_SOFTMAX))

    @property
    def breakpoints(self) -> tuple[float, ...] | None:
        """Input values at which a unit changes its slope; None if a unit depends on the argmax of several entries."""
        if isinstance(self.module, _SMOOTH):
            return (0.0,)
        return next(
            (breakpoints(self.module) for kind, breakpoints in _BREAKPOINTS.items() if isinstance(self.module, kind)),
            None,
        )

    def windows(self) -> list[EntryIndices]:
        """Returns the flat indices of the input entries of each output, for a nonlinearity without `breakpoints`."""
        if isinstance(self.module, _SOFTMAX):
            return [np.arange(int(np.prod(self.shape)))]
        channels, *size = self.shape
        sides = _adaptive_windows(self.module, size) if isinstance(self.module, _ADAPTIVE_POOLS) else None
        along = sides or [_windows_along(self.module, axis, length) for axis, length in enumerate(size)]
        grid = np.arange(int(np.prod(self.shape))).reshape(self.shape)
        return [grid[channel][np.ix_(*window)].ravel() for channel in range(channels) for window in product(*along)]

    def pattern(self, values: Float64Array) -> Pattern:
        """Returns the activation pattern: on which side of its breakpoints each unit is, or the argmax of its window.

        Args:
            values: Inputs of the nonlinearity, shape (points, entries).

        Returns:
            Shape (points, units): the number of breakpoints below the input, or the position of the largest entry in
            its window, the first of ties.
        """
        breakpoints = self.breakpoints
        if breakpoints is not None:
            return np.asarray(np.sum([values > threshold for threshold in breakpoints], axis=0), dtype=np.int16)
        return np.stack([values[:, window].argmax(axis=1) for window in self.windows()], axis=1).astype(np.int16)

    def unit_names(self) -> list[str]:
        """Returns the names of its input entries: nodes, or kernels and window positions."""
        if len(self.shape) <= 1:
            return [f"node {index}" for index in range(int(np.prod(self.shape)))]
        positions = product(*map(range, self.shape))
        return [f"kernel {kernel} · window {', '.join(map(str, position))}" for kernel, *position in positions]


class ForwardPass(NamedTuple):
    """Observations from one forward pass.

    Attributes:
        nonlinearities: In the order of their calls.
        inputs: Input of each nonlinearity, shape (points, *nonlinearity.shape).
        layer_inputs: Input of the layer with weights before it; None after another nonlinearity.
        output: Output of the model.
    """

    nonlinearities: list[Nonlinearity]
    inputs: list[Tensor]
    layer_inputs: list[Tensor | None]
    output: Tensor


class _LayerCall(NamedTuple):
    """One call of a layer with weights, and the number of nonlinearities called before it."""

    layer: str
    input: Tensor | None
    output: Tensor | None
    nonlinearities_before: int


def is_nonlinearity(module: nn.Module) -> bool:
    """Whether a module is a known nonlinearity.

    Example:
        >>> is_nonlinearity(nn.ReLU()), is_nonlinearity(nn.Linear(2, 3))
        (True, False)
    """
    return isinstance(module, (*_BREAKPOINTS, *_POOLS, *_ADAPTIVE_POOLS, *_SMOOTH, *_SOFTMAX))


def trace_nonlinearities(model: nn.Module, points: Tensor) -> ForwardPass:
    """Runs a model on points and records the input of each nonlinearity.

    Args:
        model: The model, in evaluation mode.
        points: Model inputs, shape (points, ...).

    Raises:
        TypeError: If the model does not return a tensor.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> [(found.name, found.shape) for found in trace_nonlinearities(net, torch.zeros(5, 2)).nonlinearities]
        [('0', (3,))]
    """
    nonlinearities: list[Nonlinearity] = []
    inputs: list[Tensor] = []
    layer_inputs: list[Tensor | None] = []
    calls: list[_LayerCall] = []

    def record_layer(name: str, args: Any, result: Any) -> None:
        calls.append(_LayerCall(name, first_tensor(args), first_tensor(result), len(nonlinearities)))

    def record_nonlinearity(name: str, module: nn.Module, args: Any) -> None:
        value = first_tensor(args)
        assert value is not None
        direct = (call for call in reversed(calls) if call.output is value)
        since = (call for call in reversed(calls) if call.nonlinearities_before == len(nonlinearities))
        source = next(direct, None) or next(since, None)
        shown = name if source is None else source.layer
        repeats = sum(nonlinearity.name.partition(" #")[0] == shown for nonlinearity in nonlinearities)
        shape = tuple(value.shape[1:])
        layer = None if source is None else source.layer
        numbered = f"{shown} #{repeats + 1}" if repeats else shown
        nonlinearities.append(Nonlinearity(numbered, name, module, shape, layer))
        inputs.append(value.clone())  # an in-place nonlinearity overwrites its input
        layer_inputs.append(None if source is None else source.input)

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if is_nonlinearity(module):
                hook = partial(lambda name, module, args: record_nonlinearity(name, module, args), name)
                stack.callback(module.register_forward_pre_hook(hook).remove)
            elif isinstance(getattr(module, "weight", None), Tensor) and module.weight.ndim >= 2:
                hook = partial(lambda name, _, args, result: record_layer(name, args, result), name)
                stack.callback(module.register_forward_hook(hook).remove)
        output = first_tensor(model(points))
    if output is None:
        raise TypeError("expected the model to return a tensor")
    return ForwardPass(nonlinearities, inputs, layer_inputs, output)


def _windows_along(pool: Any, axis: int, length: int) -> list[EntryIndices]:
    def setting(name: str) -> int:
        value = getattr(pool, name)
        return int(value[axis] if isinstance(value, (tuple, list)) else value)

    kernel, stride, padding, dilation = map(setting, ("kernel_size", "stride", "padding", "dilation"))
    reach = length + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-reach // stride) if pool.ceil_mode else reach // stride) + 1
    if pool.ceil_mode and (count - 1) * stride >= length + padding:  # no window starts in the padding on the right
        count -= 1
    offsets = np.arange(kernel) * dilation
    return [_inside(start * stride - padding + offsets, length) for start in range(count)]


def _adaptive_windows(pool: Any, size: list[int]) -> list[list[EntryIndices]]:
    requested = pool.output_size if isinstance(pool.output_size, (tuple, list)) else [pool.output_size] * len(size)
    counts = [length if count is None else count for count, length in zip(requested, size, strict=True)]
    return [
        [np.arange(index * length // count, -(-(index + 1) * length // count)) for index in range(count)]
        for count, length in zip(counts, size, strict=True)
    ]


def _inside(indices: EntryIndices, length: int) -> EntryIndices:
    return indices[(indices >= 0) & (indices < length)]
