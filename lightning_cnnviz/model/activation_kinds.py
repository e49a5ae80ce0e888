"""What is known of layers' outputs: which are those of rectifiers, which have bounds, where the channels are."""

import math
from collections.abc import Sequence

from torch import nn

MARGIN = 0.01
"""Share of its range within which a value of a bounded activation counts as saturated."""
_BOUNDED = {nn.Sigmoid: (0.0, 1.0), nn.Hardsigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0), nn.Softsign: (-1.0, 1.0)}
_OF_SEVERAL_VALUES = (nn.MultiheadAttention, nn.Softmax, nn.Softmax2d, nn.Softmin, nn.LogSoftmax, nn.GLU)
# By the torch.nn module that defines a layer or its base class.
_CHANNELS_FIRST = {f"torch.nn.modules.{name}" for name in ("conv", "batchnorm", "instancenorm")}
_FEATURES_LAST = {"torch.nn.modules.linear", "torch.nn.modules.sparse"}


def is_activation(module: nn.Module) -> bool:
    """Whether a module applies a nonlinearity of PyTorch to each value.

    Example:
        >>> is_activation(nn.GELU()), is_activation(nn.Softmax(1)), is_activation(nn.Linear(4, 3))
        (True, False, False)
    """
    return "torch.nn.modules.activation" in _origins(module) and not isinstance(module, _OF_SEVERAL_VALUES)


def is_rectifier(module: nn.Module) -> bool:
    """Whether a layer gives zero wherever its input is not positive, and nothing negative.

    Example:
        >>> is_rectifier(nn.ReLU6()), is_rectifier(nn.LeakyReLU()), is_rectifier(nn.Hardtanh(0, 2))
        (True, False, True)
    """
    if isinstance(module, nn.Hardtanh):  # as ReLU6 is
        return module.min_val == 0
    if isinstance(module, nn.Threshold):
        return module.value == 0 and module.threshold >= 0
    return isinstance(module, nn.ReLU)


def bounds_of(module: nn.Module) -> tuple[float, float] | None:
    """Returns the bounds of a layer's output; None if it has none. A rectifier's zero is not one: it rests there.

    Example:
        >>> bounds_of(nn.Tanh()), bounds_of(nn.ReLU6()), bounds_of(nn.ReLU())
        ((-1.0, 1.0), (0.0, 6.0), None)
    """
    if isinstance(module, nn.Hardtanh):
        return float(module.min_val), float(module.max_val)
    return next((bounds for kind, bounds in _BOUNDED.items() if isinstance(module, kind)), None)


def saturation(module: nn.Module) -> tuple[float, float]:
    """Returns up to which value and from which value on a layer's output is saturated, −∞ and ∞ where it never is.

    That is within 1 % of the range from a bound.

    Example:
        >>> saturation(nn.Tanh()), saturation(nn.ReLU())
        ((-0.98, 0.98), (-inf, inf))
    """
    bounds = bounds_of(module)
    if bounds is None:
        return -math.inf, math.inf
    low, high = bounds
    margin = MARGIN * (high - low)
    return -math.inf if is_rectifier(module) else low + margin, high - margin


def tells_channels(module: nn.Module) -> bool:
    """Whether the kind of a layer tells which dimension of its output holds the channels or features.

    Example:
        >>> tells_channels(nn.BatchNorm2d(6)), tells_channels(nn.ReLU())
        (True, False)
    """
    return _has_channels_first(module) or _has_features_last(module)


def channel_dimension(module: nn.Module, shape: Sequence[int]) -> int | None:
    """Returns which dimension of a layer's output holds the channels or features, as its kind tells: 1 or the last.

    Args:
        module: The layer.
        shape: Shape of its output, samples first.

    Returns:
        The dimension; None if the kind of the layer does not tell, or there is no dimension of samples.

    Example:
        >>> channel_dimension(nn.Conv2d(1, 6, 5), (2, 6, 8, 8)), channel_dimension(nn.Linear(4, 3), (2, 7, 3))
        (1, 2)
    """
    if len(shape) > 1 and _has_channels_first(module):
        names = ("out_channels", "num_features", "num_channels")
        widths = [width for name in names if isinstance(width := getattr(module, name, None), int)]
        return 1 if shape[1] in widths else None
    return len(shape) - 1 if len(shape) > 1 and _has_features_last(module) else None


def channels_of(shape: Sequence[int], told: Sequence[int], dimension: int, same: bool) -> int | None:
    """Returns which dimension holds the channels of a layer's output where its kind does not tell.

    In two dimensions that is certain. Otherwise they are where they were in the output of a layer before it whose kind
    tells, if that is what it was given, or if only there the sizes agree.

    Args:
        shape: Shape of the output.
        told: Shape of the last output, of a layer before it, whose channels are known; empty if there is none.
        dimension: Where they are in that one.
        same: Whether that one is what the layer was given.

    Returns:
        The dimension; None if that is not certain.

    Example:
        >>> channels_of((2, 8, 5, 5), (2, 8, 9, 9), 1, same=False), channels_of((2, 8, 8), (2, 8, 8), 1, same=False)
        (1, None)
    """
    if len(shape) == 2:
        return 1
    if len(shape) < 2 or len(told) != len(shape):
        return None
    elsewhere = shape[-1 if dimension == 1 else 1]
    return dimension if same or shape[dimension] == told[dimension] != elsewhere else None


def _has_channels_first(module: nn.Module) -> bool:
    return bool(_origins(module) & _CHANNELS_FIRST) or isinstance(module, nn.GroupNorm)


def _has_features_last(module: nn.Module) -> bool:
    # Of a LayerNorm of somebody's own the channels may be elsewhere.
    by_kind = _origins(module) & _FEATURES_LAST and not isinstance(module, nn.Identity)
    return bool(by_kind) or type(module) is nn.LayerNorm


def _origins(module: nn.Module) -> set[str]:
    return {kind.__module__ for kind in type(module).__mro__}
