"""torchvision's families of networks, for images of 32 or 64 pixels."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torchvision.models as zoo
from torch import Tensor, nn, optim
from torch.nn.functional import interpolate, pad
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.efficientnet import MBConvConfig

from benchmarks.diagnosis.data import load
from benchmarks.diagnosis.healthy.registry import healthy
from benchmarks.diagnosis.training import Run, Setup

MOMENTUM: tuple[Any, dict[str, Any]] = (optim.SGD, {"lr": 0.03, "momentum": 0.9, "weight_decay": 5e-4})
ADAM: tuple[Any, dict[str, Any]] = (optim.Adam, {"lr": 1e-3})
ADAMW: tuple[Any, dict[str, Any]] = (optim.AdamW, {"lr": 1e-3, "weight_decay": 0.05})
RMSPROP: tuple[Any, dict[str, Any]] = (optim.RMSprop, {"lr": 3e-4})


class Family(NamedTuple):
    """A network and how it is trained.

    Attributes:
        make: Makes it, for ten classes and images of three channels.
        optimizers: Each with its arguments; one run is made with each.
        size: Side length of the images in pixels.
        steps: Of an epoch, of which there are two.
    """

    make: Callable[[], nn.Module]
    optimizers: tuple[tuple[type[optim.Optimizer], dict[str, Any]], ...]
    size: int = 32
    steps: int = 40


def _vgg() -> nn.Module:
    network = zoo.vgg11_bn()
    network.avgpool, network.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 10)
    return network


def _alexnet() -> nn.Module:
    network = zoo.alexnet()
    network.avgpool = nn.AdaptiveAvgPool2d(1)
    network.classifier = nn.Sequential(nn.Dropout(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    return network


def _mobilenet() -> nn.Module:
    # Its statistics of every 100 steps would not fit after 80.
    return zoo.mobilenet_v3_small(num_classes=10, norm_layer=partial(nn.BatchNorm2d, eps=1e-3, momentum=0.1))


def _efficientnet() -> nn.Module:
    blocks = [
        MBConvConfig(1, 3, 1, 32, 16, 1, 1.0, 1.0),
        MBConvConfig(6, 3, 2, 16, 24, 1, 1.0, 1.0),
        MBConvConfig(6, 5, 2, 24, 40, 1, 1.0, 1.0),
        MBConvConfig(6, 3, 1, 40, 80, 1, 1.0, 1.0),
    ]
    return zoo.EfficientNet(blocks, dropout=0.2, num_classes=10)


def _convnext() -> nn.Module:
    blocks = [CNBlockConfig(32, 64, 2), CNBlockConfig(64, 128, 2), CNBlockConfig(128, None, 2)]
    return zoo.ConvNeXt(blocks, num_classes=10, stochastic_depth_prob=0.05, layer_scale=1e-2)


def _vit() -> nn.Module:
    network = zoo.VisionTransformer(
        image_size=32, patch_size=8, num_layers=3, num_heads=4, hidden_dim=64, mlp_dim=128, num_classes=10
    )
    nn.init.trunc_normal_(network.heads.head.weight, std=0.02)
    return network


def _swin() -> nn.Module:
    return zoo.SwinTransformer([4, 4], 48, [2, 2], [2, 4], [4, 4], stochastic_depth_prob=0.0, num_classes=10)


def _densenet() -> nn.Module:
    return zoo.DenseNet(growth_rate=12, block_config=(4, 4, 4), num_init_features=24, num_classes=10)


FAMILIES: dict[str, Family] = {
    "resnet18": Family(partial(zoo.resnet18, num_classes=10), (MOMENTUM, ADAM)),
    "resnet18, last gammas zero": Family(
        partial(zoo.resnet18, num_classes=10, zero_init_residual=True), (MOMENTUM, ADAM)
    ),
    "wide_resnet, narrowed": Family(
        lambda: zoo.ResNet(zoo.resnet.Bottleneck, [1, 1, 1, 1], num_classes=10, width_per_group=32), (MOMENTUM, ADAM)
    ),
    "mobilenet_v2": Family(partial(zoo.mobilenet_v2, num_classes=10), (MOMENTUM, RMSPROP)),
    "mobilenet_v3_small": Family(_mobilenet, (ADAM, RMSPROP), size=64),
    "efficientnet, shortened": Family(_efficientnet, (ADAM, ADAMW), size=64),
    "shufflenet_v2_x0_5": Family(partial(zoo.shufflenet_v2_x0_5, num_classes=10), (MOMENTUM, ADAM)),
    "squeezenet1_1": Family(partial(zoo.squeezenet1_1, num_classes=10), ((optim.Adam, {"lr": 3e-4}),), size=64),
    "densenet, narrowed": Family(_densenet, (MOMENTUM, ADAM)),
    "regnet_y_400mf": Family(partial(zoo.regnet_y_400mf, num_classes=10), (ADAM, ADAMW)),
    "convnext, shortened": Family(_convnext, (ADAMW,)),
    "googlenet": Family(
        partial(zoo.googlenet, num_classes=10, aux_logits=False, init_weights=False),
        (ADAM, RMSPROP),
    ),
    "vgg11_bn": Family(_vgg, ((optim.Adam, {"lr": 5e-4}),), steps=25),
    "alexnet": Family(_alexnet, ((optim.Adam, {"lr": 3e-4}),), size=64),
    "vit, shortened": Family(_vit, (ADAM, ADAMW)),
    "swin, shortened": Family(_swin, ((optim.AdamW, {"lr": 3e-3, "weight_decay": 0.05}),), steps=80),
}


def _run(family: Family, optimizer: type[optim.Optimizer], settings: dict[str, Any], data: str) -> Run:
    train, val = load(data)
    train.keep(slice(family.steps * 32))
    val.keep(slice(250))
    for part in (train, val):
        part.transform = partial(_enlarged, part.transform, family.size)
    return Setup("", family.make(), train, val, optimizer, dict(settings), batch_size=32, epochs=2).run()


def _enlarged(then: Callable[[Tensor], Tensor], size: int, image: Tensor) -> Tensor:
    image = pad(then(image), (2, 2, 2, 2), value=float(then(image).min()))
    return interpolate(image[None], size=(size, size))[0].expand(3, -1, -1)


for _number, (_name, _family) in enumerate(FAMILIES.items()):
    for _optimizer, _settings in _family.optimizers:
        _data = ("mnist", "fashion")[_number % 2]
        _words = f"{_optimizer.__name__} {_settings['lr']:g}"
        healthy(_words, _name, _data, (0,))(partial(_run, _family, _optimizer, _settings, _data))
