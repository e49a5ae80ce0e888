"""A convolutional classifier and data small enough to train in a second, and a reader of event files."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import DummyLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class NumbersLogger(DummyLogger):
    """A logger of somebody's own, that takes no pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, Mapping[str, float]]] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append((step, metrics))


class TinyData(Dataset):
    """Four classes of noisy 8×8 patterns; `augment` draws from all three global random generators."""

    classes = ("left", "right", "top", "bottom")

    def __init__(self, size: int = 48, augment: bool = False, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.targets = torch.arange(size) % 4
        self.images = 0.3 * torch.rand(size, 1, 8, 8, generator=generator)
        halves = (slice(None), slice(0, 4)), (slice(None), slice(4, 8)), (slice(0, 4),), (slice(4, 8),)
        for image, target in zip(self.images, self.targets, strict=True):
            image[0][halves[int(target)]] += 1
        self.augment = augment

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.images[index]
        if self.augment:
            image = image + 0.05 * torch.randn(image.shape) + 0.05 * float(np.random.standard_normal())
        return image, self.targets[index]


class TinyNet(pl.LightningModule):
    """Convolutions, batch norm, dropout and an in-place ReLU: whatever a careless look inside would disturb."""

    def __init__(self, learning_rate: float = 0.05) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4, 8, 3)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(72, 16)
        self.act = nn.Tanh()
        self.drop = nn.Dropout(0.3)
        self.fc2 = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x))).flatten(1)
        return self.fc2(self.drop(self.act(self.fc1(x))))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        scores = self(x)
        self.log("val_loss", F.cross_entropy(scores, y))
        self.log("val_acc", (scores.argmax(1) == y).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


class Flat(TinyNet):
    """Without any convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        del self.conv1, self.conv2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


def loaders(size: int = 48, batch_size: int = 8) -> tuple[DataLoader, DataLoader]:
    """Training (shuffled, augmented) and validation batches."""
    train = DataLoader(TinyData(size, augment=True), batch_size, shuffle=True)
    return train, DataLoader(TinyData(40, seed=1), batch_size)


def trainer(folder: Path, callbacks: Sequence[pl.Callback] = (), **options: Any) -> pl.Trainer:
    """A quiet trainer on the CPU that logs into `folder/run`."""
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "callbacks": list(callbacks),
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "log_every_n_steps": 1,
        "logger": TensorBoardLogger(folder, name="run", version=""),
        "max_epochs": 2,
    }
    return pl.Trainer(**{**defaults, **options})


def fit(
    folder: Path, callbacks: Sequence[pl.Callback] = (), model: Any = None, data: Any = None, **options: Any
) -> Any:
    """Trains a new `TinyNet` (or `model`, an instance or a class) from a fixed seed; returns the trainer."""
    pl.seed_everything(7)
    run = trainer(folder, callbacks, **options)
    train, val = data or loaders()
    model = TinyNet if model is None else model
    run.fit(model() if isinstance(model, type) else model, train, val)
    return run


def events(folder: Path) -> EventAccumulator:
    """What TensorBoard's own reader finds in `folder/run`, nothing sampled away; read again only if it has grown."""
    return _read(folder, sum(path.stat().st_size for path in (folder / "run").glob("events*")))


@lru_cache(maxsize=4)
def _read(folder: Path, size: int) -> EventAccumulator:
    everything = dict.fromkeys(("images", "scalars", "tensors", "histograms"), 0)
    return EventAccumulator(str(folder / "run"), size_guidance=everything).Reload()


def image_steps(folder: Path) -> dict[str, list[int]]:
    """Steps of every image tag."""
    reader = events(folder)
    return {tag: [image.step for image in reader.Images(tag)] for tag in reader.Tags()["images"]}


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """(step, value) of a scalar tag."""
    return [(event.step, event.value) for event in events(folder).Scalars(tag)]
