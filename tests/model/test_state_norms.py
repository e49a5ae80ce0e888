"""States of a model are told apart by their norms."""

import torch
from torch import nn

from lightning_cnnviz.model.state_norms import norms_of_state


def test_they_are_those_of_weights_and_buffers_one_by_one():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    net(torch.randn(8, 1, 6, 6))
    state = [*net.parameters(), net[1].running_mean, net[1].running_var]
    expected = torch.stack([part.detach().double().square().sum().sqrt() for part in state])
    torch.testing.assert_close(norms_of_state(net).double(), expected)


def test_half_precision_does_not_overflow_and_a_model_without_state_has_none():
    net = nn.Linear(1000, 1, bias=False).half()
    net.weight.data.fill_(60000)
    torch.testing.assert_close(norms_of_state(net), torch.tensor([60000 * 1000**0.5]))
    assert norms_of_state(nn.ReLU()).tolist() == []
