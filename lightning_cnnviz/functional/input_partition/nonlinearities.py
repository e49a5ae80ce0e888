"""The units that bend a network: which modules have them, where they switch, and what reaches them."""

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
Indices = npt.NDArray[np.intp]
Pattern = npt.NDArray[np.int16]

# Continuous, and affine between the values at which they bend.
_BREAKPOINTS: dict[type[nn.Module], Callable[[Any], tuple[float, ...]]] = {
    nn.ReLU6: lambda _: (0.0, 6.0),  # before Hardtanh, which it is one of
    nn.Hardtanh: lambda nonlinearity: (nonlinearity.min_val, nonlinearity.max_val),
    nn.Hardsigmoid: lambda _: (-3.0, 3.0),
    nn.Softshrink: lambda nonlinearity: (-nonlinearity.lambd, nonlinearity.lambd),
    **dict.fromkeys((nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU), lambda _: (0.0,)),
}
_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_ADAPTIVE_POOLS = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
# Bent everywhere: the level 0 of what they receive is shown, for the sigmoid its 0.5.
_SMOOTH = (
    nn.Sigmoid, nn.Tanh, nn.LogSigmoid, nn.Softsign, nn.Softplus, nn.Tanhshrink,
    nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish,
)  # fmt: skip
_CHOICES = (nn.Softmax, nn.LogSoftmax)


class Nonlinearity(NamedTuple):
    """One call of a module that breakpoints, as seen in a forward pass.

    Attributes:
        name: The layer with weights that feeds it, or its own name where another nonlinearity already stands behind
            that layer. A name that comes again has its number behind it.
        module_name: Its own name.
        module: The module.
        shape: Of what it receives, without the samples' dimension.
        layer: Name of the layer with weights that feeds it; None behind another nonlinearity.
    """

    name: str
    module_name: str
    module: nn.Module
    shape: tuple[int, ...]
    layer: str | None

    @property
    def smooth(self) -> bool:
        """Whether nothing behind it is affine any more."""
        return isinstance(self.module, (*_SMOOTH, *_CHOICES))

    @property
    def breakpoints(self) -> tuple[float, ...] | None:
        """Values at which a unit switches; None where the largest of several entries wins."""
        if isinstance(self.module, _SMOOTH):
            return (0.0,)
        return next(
            (breakpoints(self.module) for kind, breakpoints in _BREAKPOINTS.items() if isinstance(self.module, kind)),
            None,
        )

    def windows(self) -> list[Indices]:
        """For every output of a nonlinearity without `bends` the flat indices of the entries that compete for it."""
        if isinstance(self.module, _CHOICES):
            return [np.arange(int(np.prod(self.shape)))]
        channels, *size = self.shape
        sides = _adaptive_windows(self.module, size) if isinstance(self.module, _ADAPTIVE_POOLS) else None
        along = sides or [_windows_along(self.module, axis, length) for axis, length in enumerate(size)]
        grid = np.arange(int(np.prod(self.shape))).reshape(self.shape)
        return [grid[channel][np.ix_(*window)].ravel() for channel in range(channels) for window in product(*along)]

    def pattern(self, values: Float64Array) -> Pattern:
        """Which side of its breakpoints each unit is on, or which entry of its window wins.

        Args:
            values: What the nonlinearity receives, shape (points, entries).

        Returns:
            Shape (points, units): the number of breakpoints that lie below; the winner's place in its window, the
            first of equal ones.
        """
        breakpoints = self.breakpoints
        if breakpoints is not None:
            return np.asarray(np.sum([values > bend for bend in breakpoints], axis=0), dtype=np.int16)
        return np.stack([values[:, window].argmax(axis=1) for window in self.windows()], axis=1).astype(np.int16)

    def unit_names(self) -> list[str]:
        """Names of its entries: nodes, or kernels and the places of their windows."""
        if len(self.shape) <= 1:
            return [f"node {index}" for index in range(int(np.prod(self.shape)))]
        places = product(*map(range, self.shape))
        return [f"kernel {kernel} · window {', '.join(map(str, place))}" for kernel, *place in places]


