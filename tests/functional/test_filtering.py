"""Responses to one input channel against SciPy's cross-correlation and the layer's own output."""

import itertools

import numpy as np
import pytest
import torch
from scipy.signal import correlate, correlate2d
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.functional.filtering import filter_responses

pytestmark = pytest.mark.usefixtures("no_warnings")


def made(layer, *size, samples=1):
    """The layer and inputs in float64, whatever was drawn for them."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        layer = layer.double()
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    return layer, torch.randn(samples, layer.in_channels, *size, generator=generator).double()


@pytest.mark.parametrize("channel", [0, 2])
@pytest.mark.parametrize(
    ("options", "mode", "every"),
    [
        ({}, "valid", 1),
        ({"padding": 1}, "same", 1),
        ({"padding": "same"}, "same", 1),
        ({"stride": 2}, "valid", 2),
        ({"padding": 1, "stride": 3}, "same", 3),
        ({"padding": 2}, "full", 1),
    ],
    ids=str,
)
def test_responses_are_scipys_cross_correlation(options, mode, every, channel):
    layer, x = made(nn.Conv2d(3, 4, 3, **options), 11, 14, samples=2)
    found = filter_responses(layer, x, channel)
    for sample, responses in zip(x, found, strict=True):
        for kernel, response in zip(layer.weight[:, channel].detach(), responses, strict=True):
            expected = correlate2d(sample[channel], kernel, mode=mode)[::every, ::every]
            np.testing.assert_allclose(response, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("torchs", "numpys"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_the_padding_mode_is_the_layers(torchs, numpys):
    layer, x = made(nn.Conv2d(2, 3, 5, padding=2, padding_mode=torchs), 9, 9)
    for kernel, response in zip(layer.weight[:, 1].detach(), filter_responses(layer, x, 1)[0], strict=True):
        expected = correlate2d(np.pad(x[0, 1], 2, mode=numpys), kernel, mode="valid")
        np.testing.assert_allclose(response, expected, rtol=1e-12, atol=1e-12)


def test_dilated_kernels_have_holes():
    layer, x = made(nn.Conv2d(1, 3, 3, dilation=2), 12, 12)
    for kernel, response in zip(layer.weight[:, 0].detach(), filter_responses(layer, x)[0], strict=True):
        holes = np.zeros((5, 5))
        holes[::2, ::2] = kernel
        np.testing.assert_allclose(response, correlate2d(x[0, 0], holes, mode="valid"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channel", [0, 1])
def test_of_groups_each_kernel_sees_the_channel_of_its_own(channel):
    layer, x = made(nn.Conv2d(6, 9, 2, groups=3), 5, 4)
    found = filter_responses(layer, x, channel)[0]
    for out, row, column in itertools.product(range(9), range(4), range(3)):
        group = out // 3
        window = x[0, 2 * group + channel, row : row + 2, column : column + 2]
        kernel = layer.weight[out, channel].tolist()
        expected = sum(float(window[i, j]) * kernel[i][j] for i, j in itertools.product(range(2), repeat=2))
        assert float(found[out, row, column]) == pytest.approx(expected)


@pytest.mark.parametrize(("kind", "size"), [(nn.Conv1d, (20,)), (nn.Conv3d, (6, 7, 8))])
def test_signals_and_volumes(kind, size):
    layer, x = made(kind(2, 3, 3), *size)
    for kernel, response in zip(layer.weight[:, 1].detach(), filter_responses(layer, x, 1)[0], strict=True):
        expected = correlate(x[0, 1].numpy(), kernel.numpy(), mode="valid")
        np.testing.assert_allclose(response, expected, rtol=1e-10, atol=1e-10)


def test_channels_and_bias_sum_up_to_the_layers_output():
    layer, x = made(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), 9, 9)
    total = sum(filter_responses(layer, x, channel) for channel in range(2)) + layer.bias[:, None, None]
    np.testing.assert_allclose(total.detach(), layer(x).detach(), rtol=1e-12)


class Standardised(nn.Conv2d):
    """As in "Micro-batch training with batch-channel normalization and weight standardization"."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Same(nn.Conv2d):
    """Pads as TensorFlow does: one more at the right and below."""

    def forward(self, x):
        rows, columns = (max((-(-side // 2) - 1) * 2 + 4 - side, 0) for side in x.shape[2:])
        padded = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return super().forward(padded)


@pytest.mark.parametrize(
    "layer",
    [
        Standardised(4, 6, 3, padding=1),
        Standardised(4, 6, 3, groups=2),
        Same(4, 6, 4, stride=2),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 3)),
    ],
    ids=["standardised", "in groups", "same", "weight norm"],
)
def test_of_layers_that_change_weights_or_inputs_the_channels_are_what_they_add(layer):
    x = torch.randn(2, 4, 9, 12, generator=torch.Generator().manual_seed(0)).double()
    layer = layer.double().train()
    found = [filter_responses(layer, x, channel) for channel in range(4 // layer.groups)]
    with torch.no_grad():
        expected = layer(x)
        nothing = layer(torch.zeros_like(x))
        half = x.clone()
        half[:, 1 :: 4 // layer.groups] /= 2  # half of what the channel adds is missing
        np.testing.assert_allclose(found[1], 2 * (expected - layer(half)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(sum(found) + nothing, expected, rtol=1e-12, atol=1e-12)
    assert layer.training


def test_channels_that_are_not_finite_leave_the_others_alone():
    layer, x = made(nn.Conv2d(2, 3, 3), 6, 6)
    x[:, 1] = torch.inf
    assert filter_responses(layer, x, 0).isfinite().all()


def test_neither_layer_nor_inputs_are_changed():
    layer, x = nn.Conv2d(2, 3, 3), torch.rand(1, 2, 8, 8)
    before = {name: value.clone() for name, value in layer.state_dict().items()}, x.clone(), torch.get_rng_state()
    assert not filter_responses(layer, x).requires_grad
    assert all(torch.equal(value, before[0][name]) for name, value in layer.state_dict().items())
    assert torch.equal(x, before[1])
    assert torch.equal(torch.get_rng_state(), before[2])
    assert layer.weight.grad is None


@pytest.mark.parametrize(
    ("layer", "shape", "channel", "error", "message"),
    [
        (nn.ConvTranspose2d(1, 2, 3), (1, 1, 8, 8), 0, TypeError, "expected a convolution .* got ConvTranspose2d"),
        (nn.Linear(3, 2), (1, 3), 0, TypeError, "got Linear"),
        (nn.Conv2d(2, 2, 3), (1, 2, 8, 8), 2, ValueError, "channel=2 does not exist, this layer has 2"),
        (
            nn.Conv2d(2, 2, 3),
            (1, 3, 8, 8),
            0,
            ValueError,
            r"shape \(samples, 2, \*size\) with 2 spatial dimensions, got \(1, 3",
        ),
        (nn.Conv2d(2, 2, 3), (1, 2, 8), 0, ValueError, "with 2 spatial dimensions"),
    ],
)
def test_what_does_not_fit_is_refused(layer, shape, channel, error, message):
    with pytest.raises(error, match=message):
        filter_responses(layer, torch.rand(shape), channel)
