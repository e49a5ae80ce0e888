"""The boxes' sizes follow the layers' shapes, every layer is named, and networks of any kind stay legible."""

import numpy as np
import pytest
import torch
import torchvision
from helpers.networks import UNet
from helpers.reading import written
from scipy import ndimage
from torch import nn

from lightning_cnnviz.functional.model_summary.arrangement import arranged
from lightning_cnnviz.functional.model_summary.block_style import ROLE_COLOURS
from lightning_cnnviz.functional.model_summary.diagram import MAX_DIAGRAM_WIDTH, architecture_diagram
from lightning_cnnviz.functional.model_summary.layer_info import GraphNode, NetworkGraph
from lightning_cnnviz.functional.model_summary.network_graph import network_graph
from recipes.lenet5 import LeNet5
from recipes.vgg16 import VGG16

NOTE = "as data flowed in one pass · sizes on compressed scales"


def diagram(model, *shape, layers=None, **options):
    return architecture_diagram(arranged(network_graph(model, torch.rand(1, *shape), layers)), **options)


def chain(nodes, notes=()):
    """A diagram of nodes, each reading from the one before."""
    first = GraphNode("", "input", "input", False, (3, 64, 64))
    edges = tuple((k, k + 1) for k in range(len(nodes)))
    return architecture_diagram(arranged(NetworkGraph((first, *nodes), edges, notes, ())))


def layer(name, role, shape, kind="Layer", parameters=1):
    return GraphNode(name, kind, role, True, shape, parameters)


def fronts(picture, role):
    """(height, thickness, left) of the fronts of a role's colour, from the left, without the legend."""
    areas, _ = ndimage.label((picture == ROLE_COLOURS[role]).all(-1))
    found = [(y.stop - y.start, x.stop - x.start, x.start) for y, x in ndimage.find_objects(areas)[1:]]
    return sorted((size for size in found if min(size[:2]) > 1), key=lambda size: size[2])


def test_boxes_grow_with_maps_and_channels_on_the_documented_scales():
    sides = np.array([64, 32, 16, 8, 4, 2, 1] * 2)
    channels = np.array([1, 4, 16, 64, 256, 1024, 4096, 1, 2, 3] + [8] * 4)
    shapes = zip(channels.tolist(), sides.tolist(), sides.tolist(), strict=True)
    picture = chain([layer(f"conv{n}", "convolution", shape) for n, shape in enumerate(shapes)])
    found = fronts(picture, "convolution")
    assert len(found) == 14
    np.testing.assert_allclose(sorted(front[0] for front in found), sorted(10 + 140 * np.sqrt(sides / 64)), atol=3)
    np.testing.assert_allclose(sorted(front[1] for front in found), sorted(2 + 3 * channels**0.4), atol=3)


def test_vectors_grow_with_the_logarithm_of_their_size():
    picture = chain([layer(f"fc{n}", "linear", (n,)) for n in (4 ** np.arange(13)).tolist()])
    heights = sorted(front[0] for front in fronts(picture, "linear"))
    np.testing.assert_allclose(heights[:9], 30 + 20 * np.arange(9), atol=3)
    assert max(heights) <= 196


def test_lenet5_has_every_layer_with_its_name():
    picture = diagram(LeNet5(), 1, 28, 28, title="LeNet-5")
    assert written(picture, "LeNet-5", size=15)
    assert written(picture, "11 layers with 44,426 parameters · 281,640 multiply-adds per sample")
    assert written(picture, NOTE)
    for name in ("input", "conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3"):
        assert written(picture, name, rows=len(picture)), name
    for channels in ("6", "16", "120", "84", "10"):
        assert written(picture, channels, rows=len(picture)), channels
    for words in ("relu1", "relu2", "relu3", "relu4", "28×28", "24×24", "12×12", "8×8", "4×4"):
        assert written(picture, words, rows=len(picture), faint=True), words
    assert [len(fronts(picture, role)) for role in ("convolution", "activation", "pooling", "linear")] == [2, 4, 2, 3]


def test_vgg16_has_thin_slices_behind_its_convolutions():
    picture = diagram(VGG16(), 1, 32, 32)
    assert picture.shape[0] < 650
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


def test_blocks_that_recur_are_one_box_each_and_one_of_each_kind_is_opened_below():
    picture = diagram(torchvision.models.resnet18(), 3, 64, 64)
    for heading in ("in layer1.0 and 4 more · BasicBlock", "in layer2.0 and 2 more · BasicBlock"):
        assert written(picture, heading, rows=len(picture)), heading
    for name in ("0 BasicBlock", "1 BasicBlock", "conv2", "add", "0 Conv2d"):
        assert written(picture, name, rows=len(picture)), name
    for name in ("layer1", "layer4", "downsample", "bn2"):
        assert written(picture, name, rows=len(picture), faint=True), name
    # stem, two slices in each of five blocks, three in those that reduce the size, and two and three below
    assert len(fronts(picture, "convolution")) == 1 + 5 * 2 + 3 * 3 + 2 + 3
    assert len(fronts(picture, "linear")) == 1


