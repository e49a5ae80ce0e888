"""Shapes, parameters and multiplications against a second way to find them, and the table that says them."""

import random
import re
from functools import partial

import numpy as np
import pytest
import torch
import torchvision
from helpers.tiny import TinyNet
from torch import nn
from torch.nn import functional as F
from torch.nn.modules import module as torch_modules
from torch.nn.utils import parametrizations
from torchmetrics.classification import MulticlassAccuracy

from lightning_cnnviz.functional.model_summary.layer_table import architecture, architecture_table, count_parameters
from recipes.lenet5 import LeNet5
from recipes.vgg16 import VGG16

VGG16_PARAMETERS = 15_118_538


def rows(model, *shape, **options):
    return {info.name: info for info in architecture(model, torch.rand(*shape), **options)}


class TwiceRegistered(nn.Module):
    """VGG-16 as the tutorial builds it: every layer in a Sequential, and its convolutions as attributes as well."""

    def __init__(self, attributes_first):
        super().__init__()
        layers = [layer for layer in VGG16().children() if not isinstance(layer, MulticlassAccuracy)]
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        if attributes_first:
            for number, layer in enumerate(convolutions):
                setattr(self, f"c{number}", layer)
        self.features = nn.Sequential(*layers)
        self.convolutions = nn.ModuleList(convolutions)

    def forward(self, x):
        return self.features(x)


# ---- which layers, and their shapes


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (LeNet5(), (1, 1, 28, 28)),
        (VGG16(), (1, 1, 32, 32)),
        (torchvision.models.resnet18(), (1, 3, 64, 64)),
        (torchvision.models.mobilenet_v3_small(), (1, 3, 64, 64)),
    ],
    ids=["lenet5", "vgg16", "resnet18", "mobilenet"],
)
def test_leaves_are_listed_as_they_run_with_the_shape_of_what_they_return(model, shape):
    infos = architecture(model, torch.rand(shape))
    seen = {}

    def see(name, *call):
        seen.setdefault(name, tuple(call[2].shape[1:]))

    for name, leaf in model.named_modules():
        if not list(leaf.children()):
            leaf.register_forward_hook(partial(see, name))
    with torch.no_grad():
        model.eval()(torch.rand(shape))
    assert [info.name for info in infos] == list(seen)
    assert {info.name: info.output_shape for info in infos} == seen
    kinds = {name: type(module).__name__ for name, module in model.named_modules()}
    assert all(info.kind == kinds[info.name] for info in infos)


