import numpy as np
import pytest
import torch
import torchvision
from helpers.stateful import Net, X, frozen, traces
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.nn.utils import parametrize as parametrize_module
from torchvision.models import VisionTransformer

from lightning_cnnviz.model.capture import record
from lightning_cnnviz.model.layers import (
    convolutions,
    last_hidden_layer,
    last_layer_with_weights,
    layers_with_weights,
    select_layers,
    spread,
    weights_of,
)

# ---- which layers


def lenet():
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5)),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


def test_convolutions_of_every_kind_are_found_and_shared_ones_once():
    shared = nn.Conv2d(3, 3, 1)
    net = nn.Sequential(
        nn.Conv1d(1, 1, 1),
        nn.Conv3d(1, 1, 1),
        shared,
        nn.Sequential(nn.ConvTranspose1d(1, 1, 1), shared),
        nn.ConvTranspose2d(1, 1, 1),
        nn.ConvTranspose3d(1, 1, 1),
        nn.Linear(1, 1),
    )
    assert convolutions(net) == ["0", "1", "2", "3.0", "4", "5"]
    assert convolutions(nn.Conv2d(1, 1, 1)) == []  # the model itself has no name


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (None, ["0.0", "0.3"]),
        ("0.3", ["0.3"]),
        (["0.3", "0.0"], ["0.0", "0.3"]),
        (["0.3", "0.*"], ["0.0", "0.3"]),
        ("*", ["0.0", "0.3"]),
        ("0.[3-9]", ["0.3"]),
        ("?.0", ["0.0"]),
    ],
)
def test_names_and_globs_select_what_fits_in_the_order_of_the_model(patterns, expected):
    net = lenet()
    assert select_layers(net, patterns, convolutions(net), "convolution") == expected


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("0.1", ["0.1"]),
        ("2.input", ["2.input"]),
        (["2.input", "0.0"], ["0.0", "2.input"]),
        ("0.*", ["0.0", "0.1", "0.2", "0.3"]),
        ("0.*.input", ["0.0.input", "0.1.input", "0.2.input", "0.3.input"]),
        ("*.input", ["0.input", "0.0.input", "0.1.input", "0.2.input", "0.3.input", "1.input", "2.input"]),
    ],
)
def test_where_all_layers_fit_inputs_can_be_selected_too(patterns, expected):
    assert select_layers(lenet(), patterns, None, "layer") == expected


def test_case_matters_in_names():
    net = nn.ModuleDict({"conv": nn.Conv2d(1, 1, 1), "Conv": nn.Conv2d(1, 1, 1)})
    assert select_layers(net, "C*", None, "layer") == ["Conv"]


def test_a_name_that_matches_nothing_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"layers='conv1' matches no layer of the model; its layers are: 0, 0.0, 0.1"):
        select_layers(lenet(), ["0.0", "conv1"], convolutions(lenet()), "convolution")


def test_a_name_that_does_not_fit_is_refused_with_what_does():
    with pytest.raises(ValueError, match=r"layers='2' matches 2, but no convolution; available are: 0.0, 0.3"):
        select_layers(lenet(), "2", convolutions(lenet()), "convolution")
    with pytest.raises(ValueError, match="but no convolution; available are: none"):
        select_layers(nn.Sequential(nn.Linear(1, 1)), "*", [], "convolution")


def test_long_lists_of_layers_are_cut_in_messages():
    net = nn.Sequential(*[nn.Identity() for _ in range(100)])
    with pytest.raises(ValueError, match="38, 39 and 60 more"):
        select_layers(net, "x", None, "layer")


# ---- which weights


