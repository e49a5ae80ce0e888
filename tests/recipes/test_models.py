import pytest
import torch
from torch import nn
from torchmetrics import Metric

from recipes.fashion_cnn import FashionCNN
from recipes.lenet5 import LeNet5
from recipes.lenet5_classic import LeNet5Classic
from recipes.mnist_cnn import MNISTCNN
from recipes.vgg16 import VGG16


def convolution(inputs, outputs, side):
    return outputs * (inputs * side * side + 1)


def linear(inputs, outputs):
    return outputs * (inputs + 1)


FASHION_CNN = convolution(1, 16, 3) + convolution(16, 32, 3) + linear(1568, 24) + linear(24, 10)
MNIST_CNN = (
    convolution(1, 32, 5) + convolution(32, 48, 5) + convolution(48, 64, 5) + linear(3136, 1024) + linear(1024, 10)
)

MODELS = [
    (LeNet5, 28, 44_426),
    (LeNet5Classic, 32, 60_000),
    (FashionCNN, 28, FASHION_CNN),
    (MNISTCNN, 28, MNIST_CNN),
    (VGG16, 32, 15_118_538),
]


def layers(model):
    return {name: layer for name, layer in model.named_children() if not isinstance(layer, Metric)}


@pytest.mark.parametrize(("model", "side", "count"), MODELS)
def test_has_the_published_number_of_parameters(model, side, count):
    assert sum(parameter.numel() for parameter in model().parameters()) == count


@pytest.mark.parametrize(("model", "side", "count"), MODELS)
def test_maps_images_to_unbounded_logits_through_every_layer_in_order(model, side, count):
    net = model().eval()
    called = []
    for name, layer in layers(net).items():
        layer.register_forward_hook(lambda *_, name=name: called.append(name))
    logits = net(torch.rand(3, 1, side, side))
    assert logits.shape == (3, 10)
    assert not torch.allclose(logits.exp().sum(1), torch.ones(3))  # neither log-softmax …
    assert not torch.allclose(logits.sum(1), torch.ones(3))  # … nor softmax
    assert called == list(layers(net))


def test_lenet5_pools_to_the_sizes_of_its_views():
    net, shapes = LeNet5(), {}
    for name in ("pool1", "pool2"):
        getattr(net, name).register_forward_hook(lambda *a, name=name: shapes.update({name: tuple(a[2].shape)}))
    net(torch.rand(1, 1, 28, 28))
    assert shapes == {"pool1": (1, 6, 12, 12), "pool2": (1, 16, 4, 4)}


def test_mnist_cnn_gives_the_shapes_of_its_five_layers():
    net, shapes = MNISTCNN(), {}
    for name, layer in layers(net).items():
        layer.register_forward_hook(lambda *a, name=name: shapes.update({name: tuple(a[2].shape[1:])}))
    net(torch.rand(1, 1, 28, 28))
    shown = [shapes[name] for name in ("pool1", "relu2", "pool2", "relu4", "fc2")]
    assert shown == [(32, 14, 14), (48, 14, 14), (64, 7, 7), (1024,), (10,)]
    assert net.dropout.p == 0.5


def test_vgg16_names_layers_by_block_and_place():
    found = layers(VGG16())
    blocks = [["1_1", "1_2"], ["2_1", "2_2"]] + [[f"{b}_{i}" for i in (1, 2, 3)] for b in (3, 4, 5)]
    names = []
    for block, places in enumerate(blocks, 1):
        names += [f"{kind}{place}" for place in places for kind in ("conv", "bn", "relu")] + [f"pool{block}"]
    assert list(found)[: len(names)] == names
    first = [found[f"conv{block}_1"].out_channels for block in range(1, 6)]
    assert first == [64, 128, 256, 512, 512]
    assert [layer.p for layer in found.values() if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("model", "kind", "settings"),
    [
        (LeNet5, torch.optim.SGD, {"lr": 0.01, "momentum": 0}),
        (FashionCNN, torch.optim.Adam, {"lr": 0.001, "betas": (0.9, 0.999)}),
        (MNISTCNN, torch.optim.Adam, {"lr": 1e-4, "betas": (0.9, 0.999)}),
        (VGG16, torch.optim.SGD, {"lr": 0.01, "momentum": 0.5}),
    ],
)
def test_optimizer_has_the_published_settings_and_all_parameters(model, kind, settings):
    net = model()
    optimizer = net.configure_optimizers()
    assert type(optimizer) is kind
    assert optimizer.defaults.items() >= settings.items()
    assert len(optimizer.param_groups[0]["params"]) == len(list(net.parameters()))
