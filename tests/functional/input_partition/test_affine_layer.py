"""A layer between two activations: its input space and its affine map, against the model's own weights."""

import numpy as np
import pytest
import torch
from helpers.plane_nets import BOUNDS
from torch import nn
from torch.nn.utils import parametrizations

from lightning_cnnviz.functional.input_partition.affine_layer import activated, affine_layer
from lightning_cnnviz.functional.input_partition.panels import panels
from lightning_cnnviz.functional.input_partition.plane_model import PlaneModel, grid_points

SIDE = 50
"""Points per side of the grid."""


def hidden(model, points):
    return model(torch.from_numpy(points)).detach().flatten(1).numpy()


def test_of_linear_layers_it_is_their_weights_and_offsets_and_the_space_is_what_they_receive():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.LeakyReLU()).double()
    plane, points = PlaneModel(net), grid_points(BOUNDS, SIDE)
    for index, layer in enumerate((net[0], net[2])):
        found = affine_layer(plane, BOUNDS, index)
        np.testing.assert_allclose(found.weights, layer.weight.detach(), rtol=1e-9)
        np.testing.assert_allclose(found.offsets, layer.bias.detach(), rtol=1e-9, atol=1e-12)
        received = hidden(net[: 2 * index], points) if index else points
        np.testing.assert_allclose(found.space.points, received, atol=1e-12)
        np.testing.assert_allclose(found.responses, hidden(net[: 2 * index + 1], points), atol=1e-12)


def test_of_a_convolution_with_batch_norm_it_is_the_whole_map_up_to_the_activation():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(2)
    norm.running_mean.uniform_(-1, 1), norm.running_var.uniform_(0.5, 2)
    net = nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), norm, nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)).eval().double()
    found = affine_layer(PlaneModel(net, (1, 2)), BOUNDS, 0)
    assert found.weights.shape == (4, 2)
    points = np.random.default_rng(0).normal(size=(20, 2))
    expected = net[:2](torch.from_numpy(points)[:, None]).detach().flatten(1).numpy()
    np.testing.assert_allclose(points @ found.weights.T + found.offsets, expected, atol=1e-12)


def test_of_a_parametrized_layer_the_weights_that_are_used():
    layer = parametrizations.weight_norm(nn.Linear(2, 3)).double()
    found = affine_layer(PlaneModel(nn.Sequential(layer, nn.ReLU())), BOUNDS, 0)
    np.testing.assert_allclose(found.weights, layer.weight.detach(), rtol=1e-9)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.act1, self.act2 = nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.ReLU()

    def forward(self, x):
        hidden = self.act1(self.first(x))
        return self.act2(self.second(hidden) + x)


def test_behind_the_sum_of_a_residual_block_there_is_none():
    plane = PlaneModel(Residual())
    assert affine_layer(plane, BOUNDS, 0) is not None
    assert affine_layer(plane, BOUNDS, 1) is None


def test_an_activation_without_a_layer_before_it_has_none():
    assert affine_layer(PlaneModel(nn.Sequential(nn.ReLU(), nn.Linear(2, 2))), BOUNDS, 0) is None


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_only_a_space_of_one_or_two_dimensions_can_be_filled(width):
    net = nn.Sequential(nn.Linear(2, width), nn.LeakyReLU(), nn.Linear(width, 4), nn.ReLU()).double()
    found = affine_layer(PlaneModel(net), BOUNDS, 1)
    if width > 2:
        assert found.raster.shape == (0, 4)
    else:
        points = found.space.raster()
        expected = points @ net[2].weight.detach().numpy().T + net[2].bias.detach().numpy()
        np.testing.assert_allclose(found.raster, expected, atol=1e-12)


@pytest.mark.parametrize(("activation", "bends"), [(nn.ReLU(), [0.0]), (nn.Hardtanh(-0.5, 0.25), [-0.5, 0.25])])
def test_hyperplanes_lie_where_the_unit_reaches_a_bend(activation, bends):
    net = nn.Sequential(nn.Linear(2, 1), activation).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 2.0]])), net[0].bias.fill_(0.1)
    plane = PlaneModel(net)
    found = affine_layer(plane, (-2, 2, -2, 2), 0)
    _, (axes,) = panels(1, 1, "", [False])
    found.draw_hyperplanes(axes, 0, plane.run(np.zeros((1, 2))).nonlinearities[0])
    assert len(axes.lines) == len(bends)
    for line, bend in zip(axes.lines, bends, strict=True):
        assert len(line.get_xydata()) > 10
        np.testing.assert_allclose(line.get_xydata() @ [1.0, 2.0] + 0.1, bend, atol=1e-9)


@pytest.mark.parametrize("module", [nn.ReLU(), nn.Tanh(), nn.ReLU(inplace=True), nn.ReLU6()], ids=repr)
def test_what_a_nonlinearity_makes_of_what_it_receives(module):
    plane = PlaneModel(nn.Sequential(nn.Linear(2, 3), module))
    (nonlinearity,) = plane.run(np.zeros((1, 2))).nonlinearities
    responses = np.random.default_rng(0).normal(size=(7, 3)) * 5
    before = responses.copy()
    expected = module(torch.from_numpy(responses.copy())).numpy()
    np.testing.assert_allclose(activated(nonlinearity, responses), expected)
    np.testing.assert_array_equal(responses, before)
    assert activated(nonlinearity, np.empty((0, 3))).shape == (0, 3)