def test_weights_are_named_by_their_layer_or_by_themselves_where_it_has_several():
    net = nn.ModuleDict(
        {
            "conv": nn.Conv2d(1, 2, 3),
            "norm": nn.BatchNorm2d(2),
            "lstm": nn.LSTM(3, 2, num_layers=2),
            "attention": nn.MultiheadAttention(4, 2),
            "table": nn.Embedding(5, 4),
        }
    )
    found = weights_of(net, ["conv", "norm", "lstm", "attention", "attention.out_proj", "table"])
    expected = {
        "conv": net["conv"].weight,
        "norm": net["norm"].weight,
        "lstm.weight_ih_l0": net["lstm"].weight_ih_l0,
        "lstm.weight_hh_l0": net["lstm"].weight_hh_l0,
        "lstm.weight_ih_l1": net["lstm"].weight_ih_l1,
        "lstm.weight_hh_l1": net["lstm"].weight_hh_l1,
        "attention": net["attention"].in_proj_weight,
        "attention.out_proj": net["attention"].out_proj.weight,
        "table": net["table"].weight,
    }
    assert list(found) == list(expected)
    assert all(found[name] is weight for name, weight in expected.items())
    assert weights_of(net, ["conv"]) == {"conv": net["conv"].weight}


def test_weights_of_attention_with_keys_of_another_size_have_three_projections():
    net = nn.Sequential(nn.MultiheadAttention(4, 2, kdim=3, vdim=5))
    assert list(weights_of(net, ["0"])) == ["0.q_proj_weight", "0.k_proj_weight", "0.v_proj_weight"]


def test_parametrized_weights_are_those_that_are_trained():
    net = nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.Conv2d(1, 2, 3)), nn.Linear(2, 2))
    parametrizations.weight_norm(net[0])
    parametrizations.orthogonal(net[1][0])
    parametrize_module.register_parametrization(net[2], "bias", nn.Identity())
    found = weights_of(net, ["0", "1.0", "2"])
    assert list(found) == ["0.weight.original0", "0.weight.original1", "1.0", "2"]
    assert found["0.weight.original1"] is net[0].parametrizations.weight.original1
    assert found["1.0"] is net[1][0].parametrizations.weight.original
    assert found["2"] is net[2].weight


def test_a_shared_weight_is_watched_once():
    net = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5))
    net[1].weight = net[0].weight
    assert list(weights_of(net, ["0", "1"])) == ["0"]


def test_layers_with_matrices_leave_out_normalisation_and_what_has_no_weight():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU(), nn.ReLU(), nn.LSTM(2, 2), nn.LazyLinear(3))
    assert layers_with_weights(net, 2) == ["0", "4", "5"]  # the last has no size yet
    assert layers_with_weights(net, 1) == ["0", "1", "2", "4", "5"]
    assert "5" not in weights_of(net, ["0", "5"])
    assert layers_with_weights(nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 2))), 2) == ["0"]


# ---- the last hidden layer


class FunctionalLeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class SideBranch(nn.Module):
    """One ReLU for everything; it runs once more after it has made the embedding."""

    def __init__(self):
        super().__init__()
        self.fc, self.side, self.head, self.relu = nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 2), nn.ReLU()

    def forward(self, x):
        hidden = self.relu(self.fc(x))
        side = self.relu(self.side(hidden))
        return self.head(hidden), side


def images(*shape):
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))


def mlp(*last):
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), *last)


MODELS = {
    "functional": (FunctionalLeNet, images(1, 28, 28), "fc3", "fc3.input"),
    "dropout": (lambda: mlp(nn.Dropout(), nn.Linear(3, 2)), images(4), "3", "1"),
    "identity": (lambda: mlp(nn.Identity(), nn.Linear(3, 2), nn.Softmax(1)), images(4), "3", "1"),
    "nested": (lambda: nn.Sequential(mlp(), nn.Sequential(nn.Linear(3, 2))), images(4), "1.0", "0.1"),
    "fully convolutional": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 10, 1), nn.AdaptiveAvgPool2d(1)),
        images(1, 8, 8),
        "2",
        "1",
    ),
    "one layer": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), images(1, 4, 4), "1", "0"),
    "normalised weight": (lambda: mlp(parametrizations.weight_norm(nn.Linear(3, 2))), images(4), "2", "1"),
    "orthogonal weight": (lambda: mlp(parametrizations.orthogonal(nn.Linear(3, 2))), images(4), "2", "1"),
    "side branch": (SideBranch, images(4), "head", "head.input"),
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=10), images(3, 64, 64), "fc", "avgpool"),
    "resnet18, small images": (lambda: torchvision.models.resnet18(), images(3, 32, 32), "fc", "layer4.1.relu"),
    "vision transformer": (
        lambda: VisionTransformer(32, 16, 2, 2, 16, 32),
        images(3, 32, 32),
        "heads.head",
        "heads.head.input",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_last_hidden_layer_is_what_the_last_weights_receive(name):
    make, x, head, expected = MODELS[name]
    torch.manual_seed(0)
    net = make()
    chosen = last_hidden_layer(net, x)
    received = []
    handle = net.get_submodule(head).register_forward_pre_hook(
        lambda _, args: received.append(args[0].detach().clone())
    )
    net.eval()
    with torch.no_grad():
        net(x)
    handle.remove()
    assert chosen == expected
    assert torch.allclose(record(net, x, [chosen]).layers[chosen].flatten(1), received[0].flatten(1), atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_last_layer_with_weights_is_the_one_that_gives_the_scores(name):
    make, x, head, _ = MODELS[name]
    assert last_layer_with_weights(make(), x) == head


@pytest.mark.parametrize("find", [last_hidden_layer, last_layer_with_weights])
def test_without_a_weight_matrix_there_is_no_last_layer(find):
    with pytest.raises(
        ValueError, match="expected a layer with a weight matrix, got none that ran; select layers with layers="
    ):
        find(nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4)), images(4))


