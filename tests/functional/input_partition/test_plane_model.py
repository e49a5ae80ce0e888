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
    affine_maps,
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
