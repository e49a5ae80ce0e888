"""Deep networks beside two busy processes: how long training is held up, and what an epoch adds to the file."""

from collections.abc import Iterator

import pytorch_lightning as pl
import torch
import torchvision
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.ledger import ledger
from benchmarks.live import BUSY, busy_cores
from benchmarks.rows import Row
from benchmarks.settings import Settings
from lightning_cnnviz import cnnviz_callbacks
from recipes.classifier import Classifier

NETWORKS = {"ResNet-50": torchvision.models.resnet50, "ResNet-152": torchvision.models.resnet152}
SIZE, BATCH_SIZE, BATCHES, EPOCHS = 128, 16, 4, 3
"""Height and width of images, images in a batch, batches in an epoch's training and in its validation, epochs."""


class Deep(Classifier):
    """One of `NETWORKS`."""

    def __init__(self, network: str) -> None:
        super().__init__(lambda params: torch.optim.SGD(params, lr=1e-3), num_classes=10)
        self.net = NETWORKS[network](num_classes=10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, 10)."""
        return self.net(images)


def rows(settings: Settings) -> Iterator[Row]:
    """The longest time at one go in any hook, in bare steps, and megabytes written per epoch."""
    size, batches, epochs = (32, 2, 1) if settings.quick else (SIZE, BATCHES, EPOCHS)
    coarse = torch.rand(batches * BATCH_SIZE, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(0))
    images = interpolate(coarse, (size, size), mode="bilinear")  # as smooth as photographs, and not as noise
    data = pl.LightningDataModule()
    labelled = TensorDataset(images, torch.arange(len(images)) % 10)
    data.train_dataloader = data.val_dataloader = lambda: DataLoader(labelled, BATCH_SIZE)
    for network in list(NETWORKS)[: 1 if settings.quick else None]:
        callbacks = cnnviz_callbacks()
        with busy_cores():
            bare = ledger(Deep(network), data, [], 1, {})
            account = ledger(Deep(network), data, callbacks, epochs, {})
        stalls = {name: seconds / bare.step for name, seconds in account.stalls.items()}
        worst = max(stalls, key=lambda name: stalls[name])
        yield Row(
            f"{network} at {size}² beside {BUSY} busy processes: longest stall",
            stalls[worst],
            "bare steps",
            floor=(0.0, bare.hiccup / bare.step),
            at_most=1.0,
            note=f"({bare.step:.1f} s each), by {worst}; after the last step {account.tail - bare.tail:.1f} s",
            samples={f"steps_{name}": [steps] for name, steps in stalls.items()},
        )
        written = sum(callback.account.written for callback in callbacks) / 2**20 / epochs
        yield Row(f"{network} at {size}²: event file per epoch", written, "MB", at_most=6.0)
