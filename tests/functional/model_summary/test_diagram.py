"""The boxes' sizes follow the layers' shapes, every layer is named, and networks of any depth stay legible."""

import numpy as np
import pytest
import torch
import torchvision
from helpers.reading import written
from matplotlib import color_sequences
from matplotlib.colors import to_rgb
from scipy import ndimage
from torch import nn

from lightning_cnnviz.functional.model_summary.diagram import ROLE_COLOURS, architecture_diagram
from lightning_cnnviz.functional.model_summary.layer_info import LayerInfo
from lightning_cnnviz.functional.model_summary.layer_table import architecture
from recipes.lenet5 import LeNet5
from recipes.vgg16 import VGG16

NOTE = "in order of execution, branches are not drawn · sizes on compressed scales"


def diagram(model, *shape, **options):
    infos = architecture(model, torch.rand(1, *shape), options.pop("layers", None))
    return architecture_diagram(infos, shape, **options)


def conv(name, *shape):
    return LayerInfo(name, "Conv2d", "convolution", shape, 1, 1, 1, 1)


def fronts(picture, role):
    """(height, thickness, left) of the fronts of a role's colour, from the left, without the legend."""
    areas, _ = ndimage.label((picture == ROLE_COLOURS[role]).all(-1))
    found = [(y.stop - y.start, x.stop - x.start, x.start) for y, x in ndimage.find_objects(areas)[1:]]
    return sorted((size for size in found if min(size[:2]) > 1), key=lambda size: size[2])


def test_colours_are_made_for_colour_blind_readers_and_all_differ():
    known = [tuple(round(255 * part) for part in to_rgb(colour)) for colour in color_sequences["petroff10"]]
    assert set(ROLE_COLOURS.values()) - set(known) == {ROLE_COLOURS["input"]}
    assert len(set(ROLE_COLOURS.values())) == len(ROLE_COLOURS) == 9


def test_boxes_grow_with_maps_and_channels_on_the_documented_scales():
    sides, channels = (
        np.array([64, 32, 16, 8, 4, 2, 1] * 2),
        np.array([1, 4, 16, 64, 256, 1024, 4096, 1, 2, 3] + [8] * 4),
    )
    layers = [conv(f"conv{n}", channels[n], sides[n], sides[n]) for n in range(14)]
    picture = architecture_diagram(layers, (3, 64, 64))
    found = fronts(picture, "convolution")
    assert len(found) == 14
    np.testing.assert_allclose([front[0] for front in found], 10 + 140 * np.sqrt(sides / 64), atol=3)
    np.testing.assert_allclose([front[1] for front in found], 2 + 3 * channels**0.4, atol=3)


def test_vectors_grow_with_the_logarithm_of_their_size():
    layers = [LayerInfo(f"fc{n}", "Linear", "linear", (n,), 1, 1, 1, 1) for n in 4 ** np.arange(13)]
    heights = [front[0] for front in fronts(architecture_diagram(layers, (7,)), "linear")]
    np.testing.assert_allclose(heights[:9], 30 + 20 * np.arange(9), atol=3)
    assert max(heights) <= 196


def test_lenet5_has_every_layer_with_its_name():
    picture = diagram(LeNet5(), 1, 28, 28, title="LeNet-5")
    assert written(picture, "LeNet-5", size=15)
    assert written(picture, "11 layers with 44,426 parameters · 281,640 multiply-adds per sample")
    for name in ("input", "conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3"):
        assert written(picture, name, rows=len(picture)), name
    for channels in ("6", "16", "120", "84", "10"):
        assert written(picture, channels, rows=len(picture)), channels
    for words in ("relu1", "relu2", "relu3", "relu4", "28×28", "24×24", "12×12", "8×8", "4×4"):
        assert written(picture, words, rows=len(picture), faint=True), words
    assert [len(fronts(picture, role)) for role in ("convolution", "activation", "pooling", "linear")] == [2, 4, 2, 3]


