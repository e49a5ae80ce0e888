import itertools

import numpy as np
import pytest
import torch
from torch import nn

from lightning_cnnviz.functional.input_partition.nonlinearities import (
    Nonlinearity,
    is_nonlinearity,
    trace_nonlinearities,
)


def nonlinearity(module, *shape):
    return Nonlinearity("g", "g", module, shape, None)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.MaxPool1d(2), (3, 6)),
        (nn.MaxPool1d(3, stride=2, padding=1), (2, 7)),
        (nn.MaxPool1d(2, dilation=3), (1, 8)),
        (nn.MaxPool1d(2, ceil_mode=True), (1, 5)),
        (nn.MaxPool1d(2, stride=3, padding=1, ceil_mode=True), (1, 6)),
        (nn.MaxPool2d((2, 3), stride=(1, 2)), (2, 4, 7)),
        (nn.MaxPool3d(2), (1, 4, 2, 4)),
        (nn.AdaptiveMaxPool1d(3), (2, 7)),
        (nn.AdaptiveMaxPool2d((2, None)), (1, 5, 3)),
        (nn.AdaptiveMaxPool2d(1), (3, 4, 4)),
    ],
    ids=str,
)
def test_windows_of_pools_hold_what_competes(module, shape):
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(20, *shape)))
    expected = module(values).flatten(1).numpy()
    flat = values.flatten(1).numpy()
    windows = nonlinearity(module, *shape).windows()
    np.testing.assert_array_equal(np.stack([flat[:, window].max(axis=1) for window in windows], axis=1), expected)
    winners = nonlinearity(module, *shape).pattern(flat)
    won = [flat[np.arange(20), window[winners[:, unit]]] for unit, window in enumerate(windows)]
    np.testing.assert_array_equal(np.stack(won, axis=1), expected)


@pytest.mark.parametrize(
    "module",
    [
        nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.1), nn.PReLU(), nn.RReLU(), nn.ReLU6(),
        nn.Hardtanh(-0.5, 2), nn.Hardsigmoid(), nn.Softshrink(0.7),
    ],
    ids=str,
)  # fmt: skip
def test_between_its_bends_a_gate_is_affine_and_at_each_it_bends(module):
    module = module.eval().double()
    bends = nonlinearity(module, 1).breakpoints
    marks = [-10.0, *bends, 10.0]
    slopes = []
    for low, high in itertools.pairwise(marks):
        at = module(torch.linspace(low, high, 5, dtype=torch.float64)[:, None]).detach().flatten()
        np.testing.assert_allclose(np.diff(at.numpy(), 2), 0, atol=1e-12)
        slopes.append(float(at[1] - at[0]) / ((high - low) / 4))
    assert all(one != pytest.approx(other) for one, other in itertools.pairwise(slopes))


def test_patterns_count_the_bends_below():
    assert nonlinearity(nn.ReLU6(), 3).pattern(np.array([[-1.0, 3, 9], [0, 6, 6.1]])).tolist() == [
        [0, 1, 2],
        [0, 1, 2],
    ]


def test_of_equal_entries_the_first_wins():
    assert nonlinearity(nn.MaxPool1d(3), 1, 3).pattern(np.array([[0.0, 0, 0], [0, 1, 1]])).tolist() == [[0], [1]]


@pytest.mark.parametrize("module", [nn.Sigmoid(), nn.Tanh(), nn.GELU(), nn.SiLU(), nn.Softmax(1)])
def test_smooth_gates_say_so(module):
    assert is_nonlinearity(module)
    assert nonlinearity(module, 2).smooth


@pytest.mark.parametrize(
    "module", [nn.Linear(2, 2), nn.BatchNorm1d(2), nn.AvgPool1d(2), nn.Dropout(), nn.LayerNorm(2)]
)
def test_other_modules_are_no_gates(module):
    assert not is_nonlinearity(module)


class Shared(nn.Module):
    """One in-place ReLU for all layers, a convolution with batch norm, and a pool."""

    def __init__(self):
        super().__init__()
        self.fc, self.conv, self.norm = nn.Linear(2, 4), nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2)
        self.relu, self.pool = nn.ReLU(inplace=True), nn.MaxPool1d(2)

    def forward(self, x):
        x = self.relu(self.fc(x))
        return self.pool(self.relu(self.norm(self.conv(x[:, None]))))


def test_gates_are_named_by_the_layer_that_feeds_them_and_see_what_it_gave():
    net = Shared().eval()
    points = torch.randn(5, 2)
    seen = trace_nonlinearities(net, points)
    assert [
        (nonlinearity.name, nonlinearity.module_name, nonlinearity.layer) for nonlinearity in seen.nonlinearities
    ] == [
        ("fc", "relu", "fc"),
        ("conv", "relu", "conv"),
        ("pool", "pool", None),
    ]
    torch.testing.assert_close(seen.inputs[0], net.fc(points))
    hidden = net.fc(points).relu()
    torch.testing.assert_close(seen.inputs[1], net.norm(net.conv(hidden[:, None])))
    torch.testing.assert_close(seen.layer_inputs[1].flatten(1), hidden)
    assert seen.layer_inputs[2] is None
    torch.testing.assert_close(seen.output, net(points))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_name_that_comes_again_is_numbered():
    layer, relu = nn.Linear(2, 2), nn.ReLU()
    seen = trace_nonlinearities(nn.Sequential(layer, relu, layer, relu), torch.zeros(1, 2))
    assert [nonlinearity.name for nonlinearity in seen.nonlinearities] == ["0", "0 #2"]


def test_units_are_named_by_node_or_kernel_and_window():
    assert nonlinearity(nn.ReLU(), 2).unit_names() == ["node 0", "node 1"]
    assert nonlinearity(nn.ReLU(), 1, 2).unit_names() == ["kernel 0 · window 0", "kernel 0 · window 1"]
    assert nonlinearity(nn.ReLU(), 1, 1, 2).unit_names() == ["kernel 0 · window 0, 0", "kernel 0 · window 0, 1"]