class ForwardPass(NamedTuple):
    """What one forward pass showed.

    Attributes:
        nonlinearities: In the order of their calls.
        inputs: What each nonlinearity received, shape (points, *nonlinearity.shape).
        layer_inputs: What the layer with weights before it received; None behind another nonlinearity.
        output: What the model returned.
    """

    nonlinearities: list[Nonlinearity]
    inputs: list[Tensor]
    layer_inputs: list[Tensor | None]
    output: Tensor


class _Feed(NamedTuple):
    """One run of a layer with weights, and how many nonlinearities had run before."""

    layer: str
    received: Tensor | None
    returned: Tensor | None
    nonlinearities: int


def is_nonlinearity(module: nn.Module) -> bool:
    """Whether a module breakpoints in a way that is known.

    Example:
        >>> is_nonlinearity(nn.ReLU()), is_nonlinearity(nn.Linear(2, 3))
        (True, False)
    """
    return isinstance(module, (*_BREAKPOINTS, *_POOLS, *_ADAPTIVE_POOLS, *_SMOOTH, *_CHOICES))


def trace_nonlinearities(model: nn.Module, points: Tensor) -> ForwardPass:
    """Runs a model on points and notes what reaches each nonlinearity.

    Args:
        model: In evaluation mode.
        points: Shape (points, ...), as the model takes them.

    Raises:
        TypeError: If the model returns no tensor.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> [(found.name, found.shape) for found in trace_nonlinearities(net, torch.zeros(5, 2)).nonlinearities]
        [('0', (3,))]
    """
    nonlinearities: list[Nonlinearity] = []
    inputs: list[Tensor] = []
    layer_inputs: list[Tensor | None] = []
    feeds: list[_Feed] = []

    def feed(name: str, args: Any, result: Any) -> None:
        feeds.append(_Feed(name, first_tensor(args), first_tensor(result), len(nonlinearities)))

    def bend(name: str, module: nn.Module, args: Any) -> None:
        value = first_tensor(args)
        assert value is not None
        direct = (found for found in reversed(feeds) if found.returned is value)
        since = (found for found in reversed(feeds) if found.nonlinearities == len(nonlinearities))
        source = next(direct, None) or next(since, None)
        shown = name if source is None else source.layer
        again = sum(nonlinearity.name.partition(" #")[0] == shown for nonlinearity in nonlinearities)
        shape = tuple(value.shape[1:])
        layer = None if source is None else source.layer
        nonlinearities.append(Nonlinearity(f"{shown} #{again + 1}" if again else shown, name, module, shape, layer))
        inputs.append(value.clone())  # an in-place nonlinearity overwrites what it received
        layer_inputs.append(None if source is None else source.received)

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if is_nonlinearity(module):
                hook = partial(lambda name, module, args: bend(name, module, args), name)
                stack.callback(module.register_forward_pre_hook(hook).remove)
            elif isinstance(getattr(module, "weight", None), Tensor) and module.weight.ndim >= 2:
                hook = partial(lambda name, _, args, result: feed(name, args, result), name)
                stack.callback(module.register_forward_hook(hook).remove)
        output = first_tensor(model(points))
    if output is None:
        raise TypeError("expected the model to return a tensor")
    return ForwardPass(nonlinearities, inputs, layer_inputs, output)


def _windows_along(pool: Any, axis: int, length: int) -> list[Indices]:
    def setting(name: str) -> int:
        value = getattr(pool, name)
        return int(value[axis] if isinstance(value, (tuple, list)) else value)

    kernel, stride, padding, dilation = map(setting, ("kernel_size", "stride", "padding", "dilation"))
    reach = length + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-reach // stride) if pool.ceil_mode else reach // stride) + 1
    if pool.ceil_mode and (count - 1) * stride >= length + padding:  # no window may begin in the padding
        count -= 1
    offsets = np.arange(kernel) * dilation
    return [_inside(start * stride - padding + offsets, length) for start in range(count)]


def _adaptive_windows(pool: Any, size: list[int]) -> list[list[Indices]]:
    asked = pool.output_size if isinstance(pool.output_size, (tuple, list)) else [pool.output_size] * len(size)
    counts = [length if count is None else count for count, length in zip(asked, size, strict=True)]
    return [
        [np.arange(place * length // count, -(-(place + 1) * length // count)) for place in range(count)]
        for count, length in zip(counts, size, strict=True)
    ]


def _inside(places: Indices, length: int) -> Indices:
    return places[(places >= 0) & (places < length)]