def test_equal_blocks_in_a_row_are_one_box_with_their_number():
    picture = diagram(torchvision.models.vit_b_32(), 3, 224, 224)
    assert written(picture, "encoder_layer_0…11", rows=len(picture))
    assert written(picture, "EncoderBlock ×12", rows=len(picture), faint=True)
    assert written(picture, "in encoder.layers.encoder_layer_0 and 11 more · EncoderBlock", rows=len(picture))
    assert len(fronts(picture, "attention")) == 2


def test_skips_are_lines_above_the_boxes():
    picture = diagram(UNet(), 1, 8, 8, title="U-Net")
    convolutions = (picture == ROLE_COLOURS["convolution"]).all(-1)
    convolutions[:90] = False  # the legend
    highest = np.flatnonzero(convolutions.any(1))[0]
    grey = (np.ptp(picture.astype(int), axis=-1) == 0) & (picture[..., 0] < 200)
    lines = [row for row in range(90, highest) if longest(grey[row]) > 100]
    assert lines
    assert written(picture, "cat", rows=len(picture))
    chain_only = diagram(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3)), 1, 16, 16, title="chain"
    )
    grey = (np.ptp(chain_only.astype(int), axis=-1) == 0) & (chain_only[..., 0] < 200)
    top = np.flatnonzero((chain_only[90:] == ROLE_COLOURS["convolution"]).all(-1).any(1))[0] + 90
    assert not [row for row in range(90, top) if longest(grey[row]) > 100]


def longest(row):
    runs, _ = ndimage.label(row)
    return max(np.bincount(runs)[1:], default=0)


@pytest.mark.parametrize(
    "name", ["resnet152", "densenet121", "mobilenet_v3_large", "googlenet", "efficientnet_b0", "convnext_tiny"]
)
def test_deep_networks_stay_within_their_width_and_a_reasonable_height(name):
    options = {"init_weights": False} if name == "googlenet" else {}
    picture = diagram(getattr(torchvision.models, name)(**options), 3, 64, 64)
    assert picture.shape[1] <= MAX_DIAGRAM_WIDTH + 16
    assert 300 < picture.shape[0] < 2500


def test_a_network_without_groups_wraps():
    picture = chain([layer(f"c{n}", "convolution", (8, 8, 8)) for n in range(100)])
    assert picture.shape[1] <= MAX_DIAGRAM_WIDTH + 16
    assert len(fronts(picture, "convolution")) == 100
    below = ndimage.label((picture == ROLE_COLOURS["convolution"]).all(-1)[90:].any(1))[1]
    assert below > 2, "rows"


def test_of_endless_networks_the_beginning_is_drawn():
    picture = chain([layer(f"c{n}", "convolution", (8, 8, 8)) for n in range(1000)])
    assert len(fronts(picture, "convolution")) == 299
    assert written(picture, f"{NOTE} · 701 columns left out")
    assert picture.shape[0] < 4000


def test_what_could_not_be_followed_is_said():
    picture = chain([layer("conv", "convolution", (8, 8, 8))], notes=("values left PyTorch through numpy",))
    assert written(picture, "not drawn: values left PyTorch through numpy")


class Within(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))

    def forward(self, x):
        for part in self.model:
            x = part(x)
        return x


def test_what_all_names_are_within_is_said_once():
    picture = diagram(Within(), 1, 8, 8)
    assert written(picture, f'{NOTE} · names are within "model"')
    assert written(picture, "1 Conv2d", rows=len(picture))


def test_a_module_is_shown_as_a_whole_if_it_is_named():
    picture = diagram(torchvision.models.resnet18(), 3, 64, 64, layers=["layer1", "layer2", "layer3", "fc"])
    assert len(fronts(picture, "other")) == 3
    assert written(picture, "layer3", rows=len(picture))


@pytest.mark.parametrize(
    ("model", "shape", "channels"),
    [
        (nn.Sequential(nn.Conv1d(2, 7, 5), nn.ReLU()), (2, 1000), "7"),
        (nn.Sequential(nn.Conv3d(2, 7, 3), nn.ReLU()), (2, 8, 16, 16), "7"),
        (nn.Sequential(nn.Linear(5, 7)), (5,), "7"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), (1, 8, 8), "7"),
        (nn.Sequential(nn.LSTM(5, 7, batch_first=True)), (9, 5), "7"),
        (nn.Sequential(nn.Conv2d(1, 7, 1)), (1, 1, 1), "7"),
        (nn.TransformerEncoderLayer(64, 2, 256, batch_first=True), (9, 64), "256"),
    ],
    ids=["1-D", "3-D", "vector", "flatten", "recurrent", "one pixel", "tokens"],
)
def test_other_kinds_of_data(model, shape, channels):
    picture = diagram(model, *shape)
    assert written(picture, channels, rows=len(picture))
    assert written(picture, "input", rows=len(picture))
