"""Normalisation layers, and what they apply to each channel."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from lightning_cnnviz.model.normalization import channel_values, normalizations


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (nn.BatchNorm1d(4), ["weight", "bias", "running_mean", "running_var"]),
        (nn.SyncBatchNorm(4, affine=False), ["running_mean", "running_var"]),
        (nn.BatchNorm3d(4, track_running_stats=False), ["weight", "bias"]),
        (nn.InstanceNorm2d(4, affine=True), ["weight", "bias"]),
        (nn.InstanceNorm1d(4, track_running_stats=True), ["running_mean", "running_var"]),
        (nn.GroupNorm(2, 4), ["weight", "bias"]),
        (nn.LayerNorm([4, 3]), ["weight", "bias"]),
        (nn.LayerNorm(4, bias=False), ["weight"]),
        (nn.RMSNorm(4), ["weight"]),
        (nn.InstanceNorm2d(4), []),
        (nn.LayerNorm(4, elementwise_affine=False), []),
        (nn.BatchNorm2d(4, affine=False, track_running_stats=False), []),
        (nn.Conv2d(4, 4, 1), []),
    ],
    ids=str,
)
def test_layers_with_weights_or_running_statistics_are_found(layer, names):
    assert normalizations(nn.Sequential(layer)) == (["0"] if names else [])
    if names:
        values = channel_values(layer)
        assert list(values) == names
        for name, value in values.items():
            assert torch.equal(value, getattr(layer, name))
            assert not value.requires_grad


def test_a_lazy_layer_has_nothing_before_it_knows_its_channels():
    net = nn.Sequential(nn.LazyBatchNorm2d())
    assert normalizations(net) == ["0"]
    assert channel_values(net[0]) == {}
    net(torch.rand(2, 5, 3, 3))
    assert channel_values(net[0])["weight"].shape == (5,)


def test_a_pruned_weight_is_that_of_the_current_parameters():
    layer = prune.random_unstructured(nn.BatchNorm2d(8), "weight", 0.5)
    with torch.no_grad():
        layer.weight_orig.fill_(3)
    assert channel_values(layer)["weight"].tolist() == (3 * layer.weight_mask).tolist()


class Counting(nn.Module):
    """Doubles a weight, and counts how often."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, weight):
        self.calls += 1
        return 2 * weight


def test_a_parametrized_weight_is_computed_on_a_copy():
    layer = nn.BatchNorm2d(4)
    parametrize.register_parametrization(layer, "weight", Counting())
    layer.parametrizations.weight[0].calls.zero_()
    assert channel_values(layer)["weight"].tolist() == [2] * 4
    assert layer.parametrizations.weight[0].calls == 0
