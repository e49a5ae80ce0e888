"""What a unit depends on, by geometry, is what it answers to, pixel by pixel."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.model.layers import convolutions
from lightning_cnnviz.model.receptive_field import receptive_fields, unknown_field
from recipes.lenet5 import LeNet5


class Crooked(nn.Module):
    """Dilation, padding of all kinds, strides, branches, ceiling mode, and rows that differ from columns."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 3, (3, 5), padding=(1, 0), dilation=(2, 1))
        self.strided = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.same = nn.Conv2d(4, 4, 4, padding="same")
        self.around = nn.Conv2d(4, 4, 3, padding=2, dilation=2, padding_mode="reflect")
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.last = nn.Conv2d(8, 3, (1, 3))

    def forward(self, x):
        x = self.strided(F.relu(self.first(x)))
        both = torch.cat([self.same(x), F.relu_(self.around(x))], dim=1)
        x = self.pool(F.pad(both, (2, 0, 0, 1)))
        return self.last(F.avg_pool2d(x, 2, 1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 4, 3, padding=1)
        self.up, self.grown = nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1), nn.Conv2d(4, 2, 3)
        self.out = nn.Conv2d(4, 3, 3)

    def forward(self, x):
        fine = F.relu(self.down1(x))
        coarse = F.relu(self.down2(F.max_pool2d(fine, 2)))
        linear = self.grown(F.interpolate(coarse, scale_factor=2.0, mode="bilinear"))
        nearest = F.interpolate(coarse[:, :2], scale_factor=2)
        return self.out(torch.cat([self.up(coarse), fine], dim=1)[:, :, 1:-1, 1:-1].add(0)), linear, nearest


def passing(model):
    """Everything positive, so that what a unit is connected to never leaves it unmoved."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.abs() + 0.1 if parameter.ndim > 1 else parameter.abs())
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                nn.init.ones_(part.weight), nn.init.zeros_(part.bias), nn.init.zeros_(part.running_mean)
            elif getattr(part, "bias", None) is not None:
                nn.init.zeros_(part.bias)
    return model.double().eval()


def answers(model, shape, layers):
    """By brute force: for each layer and side, the places of its maps, shape (pixels, places), that a line moves."""
    kept = {}
    handles = [
        model.get_submodule(name).register_forward_hook(lambda _, __, result, name=name: kept.update({name: result}))
        for name in layers
    ]
    moved = {name: ([], []) for name in layers}
    for side in (0, 1):
        for pixel in range(shape[1 + side]):
            lit = torch.zeros(1, *shape, dtype=torch.double)
            lit.select(2 + side, pixel).fill_(1)
            with torch.no_grad():
                model(lit)
            for name, maps in kept.items():
                moved[name][side].append((maps[0] != 0).any(dim=0).any(dim=1 - side).numpy())
    for handle in handles:
        handle.remove()
    return {name: [np.array(rows) for rows in sides] for name, sides in moved.items()}


NETWORKS = {
    "LeNet-5": (LeNet5, (1, 28, 28)),
    "ResNet-18": (lambda: torchvision.models.resnet18(num_classes=10), (3, 40, 40)),
    "dilation and padding": (Crooked, (2, 33, 30)),
    "U-Net": (UNet, (1, 16, 12)),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_fields_are_the_pixels_that_move_a_unit(network):
    make, shape = NETWORKS[network]
    torch.manual_seed(0)
    model = passing(make())
    layers = convolutions(model)
    fields = receptive_fields(model, torch.rand(1, *shape, dtype=torch.double), layers)
    assert list(fields) == layers
    for layer, sides in answers(model, shape, layers).items():
        part = network == "U-Net" and layer == "out"  # behind a part of a map, of which no rule tells
        assert fields[layer].source == ("gradient" if part else "geometry")
        for axis, moved in zip(fields[layer][:2], sides, strict=True):
            assert moved.any(axis=0).all()
            low, high = moved.argmax(axis=0), len(moved) - 1 - moved[::-1].argmax(axis=0)
            assert axis.low.tolist() == low.tolist(), layer
            assert axis.high.tolist() == high.tolist(), layer
            first = axis.first()
            assert (first <= low).all(), layer
            assert (high < first + axis.extent).all(), layer


def test_the_size_of_resnet_18s_field_is_the_published_one():
    model = torchvision.models.resnet18()
    fields = receptive_fields(model, torch.rand(1, 3, 64, 64), convolutions(model))
    assert fields["layer4.1.conv2"].rows.size == 435  # Araujo et al., https://doi.org/10.23915/distill.00021
    assert fields["conv1"].patch_size == (7, 7)
    assert fields["conv1"].rows.first()[:2].tolist() == [-3, -1]


@pytest.mark.parametrize(
    "name",
    [
        *("vgg11_bn", "densenet121", "googlenet", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"),
        *("convnext_tiny", "shufflenet_v2_x0_5", "squeezenet1_1", "regnet_y_400mf", "mnasnet0_5"),
    ],
)
def test_the_field_of_every_convolution_of_common_networks_is_known(name):
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    model = getattr(torchvision.models, name)(**options)
    layers = convolutions(model)
    fields = receptive_fields(model, torch.rand(1, 3, 64, 64), layers)
    assert list(fields) == layers
    assert {field.source for field in fields.values()} == {"geometry"}


class Turned(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, (3, 1))

    def forward(self, x):
        return self.conv(x.transpose(2, 3))


class AlongTheWidth(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix, self.conv = nn.Linear(8, 8), nn.Conv2d(1, 2, 3)

    def forward(self, x):
        return self.conv(self.mix(x))


@pytest.mark.parametrize(("make", "size"), [(Turned, (9, 8)), (AlongTheWidth, (3, 8))])
def test_what_moves_or_mixes_rows_or_columns_does_not_count_as_exact(make, size):
    torch.manual_seed(0)
    with torch.inference_mode():  # as in a validation
        field = receptive_fields(make(), torch.rand(1, 1, 9, 8), ["conv"])["conv"]
    assert (field.source, field.patch_size) == ("gradient", size)


def test_squeeze_and_excitation_and_normalisations_do_not_widen_a_field():
    scale = torchvision.ops.SqueezeExcitation(4, 2)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), scale, nn.Conv2d(4, 4, 3))
    assert receptive_fields(net, torch.rand(1, 1, 12, 12), ["3"])["3"].patch_size == (5, 5)


def test_layers_without_a_gradient_see_the_whole_input():
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return self.conv(torch.from_numpy(x.numpy(force=True)).flip(3))

    field = receptive_fields(Cut(), torch.rand(1, 1, 9, 9), ["conv"])["conv"]
    assert (field.source, field.patch_size) == ("unknown", (9, 9))
    assert field.boxes(torch.tensor([[3, 3]])).tolist() == [[0, 0, 9, 9]]
    assert unknown_field((2, 3), (8, 9)).patch_size == (8, 9)


def test_flat_layers_have_no_field_and_inputs_must_be_images():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    assert list(receptive_fields(net, torch.rand(1, 1, 4, 4), ["0", "2"])) == ["0"]
    with pytest.raises(ValueError, match=r"expected images of shape .*, got \(1, 1, 4\)"):
        receptive_fields(nn.Conv1d(1, 1, 3), torch.rand(1, 1, 4), [""])
