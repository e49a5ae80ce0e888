"""Pixels, several labels, two classes, several losses."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.diagnosis.healthy.modules import Task, task
from benchmarks.diagnosis.healthy.registry import healthy
from benchmarks.diagnosis.networks import lenet, resnet
from benchmarks.diagnosis.training import Run


class Labelled(Task):
    """Any network with any loss of its outputs and the targets."""

    def __init__(self, network: nn.Module, criterion: Callable[[Tensor, Tensor], Tensor], lr: float = 1e-3) -> None:
        super().__init__(lr)
        self.network, self.criterion = network, criterion

    def forward(self, images: Tensor) -> Tensor:
        """Maps images to outputs."""
        return self.network(images)

    def loss(self, batch: Any) -> Tensor:
        """Returns the loss."""
        return self.criterion(self(batch[0]), batch[1])


class UNet(nn.Module):
    """Two scales and a shortcut: images (N, 1, H, W) to logits (N, classes, H, W)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.middle = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.out = nn.Sequential(nn.Conv2d(16, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, classes, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (N, 1, H, W) to logits (N, classes, H, W)."""
        fine = self.down(images)
        return self.out(torch.cat([fine, self.up(self.middle(self.pool(fine)))], dim=1))


def _dice(logits: Tensor, masks: Tensor) -> Tensor:
    found = logits.sigmoid().squeeze(1)
    return 1 - (2 * (found * masks).sum() + 1) / (found.sum() + masks.sum() + 1)


def _binary(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.squeeze(1), targets)


def _focal(logits: Tensor, targets: Tensor) -> Tensor:
    loss = F.cross_entropy(logits, targets, reduction="none")
    return ((1 - (-loss).exp()) ** 2 * loss).mean()


def _hidden(kind: type, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    # Where a digit is in noise.
    masks = (images.squeeze(1) > 1).to(torch.float if kind is float else torch.long)
    return images + 0.7 * torch.randn_like(images), masks


def _two_digits(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(images))
    labels = (F.one_hot(targets, 10) + F.one_hot(targets[order], 10)).clamp(max=1).float()
    return torch.maximum(images, images[order]), labels


def _odd(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return images, (targets % 2).float()


class TwoHeads(Task):
    """The class and the brightness of an image, from the same features."""

    def __init__(self) -> None:
        super().__init__()
        self.features = lenet(28)
        self.features.head = nn.Identity()
        self.classes, self.brightness = nn.Linear(84, 10), nn.Linear(84, 1)

    def loss(self, batch: Any) -> Tensor:
        """Returns the sum of both losses."""
        images, targets = batch
        features = self.features(images).relu()
        bright = images.mean((1, 2, 3))
        return F.cross_entropy(self.classes(features), targets) + F.mse_loss(self.brightness(features)[:, 0], bright)


def _one_output(network: nn.Module, outputs: int = 1) -> nn.Module:
    network.head = nn.Linear(network.get_submodule("head").in_features, outputs)
    return network


@healthy("segmentation", "U-Net", "mnist")
def segmentation() -> Run:
    return task(Labelled(UNet(2), F.cross_entropy), "mnist", partial(_hidden, int))


@healthy("Dice loss", "U-Net", "fashion")
def dice() -> Run:
    return task(Labelled(UNet(1), _dice), "fashion", partial(_hidden, float))


@healthy("several labels", "resnet", "mnist")
def several_labels() -> Run:
    return task(Labelled(resnet(28), F.binary_cross_entropy_with_logits, 3e-3), "mnist", _two_digits)


@healthy("odd or even", "lenet", "mnist")
def odd() -> Run:
    return task(Labelled(_one_output(lenet(28)), _binary), "mnist", _odd)


@healthy("probability of odd", "lenet", "digits")
def probability() -> Run:
    network = nn.Sequential(_one_output(lenet(8)), nn.Sigmoid(), nn.Flatten(0))
    return task(Labelled(network, F.binary_cross_entropy), "digits", _odd, batch_size=32)


@healthy("log-softmax and likelihood", "lenet", "mnist")
def likelihood() -> Run:
    return task(Labelled(nn.Sequential(lenet(28), nn.LogSoftmax(1)), F.nll_loss), "mnist")


@healthy("focal loss", "lenet", "fashion")
def focal() -> Run:
    return task(Labelled(lenet(28), _focal), "fashion")


@healthy("hinge loss", "lenet", "mnist")
def hinge() -> Run:
    return task(Labelled(lenet(28), F.multi_margin_loss), "mnist")


@healthy("squared error of probabilities", "lenet", "mnist")
def brier() -> Run:
    def criterion(logits: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(logits.softmax(1), F.one_hot(targets, 10).float())

    return task(Labelled(lenet(28), criterion), "mnist")


@healthy("logistic regression", "one layer", "mnist")
def logistic() -> Run:
    return task(Labelled(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), F.cross_entropy), "mnist")


@healthy("two heads", "lenet", "mnist")
def two_heads() -> Run:
    return task(TwoHeads(), "mnist")


@healthy("group normalisation, batches of 4", "lenet", "mnist")
def groups() -> Run:
    network = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.GroupNorm(4, 16), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10)),
    )
    run = task(Labelled(network, F.cross_entropy), "mnist", batch_size=4)
    run.options |= {"max_epochs": 1, "limit_train_batches": 500}
    return run
