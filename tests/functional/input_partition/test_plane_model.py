"""A network on points of its plane: what it computes there, and that the model itself stays as it was."""

import threading

import numpy as np
import pytest
import torch
from helpers.plane_nets import BOUNDS, NETS, Pooled, net_of, relu_net
from torch import nn

from lightning_cnnviz.functional.input_partition.cells import partition
from lightning_cnnviz.functional.input_partition.plane_model import (
    PlaneModel,
    activation_patterns,
    affine_maps,
    flat,
    grid_points,
)

every_net = pytest.mark.parametrize("name", NETS)


@pytest.fixture
def net(name):
    return net_of(name)


@every_net
def test_the_affine_map_of_a_cell_is_the_model_to_float64_precision(net):
    found = partition(net, BOUNDS)
    cells = found.levels[-1].cells
    plane = PlaneModel(net)
    weights, offsets = affine_maps(plane, cells)
    generator = np.random.default_rng(1)
    for cell, weight, offset in zip(cells, weights, offsets, strict=True):
        points = generator.dirichlet(np.ones(len(cell)), 20) @ cell
        seen = plane.run(points)
        actual = seen.inputs[-1] if seen.nonlinearities[-1].smooth else seen.output
        scale = float(actual.abs().max()) + 1
        np.testing.assert_allclose(points @ weight.T + offset, actual.flatten(1).numpy(), atol=1e-12 * scale)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (nn.Sequential(nn.LSTM(2, 4)), "0, a LSTM"),
        (nn.GRUCell(2, 2), "the model, a GRUCell"),
        (nn.Sequential(nn.Linear(2, 4), nn.TransformerEncoderLayer(4, 2)), "1, a TransformerEncoderLayer"),
    ],
)
def test_recurrent_and_attention_layers_are_refused_by_name(model, name):
    with pytest.raises(ValueError, match=f"affine between their activations, got {name}"):
        partition(model, BOUNDS)


def test_other_numbers_of_inputs_are_refused():
    with pytest.raises(ValueError, match=r"expected a model with two inputs, got inputs of shape \(1, 8, 8\) with 64"):
        PlaneModel(nn.Flatten(), (1, 8, 8))


def test_the_model_is_left_as_it_was():
    net = Pooled().train()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    partition(net, BOUNDS)
    assert net.training
    assert next(net.parameters()).dtype == torch.float32
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in state.items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_models_are_copied_whatever_else_they_hold():
    net = relu_net(3)
    net.lock, net.last = threading.Lock(), net(torch.rand(4, 2))
    assert partition(net, BOUNDS).levels[0].num_cells > 1


def test_compiled_parts_are_looked_into():
    net = relu_net(3)
    net[0] = torch.compile(net[0])
    assert [level.nonlinearity.name for level in partition(net, BOUNDS).levels] == ["0"]


@pytest.mark.parametrize("name", ["relu", "pools", "leaky", "classes"])
def test_it_gives_what_the_model_gives_in_float64_and_in_evaluation(name):
    net = net_of(name)
    points = np.random.default_rng(0).normal(size=(40, 2))
    found = PlaneModel(net.train()).run(points)
    expected = net.eval().double()(torch.from_numpy(points))
    assert found.output.dtype == torch.float64
    assert torch.equal(found.output, expected)
    assert not found.output.requires_grad


def test_derivatives_can_be_taken_where_they_are_asked_for():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    plane = PlaneModel(net)
    with torch.no_grad():  # whoever calls may not want any
        seen = plane.run(np.array([[0.3, -0.7]]), keep_graph=True)
    assert seen.output.requires_grad
    assert not plane.run(np.zeros((1, 2))).output.requires_grad


def test_inference_mode_around_it_does_not_matter():
    plane = PlaneModel(relu_net(3))
    with torch.inference_mode():
        weights, _ = affine_maps(plane, [np.array([[0.0, 0], [1, 0], [0, 1]])])
    assert weights.shape == (1, 2, 2)


@pytest.mark.parametrize("count", [0, 1, 20_000, 20_001, 45_000])
def test_patterns_of_many_points_are_those_of_each_by_itself(count):
    net = relu_net(3)
    points = np.random.default_rng(0).normal(size=(count, 2))
    (found,) = activation_patterns(PlaneModel(net), points)
    expected = (points @ net[0].weight.detach().double().numpy().T + net[0].bias.detach().double().numpy()) > 0
    np.testing.assert_array_equal(found, expected)


def test_affine_maps_behind_a_smooth_activation_are_those_of_what_it_receives():
    net = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid())
    cells = [np.array([[0.0, 0], [1, 0], [0, 1]]), np.array([[5.0, 5], [6, 5], [5, 6]])]
    weights, offsets = affine_maps(PlaneModel(net), cells)
    for weight, offset in zip(weights, offsets, strict=True):
        np.testing.assert_allclose(weight, net[0].weight.detach(), rtol=1e-6)
        np.testing.assert_allclose(offset, net[0].bias.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_grid_points_are_the_middles_of_equal_pixels_row_by_row_from_below(count):
    x_low, x_high, y_low, y_high = bounds = (-1.0, 3.0, 10.0, 12.0)
    found = grid_points(bounds, count).reshape(count, count, 2)
    for row in range(count):
        for column in range(count):
            x = x_low + (column + 0.5) * (x_high - x_low) / count
            y = y_low + (row + 0.5) * (y_high - y_low) / count
            np.testing.assert_allclose(found[row, column], (x, y))


@pytest.mark.parametrize(("shape", "expected"), [((5,), (5, 1)), ((5, 3), (5, 3)), ((5, 3, 2, 2), (5, 12))])
def test_values_of_points_become_rows(shape, expected):
    values = torch.rand(shape, requires_grad=True)
    found = flat(values)
    assert (found.shape, found.dtype) == (expected, np.float64)
    np.testing.assert_array_equal(found, values.detach().numpy().reshape(expected))


def test_of_a_model_that_cannot_be_copied_the_layers_are_copies_and_the_rest_is_shared():
    net = relu_net(3)
    net.lock, net.last = threading.Lock(), net(torch.rand(4, 2)).sum()
    plane = PlaneModel(net)
    assert plane.model.lock is net.lock
    assert not {id(one) for one in plane.model.parameters()} & {id(one) for one in net.parameters()}
    net[0].weight.data.fill_(7)
    assert not (plane.model[0].weight == 7).any()


def test_a_compiled_model_runs_its_own_code():
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net = relu_net(3)
    plane = PlaneModel(torch.compile(net, backend=backend))
    points = np.random.default_rng(0).normal(size=(5, 2))
    assert torch.equal(plane.run(points).output, net.double()(torch.from_numpy(points)))
    assert graphs == []
