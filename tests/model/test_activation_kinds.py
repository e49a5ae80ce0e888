"""Of which layers units can be dead and values saturated, and where their channels are."""

import math

import pytest
import torch
from torch import nn

from lightning_cnnviz.model.activation_kinds import (
    bounds_of,
    channel_dimension,
    channels_of,
    is_activation,
    is_rectifier,
    saturation,
    tells_channels,
)

X = torch.linspace(-50, 50, 10001)
ACTIVATIONS = [
    *(nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.ELU(), nn.CELU(), nn.SELU(), nn.GELU(), nn.SiLU()),
    *(nn.Mish(), nn.Sigmoid(), nn.Tanh(), nn.Hardtanh(-2, 3), nn.Hardtanh(0, 2), nn.Hardsigmoid(), nn.Hardswish()),
    *(nn.Softplus(), nn.Softsign(), nn.Threshold(0, 0), nn.Threshold(-1, 0), nn.Threshold(0, 5), nn.LogSigmoid()),
]


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=str)
def test_rectifiers_are_those_that_give_zero_for_all_that_is_not_positive(layer):
    with torch.no_grad():
        values = layer(X)
    assert is_rectifier(layer) == bool((values[X <= 0] == 0).all() and (values >= 0).all())
    assert is_activation(layer)


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=str)
def test_bounds_are_reached_and_kept(layer):
    with torch.no_grad():
        values = layer(X)
    bounds = bounds_of(layer)
    if bounds is None:
        assert saturation(layer) == (-math.inf, math.inf)
        return
    low, high = bounds
    margin = 0.02 * (high - low)  # softsign comes slowly
    assert low <= values.min() <= low + margin
    assert high - margin <= values.max() <= high
    below, above = saturation(layer)
    assert above == pytest.approx(high - 0.01 * (high - low))
    assert below == (-math.inf if is_rectifier(layer) else pytest.approx(low + 0.01 * (high - low)))


@pytest.mark.parametrize(
    "layer", [nn.Softmax(1), nn.LogSoftmax(1), nn.GLU(), nn.MultiheadAttention(4, 2), nn.Linear(4, 3)]
)
def test_layers_that_mix_values_are_no_activations(layer):
    assert not is_activation(layer)


class Frozen(nn.BatchNorm2d):
    """Of somebody's own."""


@pytest.mark.parametrize(
    ("layer", "shape", "dimension"),
    [
        (nn.Conv1d(3, 8, 3), (2, 3, 9), 1),
        (nn.Conv2d(3, 8, 3), (2, 3, 9, 9), 1),
        (nn.ConvTranspose3d(3, 8, 3), (2, 3, 5, 5, 5), 1),
        (nn.Conv2d(3, 8, 3), (3, 9, 9), None),  # without samples
        (Frozen(3), (2, 3, 9, 9), 1),
        (nn.GroupNorm(1, 3), (2, 3, 9), 1),
        (nn.Linear(4, 3), (2, 4), 1),
        (nn.Linear(4, 3), (2, 7, 5, 4), 3),
        (nn.LayerNorm(4), (2, 7, 4), 2),
        (nn.ReLU(), (2, 3, 9, 9), None),
        (nn.Identity(), (2, 3), None),
    ],
    ids=str,
)
def test_kinds_of_layers_tell_where_the_channels_are(layer, shape, dimension):
    with torch.no_grad():
        values = layer(torch.randn(shape))
    assert channel_dimension(layer, values.shape) == dimension
    assert tells_channels(layer) == (not isinstance(layer, (nn.ReLU, nn.Identity)))


@pytest.mark.parametrize(
    ("shape", "told", "dimension", "same", "found"),
    [
        ((2, 8), (), 1, False, 1),
        ((2,), (), 1, False, None),
        ((2, 8, 5, 5), (2, 8, 9, 9), 1, False, 1),  # a residual sum after a convolution
        ((2, 5, 5, 8), (2, 8, 5, 5), 1, False, None),  # turned
        ((2, 8, 8, 8), (2, 8, 8, 8), 1, False, None),  # may be turned
        ((2, 8, 8, 8), (2, 8, 8, 8), 1, True, 1),
        ((2, 7, 16), (2, 7, 16), 2, False, 2),
        ((2, 16, 7), (2, 7, 16), 2, False, None),
        ((2, 16, 4, 4), (2, 16), 1, False, None),
    ],
)
def test_otherwise_they_are_where_they_were_before_if_that_is_certain(shape, told, dimension, same, found):
    assert channels_of(shape, told, dimension, same) == found
