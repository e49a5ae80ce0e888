"""Who trains a layer, and whether its weights are those of an initialisation."""

import copy
import math

import numpy as np
import pytest
import torch
import torchvision
from helpers.tiny import TinyData, TinyNet
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.model.training_setup import (
    FEWEST_WEIGHTS,
    is_untrained,
    layer_setups,
    layers_of_alike_units,
    optimizer_setup,
    owner_of,
    weights_by_layer,
)

NETS = {
    "resnet18": torchvision.models.resnet18,
    "vgg11": torchvision.models.vgg11_bn,
    "mobilenet": torchvision.models.mobilenet_v3_small,
    "vit": lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 64, 128),
    "tiny": TinyNet,
}


@pytest.mark.parametrize("name", NETS)
def test_fresh_networks_are_untrained_as_far_as_can_be_told(name):
    torch.manual_seed(0)
    net = NETS[name]()
    setups, weights = layer_setups(net, []), weights_by_layer(net)
    kinds = ("Conv2d", "Linear")
    enough = [one for key, one in setups.items() if one.kind in kinds and weights[key].numel() >= FEWEST_WEIGHTS]
    share = np.mean([one.untrained for one in enough if not one.constant])
    assert share > 0.8
    assert not any(one.optimized for one in setups.values())


@pytest.mark.parametrize(
    "initialise",
    [
        nn.init.kaiming_normal_,
        nn.init.kaiming_uniform_,
        nn.init.xavier_normal_,
        nn.init.xavier_uniform_,
        lambda weight: nn.init.normal_(weight, std=0.01),
        lambda weight: nn.init.normal_(weight, std=0.02),
        lambda weight: nn.init.kaiming_uniform_(weight, a=math.sqrt(5)),
        lambda weight: nn.init.kaiming_normal_(weight, mode="fan_out"),
    ],
)
@pytest.mark.parametrize("shape", [(64, 128), (300, 40), (32, 16, 3, 3), (512, 256, 3, 3)])
def test_usual_initialisations_are_recognised(initialise, shape):
    torch.manual_seed(1)
    weight = torch.empty(shape)
    initialise(weight)
    assert is_untrained(weight)


@pytest.mark.parametrize(
    "weight",
    [
        torch.zeros(64, 64),
        torch.ones(64, 64),
        torch.randn(64, 64) * 3,
        torch.distributions.StudentT(3.0).sample((64, 64)) / 20,  # tails as training leaves them
        torch.distributions.Laplace(0.0, 0.05).sample((64, 64)),
        torch.randn(5, 5),  # too few to tell
        torch.randn(4096),
        nn.Embedding(50, 32).weight,
    ],
    ids=["zeros", "ones", "large", "student", "laplace", "few", "vector", "embedding"],
)
def test_other_weights_are_not_taken_for_untrained(weight):
    assert not is_untrained(weight)


def test_layers_that_were_trained_for_a_while_are_not_untrained():
    torch.manual_seed(0)
    net, data = TinyNet(), TinyData(48)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(net(data.images), data.targets).backward()
        optimizer.step()
    setups = layer_setups(net, [optimizer])
    assert not setups["fc1"].untrained
    assert not setups["conv2"].untrained


def test_who_owns_and_who_trains_a_layer():
    net = TinyNet()
    net.fc1.requires_grad_(False)
    optimizers = [torch.optim.SGD(net.conv1.parameters(), 0.1), torch.optim.Adam(net.fc1.parameters(), 0.1)]
    setups = layer_setups(net, optimizers)
    assert {name: (one.optimized, one.trainable) for name, one in setups.items()} == {
        "conv1": (True, True),
        "conv2": (False, True),
        "fc1": (True, False),
        "fc2": (False, True),
    }
    assert [(one.kind, one.units) for one in setups.values()] == [
        *(("Conv2d", 4), ("Conv2d", 8), ("Linear", 16), ("Linear", 4))
    ]


