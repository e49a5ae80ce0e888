"""Whatever bends beside the activations that hooks see is noticed."""

import numpy as np
import pytest
import torch
from helpers.plane_nets import BOUNDS, NETS, net_of, relu_net
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.functional.input_partition.affine_check import check_affine, check_straight
from lightning_cnnviz.functional.input_partition.cells import partition
from lightning_cnnviz.functional.input_partition.plane_model import PlaneModel


def test_functions_behind_a_wide_layer_are_noticed_without_cutting():
    torch.manual_seed(0)
    wide = [nn.Linear(2, 96), nn.ReLU(), nn.Linear(96, 8)]
    with pytest.raises(ValueError, match="to be affine between the activations"):
        check_affine(PlaneModel(nn.Sequential(*wide, Called(F.relu), nn.Linear(8, 2))), (-3, 3, -3, 3))
    check_affine(PlaneModel(nn.Sequential(*wide, nn.ReLU(), nn.Linear(8, 2))), (-3, 3, -3, 3))


def odd(bend):
    """Without biases: what is tanh or a ReLU of x is no other on the other side of the origin, but for the sign."""
    net = nn.Sequential(nn.Linear(2, 5, bias=False), bend, nn.Linear(5, 1, bias=False), nn.Sigmoid())
    net[0].weight.data *= 4
    return net


class Called(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("function", [torch.tanh, F.hardtanh])
@pytest.mark.parametrize("look", [partition, lambda net, bounds: check_affine(PlaneModel(net), bounds)])
def test_odd_functions_are_noticed_on_symmetric_bounds(function, look):
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="to be affine between the activations"):
        look(odd(Called(function)), (-2, 2, -2, 2))


@pytest.mark.parametrize("name", NETS)
def test_what_is_affine_between_its_activations_passes(name):
    check_affine(PlaneModel(net_of(name)), BOUNDS, count=2000)


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
def test_the_size_of_the_values_does_not_matter(size):
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4))
    bent = nn.Sequential(*net, Called(F.relu))
    with torch.no_grad():
        net[0].weight.mul_(size), net[0].bias.mul_(size), net[2].bias.zero_()
    check_affine(PlaneModel(net), (-2, 2, -2, 2))
    with pytest.raises(ValueError, match="to be affine between the activations"):
        check_affine(PlaneModel(bent), (-2, 2, -2, 2))


def test_behind_a_smooth_activation_nothing_is_expected_to_be_affine():
    check_affine(PlaneModel(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), Called(torch.sin))), (-2, 2, -2, 2))


def test_no_random_state_is_used():
    plane = PlaneModel(relu_net(3))
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    check_affine(plane, BOUNDS)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize(("off", "bad"), [(0.0, False), (5e-7, False), (2e-6, True), (1.0, True), (-2e-6, True)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_millionth_of_the_largest_magnitude_is_rounding_and_more_is_a_bend(off, bad, scale):
    values = scale * np.array([[1.0, -0.5]])
    expected = values + scale * off * np.array([[0.0, 1.0]])
    if bad:
        with pytest.raises(ValueError, match=r"expected what reaches fc to be affine .* write nn.ReLU\(\)"):
            check_straight(values, expected, scale, "what reaches fc")
    else:
        check_straight(values, expected, scale, "what reaches fc")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_not_finite_is_called_so(bad, place):
    pair = [np.ones((2, 2)), np.ones((2, 2))]
    pair[place][1, 0] = bad
    with pytest.raises(ValueError, match="expected what the model returns to be finite"):
        check_straight(*pair, 1.0, "what the model returns")


def test_no_points_are_straight():
    check_straight(np.empty((0, 3)), np.empty((0, 3)), 0.0, "nothing")
