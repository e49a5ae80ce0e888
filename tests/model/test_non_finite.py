"""The layer that is named is the first in the order in which layers run."""

import math

import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyNet
from torch import nn

from lightning_cnnviz.model.non_finite import first_non_finite, origin_of_non_finite


class Log(nn.Module):
    def forward(self, x):
        return x.log()


class Crossed(nn.Module):
    """Runs its layers in another order than it defines them in, and one in place."""

    def __init__(self):
        super().__init__()
        self.last, self.relu, self.first = nn.Linear(3, 2), nn.ReLU(inplace=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.relu(self.first(x)))


@pytest.mark.parametrize("broken", ["first", "last"])
def test_the_first_to_run_is_named(broken):
    net = Crossed()
    getattr(net, broken).bias.data[0] = math.nan
    assert first_non_finite(net, torch.ones(5, 4)) == broken


def test_a_layer_that_runs_twice_and_infinity():
    log = Log()
    net = nn.Sequential(log, nn.Identity(), log)
    assert first_non_finite(net, torch.full((3, 4), 2.0)) == ""  # log(log 2) is a number
    assert first_non_finite(net, torch.full((3, 4), 0.5)) == "0"  # log(log ½) is none
    assert first_non_finite(nn.Sequential(nn.Identity(), log), torch.zeros(3, 4)) == "1"  # −∞


def test_a_sound_model_and_what_it_is_are_left_as_they_are():
    net = TinyNet().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    inputs = torch.rand(6, 1, 8, 8)
    state, given = torch.get_rng_state(), inputs.clone()
    assert first_non_finite(net, inputs) == ""
    assert torch.equal(inputs, given)
    assert torch.equal(torch.get_rng_state(), state)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def origin(change, batch=None):
    """Where NaN arises in a batch, of a network that is changed."""
    net = TinyNet()
    change(net)
    run = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    batch = (torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)) if batch is None else batch
    return origin_of_non_finite(run, net, batch)


def test_weights_batch_layers_and_loss_are_told_apart():
    def broken(net):
        net.fc1.weight.data[0, 0] = math.nan

    def logarithm(net):
        net.fc2 = nn.Sequential(Log(), net.fc2)

    found = origin(broken)
    assert (found.layers, found.of_layers, "Weights up to fc1" in found.words) == (("fc1",), True, True)
    found = origin(lambda net: None, (torch.full((4, 1, 8, 8), math.inf), torch.zeros(4, dtype=torch.long)))
    assert (found.layers, found.of_layers, "batch itself" in found.words) == ((), False, True)
    found = origin(logarithm)
    assert (found.layers, found.of_layers) == (("fc2.0",), True)
    found = origin(lambda net: None)
    assert (found.layers, found.of_layers, "but not the loss" in found.words) == ((), False, True)


def test_adam_in_float16_makes_nan_of_a_gradient_of_zero_and_that_is_said():
    def stepped(net):
        net.half()
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        torch.optim.Adam(net.parameters(), foreach=False).step()

    words = origin(stepped).words
    assert "are no longer finite" in words
    assert "or one of zero, which Adam in float16 divides by zero" in words
