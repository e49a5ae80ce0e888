"""What people change in a training."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import Sampler

from benchmarks.diagnosis.healthy.modules import Plateau
from benchmarks.diagnosis.training import Setup


def trained_by(kind: type[optim.Optimizer], settings: dict[str, Any], made: Setup) -> None:
    made.optimizer, made.settings = kind, settings


def batches_of(size: int, made: Setup) -> None:
    made.batch_size = size
    made.epochs = max(1, -(-250 * size // len(made.train)))
    if size < 32:
        made.train.keep(slice(300 * size))
        made.settings["lr"] *= (size / 64) ** 0.5 if made.optimizer is not optim.SGD else size / 64
    made.epochs = min(made.epochs, 12)


def scheduled(make: Callable[[optim.Optimizer, int], lr_scheduler.LRScheduler], made: Setup) -> None:
    made.scheduler = make


def with_options(options: dict[str, Any], made: Setup) -> None:
    made.options.update(options)


def rebuilt(options: dict[str, Any], made: Setup) -> None:
    made.rebuild(**options)


def with_loss(loss: Callable[[Tensor, Tensor], Tensor], made: Setup) -> None:
    made.loss = loss


def with_decay(kind: type[optim.Optimizer], decay: float, made: Setup) -> None:
    rate = {"lr": 0.03, "momentum": 0.9} if kind is optim.SGD else {"lr": 1e-3}
    made.optimizer, made.settings = kind, {**rate, "weight_decay": decay}


def plateau(made: Setup) -> None:
    made.module = Plateau


def mixup(made: Setup) -> None:
    def mixed(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        share = float(torch.distributions.Beta(0.2, 0.2).sample())
        order = torch.randperm(len(images))
        classes = F.one_hot(targets, 10).float()
        return share * images + (1 - share) * images[order], share * classes + (1 - share) * classes[order]

    made.augment = mixed


def transformed(make: Callable[[int], Callable[[Tensor], Tensor]], made: Setup) -> None:
    then, change = made.train.transform, make(made.size)
    made.train.transform = lambda image: then(change(image))


def imbalanced(shares: tuple[float, ...], made: Setup) -> None:
    # Two groups of classes in these proportions, in training and validation.
    for part in (made.train, made.val):
        rare = part.targets < 5
        others = int((~rare).sum())
        part.keep(~rare | (rare & (rare.cumsum(0) <= others * shares[1] / shares[0])))
        part.targets = (part.targets < 5).long()
    made.network.head = nn.Linear(made.network.get_submodule("head").in_features, 2)


def ten_steps(made: Setup) -> None:
    made.train.keep(slice(10 * made.batch_size))
    made.epochs = 1


def one_epoch(made: Setup) -> None:
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


def easy_first(made: Setup) -> None:
    made.sampler = EasyFirst(made.train.images)


def not_normalized(made: Setup) -> None:
    for part in (made.train, made.val):
        part.transform = lambda image: image


def twice_minus_one(made: Setup) -> None:
    for part in (made.train, made.val):
        part.transform = lambda image: 2 * image - 1


def one_cycle(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.OneCycleLR(optimizer, max_lr=2 * optimizer.param_groups[0]["lr"], total_steps=steps)


def warm_up(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * steps), max(0.0, 1 - step / steps) / 0.9)
    )


def step_decay(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.StepLR(optimizer, step_size=steps // 2, gamma=0.1)


def cosine(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)


def restarts(optimizer: optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=steps // 3)