def test_the_order_is_that_of_the_pass_not_of_the_registration():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(3, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.last(self.first(x))

    assert list(rows(Backwards(), 1, 4)) == ["first", "last"]


def test_roles():
    net = nn.Sequential(
        nn.Conv1d(2, 4, 3),
        nn.InstanceNorm1d(4),
        nn.PReLU(),
        nn.AdaptiveMaxPool1d(2),
        nn.Identity(),
        nn.Flatten(),
        type("Mine", (nn.Linear,), {})(8, 3),
        nn.Dropout(),
        nn.Softmax(1),
    )
    expected = [
        "convolution",
        "normalisation",
        "activation",
        "pooling",
        "other",
        "other",
        "linear",
        "dropout",
        "activation",
    ]
    assert [info.role for info in rows(net, 1, 2, 8).values()] == expected


def test_a_layer_that_runs_several_times_has_one_row_with_its_first_shape_and_the_sum():
    class Again(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pool = nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.MaxPool2d(2)

        def forward(self, x):
            return self.conv(self.pool(self.conv(x)))

    found = rows(Again(), 1, 1, 8, 8)
    assert list(found) == ["conv", "pool"]
    conv = found["conv"]
    assert (conv.output_shape, conv.parameters, conv.multiply_adds, conv.runs) == ((1, 8, 8), 9, 9 * (64 + 16), 2)


# ---- parameters


@pytest.mark.parametrize(
    "model",
    [
        torchvision.models.resnet18(),
        torchvision.models.mobilenet_v3_small(),
        torchvision.models.VisionTransformer(64, 16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32),
        torchvision.models.SwinTransformer([4, 4], 16, [2, 2], [2, 4], [7, 7]),
    ],
    ids=lambda model: type(model).__name__,
)
def test_every_parameter_of_a_model_is_in_one_row(model):
    found = rows(model, 1, 3, 64, 64)
    total = sum(parameter.numel() for parameter in model.parameters())
    assert sum(info.parameters for info in found.values()) == count_parameters(model).parameters == total
    for info in found.values():
        module = model.get_submodule(info.name)
        if not list(module.children()):
            assert info.parameters == sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    "model", [VGG16(), TwiceRegistered(True), TwiceRegistered(False)], ids=["once", "attributes first", "sequential"]
)
def test_vgg16_has_as_many_parameters_however_often_they_are_registered(model):
    found = rows(model, 1, 1, 32, 32).values()
    assert sum(info.parameters for info in found) == count_parameters(model).parameters == VGG16_PARAMETERS
    assert sum(info.multiply_adds for info in found) == 312_412_672
    assert len(found) == 13 * 3 + 5 + 8


def test_a_tied_weight_counts_at_the_first_layer_that_runs():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.decoder, self.encoder = nn.Linear(3, 4), nn.Linear(4, 3)
            self.decoder.weight = nn.Parameter(torch.zeros(4, 4))
            self.encoder.weight = self.decoder.weight

        def forward(self, x):
            return self.decoder(F.pad(self.encoder(x)[:, :3], (0, 1)))

    model = Tied()
    model.encoder.bias = nn.Parameter(torch.zeros(4))
    assert {name: info.parameters for name, info in rows(model, 1, 4).items()} == {"encoder": 20, "decoder": 4}
    assert count_parameters(model).parameters == 24


def test_frozen_parameters_are_not_trainable():
    model = LeNet5()
    model.conv2.requires_grad_(False)
    model.fc1.bias.requires_grad_(False)
    found = rows(model, 1, 1, 28, 28)
    assert (found["conv2"].parameters, found["conv2"].trainable) == (2416, 0)
    assert (found["fc1"].parameters, found["fc1"].trainable) == (30840, 30720)
    assert count_parameters(model).trainable == 44_426 - 2416 - 120


def test_size_follows_the_types():
    model = nn.Sequential(nn.Linear(10, 10).half(), nn.Linear(10, 10).double())
    assert count_parameters(model).size == 110 * 2 + 110 * 8


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_a_parametrized_layer_is_one_layer(wrap):
    model = nn.Sequential(wrap(nn.Conv2d(1, 6, 5)), nn.ReLU())
    found = rows(model, 1, 1, 28, 28)
    assert list(found) == ["0", "1"]
    assert found["0"].role == "convolution"
    assert found["0"].parameters == sum(parameter.numel() for parameter in model.parameters())


class Idle(nn.Module):
    """A parameter of the model's own, a head that does not run, and a metric."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(7))
        self.body, self.head = nn.Linear(7, 5), nn.Linear(5, 3)
        self.accuracy = MulticlassAccuracy(5)

    def forward(self, x):
        return self.body(x * self.scale)


def test_what_does_not_run_has_no_row_but_counts_in_the_total():
    model = Idle()
    found = rows(model, 1, 7)
    assert {name: info.parameters for name, info in found.items()} == {"": 7, "body": 40}
    table = architecture_table(list(found.values()), count_parameters(model))
    assert "**65 parameters**: 65 trainable" in table
    assert "18 of the parameters are in no layer above" in table
    assert "| (the model itself) | Idle | 5 | 7 | 0 |" in table


# ---- multiply-adds


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Conv2d(3, 8, 5), (3, 28, 28), 24 * 24 * 8 * 3 * 25),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1), (4, 9, 9), 5 * 5 * 8 * 4 * 9),
        (nn.Conv2d(4, 8, 3, groups=2, dilation=2), (4, 9, 9), 5 * 5 * 8 * 2 * 9),
        (nn.Conv2d(8, 8, (3, 1), groups=8), (8, 9, 9), 7 * 9 * 8 * 3),
        (nn.Conv1d(4, 8, 3), (4, 9), 7 * 8 * 4 * 3),
        (nn.Conv3d(2, 4, 3), (2, 5, 6, 7), 3 * 4 * 5 * 4 * 2 * 27),
        (nn.ConvTranspose2d(4, 8, 3, stride=2), (4, 5, 5), 5 * 5 * 4 * 8 * 9),
        (nn.ConvTranspose2d(4, 8, 3, stride=2, groups=2), (4, 5, 5), 5 * 5 * 4 * 4 * 9),
        (nn.Linear(7, 5), (7,), 35),
        (nn.Linear(7, 5), (11, 7), 11 * 35),
        (nn.LSTM(4, 3, batch_first=True), (9, 4), 9 * 4 * 3 * (4 + 3)),
        (nn.GRU(4, 3, num_layers=2, bidirectional=True, batch_first=True), (9, 4), 9 * 3 * 3 * 2 * (4 + 3 + 6 + 3)),
        (nn.BatchNorm2d(3), (3, 8, 8), 0),
        (nn.MaxPool2d(2), (3, 8, 8), 0),
    ],
    ids=str,
)
@pytest.mark.parametrize("samples", [1, 3])
def test_multiply_adds_are_those_of_the_formula(layer, shape, expected, samples):
    (info,) = rows(nn.Sequential(layer), samples, *shape).values()
    assert info.multiply_adds == expected


@pytest.mark.parametrize("heads", [1, 2])
def test_transformers_run_through_their_parts_and_attention_is_counted(heads):
    tokens, width, hidden = 5, 8, 16
    layer = nn.TransformerEncoderLayer(width, heads, hidden, batch_first=True)
    found = rows(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), 1, tokens, width)
    attention, first, second = (found[f"layers.0.{name}"] for name in ("self_attn", "linear1", "linear2"))
    # queries, keys, values and the way out; then every token with every other, twice
    assert attention.multiply_adds == 4 * tokens * width**2 + 2 * tokens**2 * width
    assert attention.parameters == 4 * width * (width + 1)  # with the part that does not run by itself
    assert attention.role == "attention"
    assert attention.output_shape == second.output_shape == (tokens, width)
    assert first.multiply_adds == second.multiply_adds == tokens * width * hidden


def test_products_that_are_no_layer_count_where_they_are_made():
    class Gram(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 6)

        def forward(self, x):
            y = self.inner(x)
            return y @ y.transpose(1, 2)

    found = rows(nn.Sequential(Gram(), nn.Flatten()), 1, 5, 4)
    assert {name: info.multiply_adds for name, info in found.items()} == {"0": 5 * 5 * 6, "0.inner": 5 * 24, "1": 0}
    assert found["0"].parameters == 0


@pytest.mark.parametrize(
    ("name", "parameters", "billions"),  # https://pytorch.org/vision/stable/models.html
    [("resnet18", 11_689_512, 1.81), ("mobilenet_v3_small", 2_542_856, 0.06)],
)
def test_published_numbers(name, parameters, billions):
    found = rows(getattr(torchvision.models, name)(), 1, 3, 224, 224).values()
    assert sum(info.parameters for info in found) == parameters
    assert sum(info.multiply_adds for info in found) / 1e9 == pytest.approx(billions, abs=0.006)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("in_place", [False, True], ids=["torch.compile", "Module.compile"])
def test_compiled_parts_are_described_uncompiled(in_place):
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    expected = [info[1:] for info in rows(nn.Sequential(body, nn.Flatten()), 1, 1, 8, 8).values()]
    if in_place:
        body.compile(backend="eager")
    model = nn.Sequential(body if in_place else torch.compile(body, backend="eager"), nn.Flatten())
    model(torch.rand(1, 1, 8, 8))
    assert [info[1:] for info in rows(model, 1, 1, 8, 8).values()] == expected


# ---- a choice of layers


def test_layers_are_chosen_by_name_and_glob():
    assert list(rows(LeNet5(), 1, 1, 28, 28, layers=["conv?", "fc3"])) == ["conv1", "conv2", "fc3"]
    found = rows(torchvision.models.resnet18(), 1, 3, 64, 64, layers="layer1.*")
    assert "layer1.0.conv1" in found
    assert "layer1.0" not in found  # it has layers itself, which are shown


def test_a_module_named_exactly_is_shown_as_a_whole():
    model = torchvision.models.resnet18()
    every = rows(model, 1, 3, 64, 64)
    stages = rows(model, 1, 3, 64, 64, layers=["layer1", "layer2", "fc"])
    assert list(stages) == ["layer1", "layer2", "fc"]
    assert stages["layer2"].output_shape == (128, 8, 8)
    for name, info in stages.items():
        inside = [part for path, part in every.items() if f"{path}.".startswith(f"{name}.")]
        assert info.parameters == sum(part.parameters for part in inside)
        assert info.multiply_adds == sum(part.multiply_adds for part in inside)


@pytest.mark.parametrize(
    ("layers", "message"), [("nothing", "matches no layer"), ("head", "none of these modules ran")]
)
def test_layers_that_do_not_fit_are_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        rows(Idle(), 1, 7, layers=layers)


# ---- no trace


def test_the_model_and_the_process_are_left_as_they_were():
    class Noisy(TinyNet):
        def forward(self, x):
            self.norm.running_mean += torch.rand(4)
            return super().forward(x + random.random() + np.random.rand())

    model = Noisy().train()
    model.drop.eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    fused = torch.backends.mha.get_fastpath_enabled()
    mathematical = torch.backends.cuda.flash_sdp_enabled()
    expected = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()
    architecture(model, torch.zeros(2, 1, 8, 8))
    after = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()
    assert torch.equal(after[0], expected[0])
    assert after[1:] == expected[1:]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not torch_modules._global_forward_hooks
    assert not torch_modules._global_forward_pre_hooks
    assert torch.backends.mha.get_fastpath_enabled() == fused
    assert torch.backends.cuda.flash_sdp_enabled() == mathematical


def test_a_pass_that_fails_leaves_no_hooks():
    model = LeNet5()
    with pytest.raises(RuntimeError):
        architecture(model, torch.rand(1, 3, 28, 28))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not torch_modules._global_forward_hooks
    assert torch.backends.mha.get_fastpath_enabled()


# ---- the table


def test_the_table_says_all_of_it():
    model = LeNet5()
    model.conv1.requires_grad_(False)
    table = architecture_table(architecture(model, torch.rand(1, 1, 28, 28)), count_parameters(model))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    assert all(len(line) == 5 for line in cells)
    assert cells[2] == ["`conv1`", "Conv2d", "6 × 24 × 24", "156", "86,400"]
    assert cells[8] == ["`fc1`", "Linear", "120", "30,840", "30,720"]
    assert sum(int(line[3].replace(",", "")) for line in cells[2:]) == 44_426
    assert "**44,426 parameters**: 44,270 trainable, 156 not trainable; 0.18 MB" in table
    total = sum(int(line[4].replace(",", "")) for line in cells[2:])
    assert re.search(rf"\*\*{total:,} multiply-adds per sample\*\*", table)
    assert "in no layer above" not in table


def test_a_layer_without_a_tensor_and_one_of_a_single_number_are_named():
    class Odd(nn.Module):
        def forward(self, x):
            return "words"

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.odd, self.loss = Odd(), nn.MSELoss()

        def forward(self, x):
            self.odd(x)
            return self.loss(x, x), self.loss(x, x)

    model = Both()
    table = architecture_table(architecture(model, torch.rand(2, 3)), count_parameters(model))
    assert "| `odd` | Odd | – | 0 | 0 |" in table
    assert "| `loss` | MSELoss, 2 runs | 1 | 0 | 0 |" in table