def test_vgg16_fits_into_one_row_with_thin_slices_behind_its_convolutions():
    picture = diagram(VGG16(), 1, 32, 32)
    assert picture.shape[0] < 450
    assert picture.shape[1] <= 1600
    for block, count in enumerate((2, 2, 3, 3, 3), start=1):
        for name in [f"conv{block}_{place}" for place in range(1, count + 1)] + [f"pool{block}"]:
            assert written(picture, name, rows=len(picture)), name
    for name in ("fc1", "fc2", "fc3"):
        assert written(picture, name, rows=len(picture)), name
    counts = {role: len(fronts(picture, role)) for role in ROLE_COLOURS}
    assert counts["convolution"] == counts["normalisation"] == 13
    assert (counts["activation"], counts["pooling"], counts["linear"], counts["dropout"]) == (15, 5, 3, 2)
    slices = [front for role in ("normalisation", "activation") for front in fronts(picture, role)]
    assert max(thickness for _, thickness, _ in slices) <= 5


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        (torchvision.models.resnet50, range(2, 5)),
        (torchvision.models.densenet121, range(5, 10)),
        (torchvision.models.mobilenet_v3_large, range(3, 6)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_deep_networks_wrap(model, rows):
    net = model()
    picture = diagram(net, 3, 64, 64)
    assert picture.shape[1] <= 1600
    assert 150 * len(rows) < picture.shape[0] < 2000
    assert len(fronts(picture, "convolution")) == sum(isinstance(layer, nn.Conv2d) for layer in net.modules())


def test_what_follows_maps_of_another_shape_is_no_slice_of_theirs():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(11), nn.ReLU()

        def forward(self, x):
            return self.relu(self.norm(torch.cat([x, self.conv(x)], dim=1)))

    picture = diagram(Joined(), 3, 16, 16)
    ((_, norm, _),), ((_, relu, _),) = (fronts(picture, role) for role in ("normalisation", "activation"))
    assert norm == pytest.approx(1.5 * (2 + 3 * 11**0.4), abs=3)
    assert relu <= 1.5 * 5
    assert written(picture, "11", rows=len(picture))
    assert written(picture, "norm", rows=len(picture))


def test_the_first_norm_of_a_transformer_that_adds_a_token_to_the_patches_is_a_box():
    norm = LayerInfo("norm", "LayerNorm", "normalisation", (65, 32), 64, 64, 0, 1)
    picture = architecture_diagram([conv("patches", 32, 8, 8), norm], (3, 32, 32))
    ((_, thickness, _),) = fronts(picture, "normalisation")
    assert thickness == pytest.approx(1.5 * (2 + 3 * 32**0.4), abs=3)
    assert written(picture, "norm", rows=len(picture))


def test_too_many_layers_are_drawn_without_slices_and_say_so():
    layers = []
    for _ in range(130):
        layers += [nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.ReLU()]
    picture = diagram(nn.Sequential(*layers), 1, 8, 8)
    assert len(fronts(picture, "convolution")) == 130
    assert not (picture == ROLE_COLOURS["normalisation"]).all(-1).any()
    assert written(picture, f"{NOTE} · 260 layers left out")


def test_of_endless_networks_the_beginning_is_drawn():
    picture = architecture_diagram([conv(f"c{n}", 8, 8, 8) for n in range(1000)], (3, 8, 8))
    assert len(fronts(picture, "convolution")) == 299
    assert written(picture, f"{NOTE} · 701 layers left out")
    assert picture.shape[0] < 4000


def test_what_all_names_are_within_is_said_once():
    picture = diagram(Within(), 1, 8, 8)
    assert written(picture, f'{NOTE} · names are within "model.net"')
    assert written(picture, "conv", rows=len(picture))


class Within(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential()
        self.model.add_module("net", nn.Sequential())
        self.model.net.add_module("conv", nn.Conv2d(1, 2, 3))
        self.model.net.add_module("relu", nn.ReLU())

    def forward(self, x):
        return self.model(x)


def test_a_slice_of_a_layer_that_runs_again_on_smaller_maps_is_as_tall_as_its_box():
    smaller = nn.Sequential(nn.Conv2d(16, 32, 1, stride=2), nn.BatchNorm2d(32))
    block = torchvision.models.resnet.Bottleneck(16, 8, stride=2, downsample=smaller)
    picture = diagram(nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), block), 3, 32, 32)
    (activation,) = fronts(picture, "activation")
    heights = [front[0] for front in fronts(picture, "convolution")]
    assert activation[0] == heights[1] == max(heights)
    assert len(set(heights)) == 2


def test_tokens_have_their_features_as_thickness():
    layer = nn.TransformerEncoderLayer(64, 2, 256, batch_first=True)
    picture = diagram(layer, 9, 64)
    thicknesses = [front[1] for front in fronts(picture, "linear")]
    np.testing.assert_allclose(thicknesses, 1.5 * (2 + 3 * np.array([256, 64]) ** 0.4), atol=3)
    assert written(picture, "256", rows=len(picture))
    assert len(fronts(picture, "attention")) == 1


@pytest.mark.parametrize(
    ("model", "shape", "channels"),
    [
        (nn.Sequential(nn.Conv1d(2, 7, 5), nn.ReLU()), (2, 1000), "7"),
        (nn.Sequential(nn.Conv3d(2, 7, 3), nn.ReLU()), (2, 8, 16, 16), "7"),
        (nn.Sequential(nn.Linear(5, 7)), (5,), "7"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), (1, 8, 8), "7"),
        (nn.Sequential(nn.LSTM(5, 7, batch_first=True)), (9, 5), "7"),
        (nn.Sequential(nn.Conv2d(1, 7, 1)), (1, 1, 1), "7"),
    ],
    ids=["1-D", "3-D", "vector", "flatten", "recurrent", "one pixel"],
)
def test_other_kinds_of_data(model, shape, channels):
    picture = diagram(model, *shape)
    assert written(picture, channels, rows=len(picture))
    assert written(picture, "input", rows=len(picture))


def test_modules_shown_as_a_whole_are_boxes():
    picture = diagram(torchvision.models.resnet18(), 3, 64, 64, layers=["layer1", "layer2", "layer3", "fc"])
    assert len(fronts(picture, "other")) == 3
    assert written(picture, "layer3", rows=len(picture))


def test_what_returns_no_tensor_and_what_contains_others_is_no_box():
    infos = [
        conv("a", 4, 8, 8),
        LayerInfo("b", "Odd", "other", None, 0, 0, 0, 1),
        conv("c", 4, 8, 8),
        conv("c.d", 4, 8, 8),
    ]
    assert len(fronts(architecture_diagram(infos, (1, 8, 8)), "convolution")) == 2