@pytest.mark.parametrize("layer", [nn.Linear(40, 12), nn.Conv2d(3, 8, 5), nn.ConvTranspose2d(6, 4, 3)])
def test_the_scale_is_that_of_he(layer):
    weight = layer.weight.detach().double().numpy()
    (setup,) = layer_setups(nn.Sequential(layer), []).values()
    assert setup.scale == pytest.approx(weight.std() / np.sqrt(2 / weight[0].size), rel=1e-5)
    assert not setup.constant
    nn.init.constant_(layer.weight, 0.3)
    assert next(iter(layer_setups(nn.Sequential(layer), []).values())).constant


def test_weights_of_every_kind_of_layer_have_names_and_owners():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.zeros(2, 3))
            self.lstm, self.norm = nn.LSTM(3, 4), nn.LayerNorm(4)
            self.attention = nn.MultiheadAttention(4, 2)
            self.head = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
            self.codes, self.table = nn.Parameter(torch.ones(3, dtype=torch.complex64)), nn.Embedding(5, 4)

    net = Net()
    weights = weights_by_layer(net)
    assert {"token", "lstm.weight_ih_l0", "lstm.weight_hh_l0", "table"} <= set(weights)
    assert not any(name.startswith(("norm", "codes")) for name in weights)
    parts = dict(net.named_modules())
    assert owner_of("lstm.weight_hh_l0", parts) == "lstm"
    assert owner_of("token", parts) == ""
    assert all(owner_of(name, parts) in parts for name in weights)
    setups = layer_setups(net, [torch.optim.SGD([net.token], 0.1)])
    assert setups["token"].optimized
    assert setups["lstm.weight_ih_l0"].kind == "LSTM"


@pytest.mark.parametrize(
    ("optimizer", "momentum", "decay"),
    [
        (lambda p: torch.optim.SGD(p, 0.1), 0, 0),
        (lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01), 0.9, 0.01),
        (lambda p: torch.optim.Adam(p, 0.1, betas=(0.8, 0.99)), 0.8, 0),
        (lambda p: torch.optim.AdamW(p, 0.1), 0.9, 0.01),
        (lambda p: torch.optim.RMSprop(p, 0.1, momentum=0.5), 0.5, 0),
        (lambda p: torch.optim.LBFGS(p), 0, 0),
    ],
)
def test_optimizers_tell_momentum_and_decay(optimizer, momentum, decay):
    made = optimizer([torch.zeros(2, requires_grad=True)])
    assert optimizer_setup(made) == (type(made).__name__, momentum, decay)


def test_of_several_groups_the_largest_counts():
    groups = [{"params": [torch.zeros(1)], "weight_decay": 0.1}, {"params": [torch.zeros(1)], "momentum": 0.99}]
    assert optimizer_setup(torch.optim.SGD(groups, 0.1)) == ("SGD", 0.99, 0.1)


def test_units_that_are_alike_stay_so_and_are_found():
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), nn.Conv1d(1, 1, 1))
    nn.init.constant_(net[0].weight, 0.5)
    nn.init.constant_(net[0].bias, 0.1)
    nn.init.constant_(net[2].weight, 0.2)
    names = list(layer_setups(net, []))
    assert layers_of_alike_units(net, names) == ["0", "2"]  # a single unit has none to be like
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    F.cross_entropy(net[:3](torch.randn(8, 4)), torch.arange(8) % 3).backward()
    optimizer.step()
    assert layers_of_alike_units(net, names) == ["0"]  # the last gets other gradients for each class
    assert layers_of_alike_units(nn.Sequential(nn.GRU(3, 4)), ["0.weight_ih_l0"]) == []


def test_weights_that_are_computed_when_they_are_read_are_not_read():
    net = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Linear(4, 6)), nn.utils.spectral_norm(nn.Linear(6, 3))
    )
    before = {name: value.clone() for name, value in net.state_dict().items()}
    names = list(layer_setups(net.train(), []))
    assert layers_of_alike_units(net, names) == []
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_copy_that_is_to_follow_a_trained_layer_is_not_taken_for_a_forgotten_one():
    torch.manual_seed(0)
    net = nn.ModuleDict({"online": nn.Linear(64, 64), "other": nn.Linear(64, 64)})
    net["target"] = copy.deepcopy(net["online"]).requires_grad_(False)
    net["other"].requires_grad_(False)
    found = layer_setups(net, [])
    assert {name: one.untrained for name, one in found.items()} == {"online": True, "other": True, "target": False}
