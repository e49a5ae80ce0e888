"""Whatever bends beside the activations that hooks see is noticed."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.functional.input_partition.affine_check import check_affine
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