def test_finding_the_last_hidden_layer_leaves_no_trace():
    net = frozen(Net())
    net(X)
    before = traces(net)
    assert last_hidden_layer(net, X) == "relu"
    assert traces(net) == before


class Adapted(nn.Module):
    """A frozen linear layer with a low-rank adapter beside it."""

    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.dropout = nn.Dropout(0.1)
        self.down = nn.Linear(base.in_features, 2, bias=False)
        self.up = nn.Linear(2, base.out_features, bias=False)

    def forward(self, x):
        return self.base(x) + self.up(self.down(self.dropout(x)))


def test_an_adapted_linear_layer_is_one_layer():
    net = nn.Sequential(Adapted(nn.Linear(4, 3)), nn.ReLU(), Adapted(nn.Linear(3, 2)))
    assert last_hidden_layer(net, torch.randn(5, 4)) == "1"
    assert last_layer_with_weights(net, torch.randn(5, 4)) == "2"


def test_linear_layers_one_after_the_other_are_several():
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.fc2(torch.relu(self.fc1(x)))

    net = nn.Sequential(nn.Linear(4, 4), Head())
    assert last_hidden_layer(net, torch.randn(5, 4)) == "1.fc2.input"
    assert last_layer_with_weights(net, torch.randn(5, 4)) == "1.fc2"


def test_a_layer_may_be_called_by_keyword():
    class Keyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.fc2(input=torch.relu(self.fc1(input=x)))

    x = torch.randn(5, 4)
    net = Keyword()
    assert last_hidden_layer(net, x) == "fc2.input"
    torch.testing.assert_close(record(net, x, "fc2.input").layers["fc2.input"], torch.relu(net.fc1(x)).detach())


def test_weights_are_found_whatever_they_are_called():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.W = nn.Parameter(torch.ones(3, 4))
            self.b_bias = nn.Parameter(torch.ones(3))

    class Equivariant(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.Parameter(torch.ones(30))

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(3))

    net = nn.Sequential(Odd(), Equivariant(), Scaled(), nn.BatchNorm1d(3), nn.Linear(4, 3), nn.PReLU())
    net.tensor = nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))
    layers = layers_with_weights(net, fewest_dimensions=2)
    assert layers == ["tensor", "0", "1", "4"]
    assert list(weights_of(net, layers)) == ["tensor", "0.W", "1", "4"]


@pytest.mark.parametrize(("count", "most"), [(155, 24), (25, 24), (24, 24), (1000, 7), (3, 24), (5, 1), (0, 24)])
def test_some_of_many_layers_are_spread_evenly_from_the_first_to_the_last(count, most):
    names = [str(number) for number in range(count)]
    places = [int(name) for name in spread(names, most)]
    assert len(places) == min(count, most)
    assert places == sorted(set(places))
    if 1 < most < count:
        assert (places[0], places[-1]) == (0, count - 1)
        gaps = np.diff(places)
        assert gaps.max() - gaps.min() <= 1
