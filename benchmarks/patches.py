"""Patches that excite channels most: what they cost, and whether they show what a network has learned to look for."""

from collections.abc import Iterator

import numpy as np
import pytorch_lightning as pl
import torch
import torchvision
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.ledger import ledger
from benchmarks.models import fit
from benchmarks.rows import BARE, Row
from benchmarks.settings import Settings
from lightning_cnnviz import MaximallyActivatingPatches
from lightning_cnnviz.functional import Patches, find_patches
from recipes.classifier import Classifier
from recipes.data import MNIST
from recipes.lenet5 import LeNet5

SIZE, BATCH_SIZE, TRAINED, VALIDATED, EPOCHS = 128, 32, 40, 8, 2
"""Height and width of images, images in a batch, batches in an epoch's training and in its validation, epochs."""
MARK = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
MARKED, CORNER, SEEDS = 3, slice(1, 4), 5
"""The class whose images have the mark, its rows and columns, and trainings."""


class ResNet18(Classifier):
    """Of torchvision, with random weights."""

    def __init__(self) -> None:
        super().__init__(lambda params: torch.optim.SGD(params, lr=1e-3), num_classes=10)
        self.net = torchvision.models.resnet18(num_classes=10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, 10)."""
        return self.net(images)


def rows(settings: Settings) -> Iterator[Row]:
    """Time in hooks with all convolutions of ResNet-18, and channels of LeNet-5 that show a planted mark."""
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
    shares: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(1 if settings.quick else SEEDS):
        for planted, found in shares.items():
            found.append(_share_of_channels_that_show_it(seed, planted=planted, quick=settings.quick))
    yield Row(
        "MNIST, LeNet-5, a mark in one class's corner: channels of conv2 that show it",
        float(np.mean(shares[True])),
        "of 16",
        at_most=None,
        note=f"by seed {shares[True]}; trained without the mark, shown it {shares[False]}",
        samples={"planted": shares[True], "not_planted": shares[False]},
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


def _share_of_channels_that_show_it(seed: int, *, planted: bool, quick: bool) -> float:
    """Channels whose patches all hold the mark, out of an epoch of training with it or without."""
    mnist = MNIST(batch_size=64)
    mnist.setup("fit")
    (images, targets), (shown, classes) = (
        (part.dataset.tensors[0].clone(), part.dataset.tensors[1])
        for part in (mnist.train_dataloader(), mnist.val_dataloader())
    )
    count = 640 if quick else 20000
    images, targets = images[:count], targets[:count]
    if planted:
        _mark(images, targets)
    _mark(shown, classes)
    torch.manual_seed(seed)
    model = LeNet5(lambda params: torch.optim.Adam(params, 1e-3))
    data = pl.LightningDataModule()
    data.train_dataloader = lambda: DataLoader(TensorDataset(images, targets), 64)
    fit(model, data, [], max_epochs=1 if quick else 2)
    return float(_hold_the_mark(find_patches(model, shown, "conv2", classes=classes, channels=16)).sum())


def _mark(images: Tensor, targets: Tensor) -> None:
    images[targets == MARKED, 0, CORNER, CORNER] = MARK


def _hold_the_mark(patches: Patches) -> np.ndarray:
    """Which channels' most exciting patches are all of the marked class, with the whole mark in them."""
    boxes = patches.boxes[:, : patches.most]
    inside = (boxes[..., :2] <= CORNER.start).all(-1) & (boxes[..., 2:] >= CORNER.stop).all(-1)
    return (inside & (patches.classes[:, : patches.most] == MARKED)).all(1)
