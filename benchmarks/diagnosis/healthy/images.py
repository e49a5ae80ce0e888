"""Classifiers of images with the settings that people use."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import Sampler
from torchvision.transforms import v2

from benchmarks.diagnosis.data import SHAPES
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


def _optimizer(kind: type[optim.Optimizer], settings: dict[str, Any], made: Setup) -> None:
    made.optimizer, made.settings = kind, settings


def _batches(size: int, made: Setup) -> None:
    made.batch_size = size
    made.epochs = max(1, -(-250 * size // len(made.train)))
    if size < 32:
        made.train.keep(slice(300 * size))
        made.settings["lr"] *= (size / 64) ** 0.5 if made.optimizer is not optim.SGD else size / 64
    made.epochs = min(made.epochs, 12)


def _scheduled(make: Callable[[optim.Optimizer, int], lr_scheduler.LRScheduler], made: Setup) -> None:
    made.scheduler = make


def _options(options: dict[str, Any], made: Setup) -> None:
    made.options.update(options)


def _rebuilt(options: dict[str, Any], made: Setup) -> None:
    made.rebuild(**options)


def _loss(loss: Callable[[Tensor, Tensor], Tensor], made: Setup) -> None:
    made.loss = loss


def _decay(kind: type[optim.Optimizer], decay: float, made: Setup) -> None:
    rate = {"lr": 0.03, "momentum": 0.9} if kind is optim.SGD else {"lr": 1e-3}
    made.optimizer, made.settings = kind, {**rate, "weight_decay": decay}


def _plateau(made: Setup) -> None:
    from benchmarks.diagnosis.healthy.modules import Plateau

    made.module = Plateau


def _mixup(made: Setup) -> None:
    def mixed(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        share = float(torch.distributions.Beta(0.2, 0.2).sample())
        order = torch.randperm(len(images))
        classes = F.one_hot(targets, 10).float()
        return share * images + (1 - share) * images[order], share * classes + (1 - share) * classes[order]

    made.augment = mixed


def _transformed(make: Callable[[int], Callable[[Tensor], Tensor]], made: Setup) -> None:
    then, change = made.train.transform, make(made.size)
    made.train.transform = lambda image: then(change(image))


def _imbalanced(shares: tuple[float, ...], made: Setup) -> None:
    # Two groups of classes in these proportions, in training and validation.
    for part in (made.train, made.val):
        rare = part.targets < 5
        others = int((~rare).sum())
        part.keep(~rare | (rare & (rare.cumsum(0) <= others * shares[1] / shares[0])))
        part.targets = (part.targets < 5).long()
    made.network.head = nn.Linear(made.network.get_submodule("head").in_features, 2)


def _ten_steps(made: Setup) -> None:
    made.train.keep(slice(10 * made.batch_size))
    made.epochs = 1


def _one_epoch(made: Setup) -> None:
    made.epochs = 1


class EasyFirst(Sampler[int]):
    """Images of much contrast tend to come first; each epoch has an order of its own.

    Args:
        images: Of shape (N, 1, H, W).
    """

    def __init__(self, images: Tensor) -> None:
        self.ranks = (-images.flatten(1).std(1)).argsort().argsort()

    def __len__(self) -> int:
        return len(self.ranks)

    def __iter__(self) -> Iterator[int]:
        return iter((self.ranks + len(self) * torch.rand(len(self))).argsort().tolist())


def _easy_first(made: Setup) -> None:
    made.sampler = EasyFirst(made.train.images)


def _not_normalized(made: Setup) -> None:
    for part in (made.train, made.val):
        part.transform = lambda image: image


def _half_scaled(made: Setup) -> None:
    for part in (made.train, made.val):
        part.transform = lambda image: 2 * image - 1


def _one_cycle(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.OneCycleLR(optimizer, max_lr=2 * optimizer.param_groups[0]["lr"], total_steps=steps)


def _warm_up(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * steps), max(0.0, 1 - step / steps) / 0.9)
    )


def _step(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.StepLR(optimizer, step_size=steps // 2, gamma=0.1)


def _cosine(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)


def _restarts(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=steps // 3)


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
    vary(_name, partial(_optimizer, _kind, _settings), _turn(_number, _networks))
for _number, _size in enumerate((8, 16, 32, 128, 256)):
    vary(f"batches of {_size}", partial(_batches, _size), _turn(_number, ("lenet", "resnet", "vit")))
vary("bfloat16", partial(_options, {"precision": "bf16-mixed"}), _turn(0))
vary("clipped at 1", partial(_options, {"gradient_clip_val": 1.0}), _turn(1))
vary("2 batches a step", partial(_options, {"accumulate_grad_batches": 2}), _turn(2))
vary("4 batches a step", partial(_options, {"accumulate_grad_batches": 4}), _turn(0, ("lenet", "resnet")))
vary("one cycle", partial(_scheduled, _one_cycle), _turn(0, ("lenet", "resnet", "vit")))
vary("cosine", partial(_scheduled, _cosine), _turn(1))
vary("warm-up and linear", partial(_scheduled, _warm_up), _turn(2))
vary("a tenth after half", partial(_scheduled, _step), _turn(0))
vary("warm restarts", partial(_scheduled, _restarts), _turn(1, ("lenet", "resnet", "vit")))
vary("plateau", _plateau, _turn(2, ("lenet", "resnet", "vit")))
for _number, _probability in enumerate((0.1, 0.3, 0.5)):
    vary(f"dropout {_probability:g}", partial(_rebuilt, {"dropout": _probability}), _turn(_number))
for _number, (_kind, _value) in enumerate(
    ((optim.SGD, 1e-4), (optim.SGD, 5e-4), (optim.Adam, 1e-4), (optim.AdamW, 0.05))
):
    _networks = ("lenet", "resnet", "vit")
    vary(f"{_kind.__name__}, weight decay {_value:g}", partial(_decay, _kind, _value), _turn(_number, _networks))
vary("label smoothing", partial(_loss, nn.CrossEntropyLoss(label_smoothing=0.1)), _turn(0, ("lenet", "resnet", "vit")))
vary("mixup", _mixup, _turn(1, ("lenet", "resnet", "vit")))
vary("crops", partial(_transformed, lambda size: v2.RandomCrop(size, padding=size // 8)), _turn(2, ("lenet", "vgg")))
vary(
    "flips", partial(_transformed, lambda size: v2.RandomHorizontalFlip()), [("lenet", "fashion"), ("vit", "fashion")]
)
vary("rotations", partial(_transformed, lambda size: v2.RandomRotation(10)), _turn(0, ("lenet", "resnet")))
vary("erased squares", partial(_transformed, lambda size: v2.RandomErasing(0.3)), _turn(1, ("lenet", "resnet")))
vary("70 to 30", partial(_imbalanced, (0.7, 0.3)), _turn(0, ("lenet", "resnet", "vit")))
vary("85 to 15", partial(_imbalanced, (0.85, 0.15)), _turn(1, ("lenet", "resnet", "vit")))
vary("ten steps", _ten_steps, _turn(2))
vary("one epoch", _one_epoch, _turn(0))
vary("easy to hard", _easy_first, _turn(1, ("lenet", "resnet")))
vary("from 0 to 1", _not_normalized, _turn(0, ("lenet", "resnet", "vit")))
vary("from -1 to 1", _half_scaled, _turn(1, ("lenet", "resnet", "vit")))
vary("tanh", partial(_rebuilt, {"activation": nn.Tanh}), _turn(2, ("lenet", "resnet")))
vary("SiLU", partial(_rebuilt, {"activation": nn.SiLU}), _turn(0))
vary("normalised", partial(_rebuilt, {"normalized": True}), product(("lenet", "vgg"), SHAPES))
