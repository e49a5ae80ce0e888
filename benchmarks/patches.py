"""Patches that excite channels most: what they cost, and whether they show what a network has learned to look for."""

from collections.abc import Iterator

import numpy as np
import pytorch_lightning as pl
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.ledger import ledger
from benchmarks.rows import BARE, Row
from benchmarks.settings import Settings
from lightning_cnnviz import MaximallyActivatingPatches
from lightning_cnnviz.functional import Patches, find_patches
from recipes.classifier import Classifier
from recipes.data import MNIST

SIZE, BATCH_SIZE, TRAINED, VALIDATED, EPOCHS = 128, 32, 40, 8, 2
"""Height and width of images, images in a batch, batches in an epoch's training and in its validation, epochs."""
MARK = (torch.arange(6)[:, None] + torch.arange(6)) % 2
"""A chequered square of 6×6 pixels."""
MARKED, CORNER, SEEDS = 3, slice(0, 6), 5
"""The class whose images have the mark, its rows and columns, and trainings."""
IMAGES, SHOWN, MNIST_EPOCHS = 12000, 3000, 2


class AllConvolutional(nn.Module):
    """Three convolutions of which the last decides: a class is told by the highest value of each of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
        )
        self.head = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 1, 28, 28) to logits (N, 10)."""
        return self.head(self.features(images).amax((2, 3)))


class ResNet18(Classifier):
    """Of torchvision, with random weights."""

    def __init__(self) -> None:
        super().__init__(lambda params: torch.optim.SGD(params, lr=1e-3), num_classes=10)
        self.net = torchvision.models.resnet18(num_classes=10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, 10)."""
        return self.net(images)


def rows(settings: Settings) -> Iterator[Row]:
    """Time in hooks with all convolutions of ResNet-18, and channels that show a planted mark."""
    size, trained, validated, epochs = (32, 2, 2, 1) if settings.quick else (SIZE, TRAINED, VALIDATED, EPOCHS)
    data = _smooth_images(size, trained, validated)
    bare = ledger(ResNet18(), data, [], epochs, {})
    account = ledger(ResNet18(), data, [MaximallyActivatingPatches()], epochs, {})
    hooks, stall = (part["MaximallyActivatingPatches"] for part in (account.hooks, account.stalls))
    yield Row(
        f"ResNet-18 at {size}², batch {BATCH_SIZE}, patches of all convolutions: in hooks",
        1 + hooks / bare.seconds,
        BARE,
        at_most=1.02,
        note=f"{hooks:.2f} s beside {bare.seconds:.0f} s; longest stall {stall / bare.step:.2f} steps",
    )
    shown: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(1 if settings.quick else SEEDS):
        for planted, found in shown.items():
            found.append(_channels_that_show_the_mark(seed, planted=planted, quick=settings.quick))
    yield Row(
        "MNIST, a mark in one class's corner: channels of the last convolution that show it",
        float(np.mean(shown[True])),
        "of 32",
        note=f"by seed {shown[True]}; trained without it {shown[False]}",
        samples={"channels_planted": shown[True], "channels_not_planted": shown[False]},
    )


def _smooth_images(size: int, trained: int, validated: int) -> pl.LightningDataModule:
    count = BATCH_SIZE * max(trained, validated)
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(0))
    images = interpolate(coarse, (size, size), mode="bilinear")
    labelled = TensorDataset(images, torch.arange(count) % 10)
    part = TensorDataset(*(tensor[: BATCH_SIZE * validated] for tensor in labelled.tensors))
    data = pl.LightningDataModule()
    data.train_dataloader = lambda: DataLoader(labelled, BATCH_SIZE, shuffle=True)
    data.val_dataloader = lambda: DataLoader(part, BATCH_SIZE)
    return data


def _channels_that_show_the_mark(seed: int, *, planted: bool, quick: bool) -> float:
    """Channels whose patches all hold the mark, after a training with it or without."""
    mnist = MNIST(batch_size=64)
    mnist.setup("fit")
    splits = (mnist.train_dataloader().dataset, IMAGES), (mnist.val_dataloader().dataset, SHOWN)
    (images, targets), (shown, classes) = (
        tuple(tensor[: 640 if quick else count].clone() for tensor in split.tensors) for split, count in splits
    )
    if planted:
        _mark(images, targets)
    _mark(shown, classes)
    torch.manual_seed(seed)
    model = AllConvolutional()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(MNIST_EPOCHS):
        for some, of_class in zip(images.split(64), targets.split(64), strict=True):
            optimizer.zero_grad()
            cross_entropy(model(some), of_class).backward()
            optimizer.step()
    found = find_patches(model, shown, "features.6", classes=classes, channels=32)
    return float(_hold_the_mark(found).sum())


def _mark(images: Tensor, targets: Tensor) -> None:
    images[targets == MARKED, 0, CORNER, CORNER] = MARK.float()


def _hold_the_mark(patches: Patches) -> np.ndarray:
    """Which channels' most exciting patches are all of the marked class, with the whole mark in them."""
    boxes = patches.boxes[:, : patches.most]
    inside = (boxes[..., :2] <= CORNER.start).all(-1) & (boxes[..., 2:] >= CORNER.stop).all(-1)
    return (inside & (patches.classes[:, : patches.most] == MARKED)).all(1)
