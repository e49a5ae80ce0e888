"""Mistakes by which nothing, or far too much, comes through a network."""

from typing import Any

import torch
from torch import nn

from benchmarks.diagnosis.faults.registry import PLAIN, fault, half, weighted
from benchmarks.diagnosis.training import Setup

VANISHING, EXPLODING = "vanishing gradients", "exploding gradients"
DEAD, SATURATED, START = "dead ReLUs", "saturated sigmoid or tanh", "bad initialisation"
NARROW, LINEAR = "bottleneck that lets nothing through", "network without nonlinearity"
SGD = {"lr": 0.01, "momentum": 0.9}


@torch.no_grad()
def _scale(network: nn.Module, factor: float) -> None:
    for layer in weighted(network):
        layer.weight.mul_(factor)


@fault(VANISHING, "vanishing_gradients", networks=("vgg",), seeds=3)
def sigmoids_eight_layers_deep(setup: Setup, _: Any) -> None:
    setup.rebuild(activation=nn.Sigmoid, initialized=False)
    setup.optimizer, setup.settings = torch.optim.SGD, dict(SGD)


@fault(VANISHING, "vanishing_gradients", "bad_initialization", strengths=(0.1, 0.2), networks=("vgg",), seeds=3)
def weights_too_small(setup: Setup, factor: float) -> None:
    _scale(setup.network, factor)
    setup.optimizer, setup.settings = torch.optim.SGD, dict(SGD)


@fault(VANISHING, "vanishing_gradients", networks=("vgg",), seeds=3)
def tanhs_of_small_weights(setup: Setup, _: Any) -> None:
    setup.rebuild(activation=nn.Tanh, initialized=False)
    _scale(setup.network, 0.3)
    setup.optimizer, setup.settings = torch.optim.SGD, dict(SGD)


@fault(EXPLODING, "exploding_gradients", "bad_initialization", strengths=(2.0, 3.0, 5.0), networks=("vgg",), seeds=3)
def weights_grow_the_signal(setup: Setup, factor: float) -> None:
    _scale(setup.network, factor)
    setup.optimizer, setup.settings = torch.optim.SGD, dict(SGD)


class Rows(nn.Module):
    """Reads an image row by row: images (N, 1, size, size) to logits (N, 10).

    Args:
        size: Side length of the images in pixels.
        gain: Factor by which a state grows from row to row.
    """

    def __init__(self, size: int, gain: float) -> None:
        super().__init__()
        self.rnn = nn.RNN(size, 64, nonlinearity="relu", batch_first=True)
        nn.init.orthogonal_(self.rnn.weight_hh_l0, gain)
        self.head = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps images (N, 1, size, size) to logits (N, 10)."""
        return self.head(self.rnn(images.squeeze(1))[0][:, -1])


@fault(EXPLODING, "exploding_gradients", "bad_initialization", strengths=(3.0, 5.0), networks=("lenet",), seeds=2)
def recurrence_grows_the_signal(setup: Setup, gain: float) -> None:
    setup.network = Rows(setup.size, gain)
    setup.optimizer, setup.settings = torch.optim.SGD, dict(SGD)


@fault(DEAD, "dead_units", strengths=(10.0, 30.0, 100.0))
def bias_far_below_zero(setup: Setup, value: float) -> None:
    if setup.name == "vit":
        setup.rebuild(activation=nn.ReLU)
    layer = half(setup)
    layer = {"resnet": lambda: layer.norm1, "vit": lambda: layer.fc1}.get(setup.name, lambda: layer)()
    nn.init.constant_(layer.bias, -value)


@fault(SATURATED, "saturated_activations", "bad_initialization", strengths=(10.0, 30.0), networks=PLAIN)
def tanhs_of_large_weights(setup: Setup, factor: float) -> None:
    setup.rebuild(activation=nn.Tanh)
    _scale(setup.network, factor)


@fault(SATURATED, "saturated_activations", "bad_initialization", strengths=(30.0, 100.0), networks=PLAIN)
def sigmoids_of_large_weights(setup: Setup, factor: float) -> None:
    setup.rebuild(activation=nn.Sigmoid)
    _scale(setup.network, factor)


@fault(SATURATED, "saturated_activations", "inputs_not_normalized", strengths=(100.0, 1000.0), networks=PLAIN)
def tanhs_of_large_inputs(setup: Setup, factor: float) -> None:
    setup.rebuild(activation=nn.Tanh)
    for part in (setup.train, setup.val):
        part.transform = lambda image: factor * image


@fault(START, "bad_initialization", strengths=(0.0, 0.01, 0.1))
def all_weights_equal(setup: Setup, value: float) -> None:
    for layer in weighted(setup.network):
        nn.init.constant_(layer.weight, value)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


@fault(START, "bad_initialization", strengths=(1.0, 3.0), networks=("lenet", "vgg", "vit"))
def standard_deviation_too_large(setup: Setup, std: float) -> None:
    for layer in weighted(setup.network):
        nn.init.normal_(layer.weight, std=std)


def _narrow(setup: Setup, *layers: nn.Module) -> None:
    head = setup.network.get_submodule("head")
    setup.network.head = nn.Sequential(nn.Linear(head.in_features, 1), *layers, nn.Linear(1, 10))


@fault(NARROW, "bottleneck")
def one_feature(setup: Setup, _: Any) -> None:
    _narrow(setup, nn.ReLU())


@fault(NARROW, "bottleneck", "dead_units", strengths=(10.0, 100.0))
def one_dead_feature(setup: Setup, value: float) -> None:
    _narrow(setup, nn.ReLU())
    nn.init.constant_(setup.network.head[0].bias, -value)


@fault(NARROW, "bottleneck", "saturated_activations", networks=("lenet", "resnet", "vit"))
def one_saturated_feature(setup: Setup, _: Any) -> None:
    _narrow(setup, nn.Sigmoid())
    nn.init.constant_(setup.network.head[0].bias, 50.0)


@fault(LINEAR, "no_nonlinearity", networks=("lenet", "vgg", "resnet"), seeds=2)
def activation_functions_left_out(setup: Setup, _: Any) -> None:
    setup.rebuild(activation=nn.Identity, **({} if setup.name == "resnet" else {"pool": nn.AvgPool2d}))


@fault(LINEAR, "no_nonlinearity", strengths=(2, 4), networks=("lenet",), seeds=3)
def linear_layers_only(setup: Setup, depth: int) -> None:
    pixels = setup.size**2
    hidden = [nn.Linear(pixels if number == 0 else 64, 64) for number in range(depth)]
    setup.network = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, 10))
