"""Classifiers of images with the settings that people use."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from typing import Any

from torch import nn, optim
from torchvision.transforms import v2

from benchmarks.diagnosis.data import SHAPES
from benchmarks.diagnosis.healthy import changes
from benchmarks.diagnosis.healthy.registry import healthy
from benchmarks.diagnosis.networks import NETWORKS
from benchmarks.diagnosis.training import Run, Setup, setup

Change = Callable[[Setup], None]


def _changed(change: Change, network: str, data: str) -> Run:
    made = setup(network, data)
    change(made)
    return made.run()


def vary(variant: str, change: Change, places: Iterable[tuple[str, str]], seeds: Iterable[int] = (0,)) -> None:
    """Registers a change of the usual training.

    Args:
        variant: Its name.
        change: What is different.
        places: Networks and data sets.
        seeds: Of each.
    """
    for network, data in places:
        healthy(variant, network, data, seeds)(partial(_changed, change, network, data))


def _turn(first: int, networks: Iterable[str] = NETWORKS) -> list[tuple[str, str]]:
    names = tuple(SHAPES)
    return [(network, names[(first + number) % len(names)]) for number, network in enumerate(networks)]


vary("as it comes", lambda made: None, product(NETWORKS, SHAPES), seeds=(0, 1, 2))

OPTIMIZERS: dict[str, tuple[type[optim.Optimizer], dict[str, Any]]] = {
    "SGD 0.1": (optim.SGD, {"lr": 0.1}),
    "momentum 0.01": (optim.SGD, {"lr": 0.01, "momentum": 0.9}),
    "Nesterov 0.02": (optim.SGD, {"lr": 0.02, "momentum": 0.9, "nesterov": True}),
    "Adam 1e-3": (optim.Adam, {"lr": 1e-3}),
    "Adam 3e-4": (optim.Adam, {"lr": 3e-4}),
    "AdamW 2e-3": (optim.AdamW, {"lr": 2e-3, "weight_decay": 0.01}),
    "RMSprop 1e-3": (optim.RMSprop, {"lr": 1e-3}),
    "Adagrad 1e-2": (optim.Adagrad, {"lr": 1e-2}),
    "NAdam 1e-3": (optim.NAdam, {"lr": 1e-3}),
    "RAdam 2e-3": (optim.RAdam, {"lr": 2e-3}),
}
for _number, (_name, (_kind, _settings)) in enumerate(OPTIMIZERS.items()):
    _networks = [name for name in NETWORKS if name != "vgg" or _kind is not optim.SGD]
    vary(_name, partial(changes.trained_by, _kind, _settings), _turn(_number, _networks))
for _number, _size in enumerate((8, 16, 32, 128, 256)):
    vary(f"batches of {_size}", partial(changes.batches_of, _size), _turn(_number, ("lenet", "resnet", "vit")))
vary("bfloat16", partial(changes.with_options, {"precision": "bf16-mixed"}), _turn(0))
vary("clipped at 1", partial(changes.with_options, {"gradient_clip_val": 1.0}), _turn(1))
vary("2 batches a step", partial(changes.with_options, {"accumulate_grad_batches": 2}), _turn(2))
vary("4 batches a step", partial(changes.with_options, {"accumulate_grad_batches": 4}), _turn(0, ("lenet", "resnet")))
vary("one cycle", partial(changes.scheduled, changes.one_cycle), _turn(0, ("lenet", "resnet", "vit")))
vary("cosine", partial(changes.scheduled, changes.cosine), _turn(1))
vary("warm-up and linear", partial(changes.scheduled, changes.warm_up), _turn(2))
vary("a tenth after half", partial(changes.scheduled, changes.step_decay), _turn(0))
vary("warm restarts", partial(changes.scheduled, changes.restarts), _turn(1, ("lenet", "resnet", "vit")))
vary("plateau", changes.plateau, _turn(2, ("lenet", "resnet", "vit")))
for _number, _probability in enumerate((0.1, 0.3, 0.5)):
    vary(f"dropout {_probability:g}", partial(changes.rebuilt, {"dropout": _probability}), _turn(_number))
for _number, (_kind, _value) in enumerate(
    ((optim.SGD, 1e-4), (optim.SGD, 5e-4), (optim.Adam, 1e-4), (optim.AdamW, 0.05))
):
    _networks = ("lenet", "resnet", "vit")
    vary(
        f"{_kind.__name__}, weight decay {_value:g}",
        partial(changes.with_decay, _kind, _value),
        _turn(_number, _networks),
    )
vary(
    "label smoothing",
    partial(changes.with_loss, nn.CrossEntropyLoss(label_smoothing=0.1)),
    _turn(0, ("lenet", "resnet", "vit")),
)
vary("mixup", changes.mixup, _turn(1, ("lenet", "resnet", "vit")))
vary(
    "crops",
    partial(changes.transformed, lambda size: v2.RandomCrop(size, padding=size // 8)),
    _turn(2, ("lenet", "vgg")),
)
vary(
    "flips",
    partial(changes.transformed, lambda size: v2.RandomHorizontalFlip()),
    [("lenet", "fashion"), ("vit", "fashion")],
)
vary("rotations", partial(changes.transformed, lambda size: v2.RandomRotation(10)), _turn(0, ("lenet", "resnet")))
vary("erased squares", partial(changes.transformed, lambda size: v2.RandomErasing(0.3)), _turn(1, ("lenet", "resnet")))
vary("70 to 30", partial(changes.imbalanced, (0.7, 0.3)), _turn(0, ("lenet", "resnet", "vit")))
vary("85 to 15", partial(changes.imbalanced, (0.85, 0.15)), _turn(1, ("lenet", "resnet", "vit")))
vary("ten steps", changes.ten_steps, _turn(2))
vary("one epoch", changes.one_epoch, _turn(0))
vary("easy to hard", changes.easy_first, _turn(1, ("lenet", "resnet")))
vary("from 0 to 1", changes.not_normalized, _turn(0, ("lenet", "resnet", "vit")))
vary("from -1 to 1", changes.twice_minus_one, _turn(1, ("lenet", "resnet", "vit")))
vary("tanh", partial(changes.rebuilt, {"activation": nn.Tanh}), _turn(2, ("lenet", "resnet")))
vary("SiLU", partial(changes.rebuilt, {"activation": nn.SiLU}), _turn(0))
vary("normalised", partial(changes.rebuilt, {"normalized": True}), product(("lenet", "vgg"), SHAPES))
