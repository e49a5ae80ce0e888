"""What healthy runs of other tasks than the classification of images are made of."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.diagnosis.data import SHAPES, load
from benchmarks.diagnosis.training import Run, Training

Change = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


class Plateau(Training):
    """Lowers the learning rate where the validation loss no longer falls."""

    def configure_optimizers(self) -> Any:
        """Returns the optimizer and its scheduler."""
        optimizer = self.parts.optimizer(self.trained(), **self.parts.settings)
        scheduler = ReduceLROnPlateau(optimizer, patience=1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}


class Task(pl.LightningModule, ABC):
    """A task whose batches have a loss.

    Args:
        lr: Learning rate of Adam.
    """

    def __init__(self, lr: float = 1e-3) -> None:
        super().__init__()
        self.lr = lr

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Returns the loss of a batch."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Returns the loss, and logs it."""
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Logs the loss."""
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        """Returns Adam of all parameters that are trained."""
        return torch.optim.Adam([value for value in self.parameters() if value.requires_grad], lr=self.lr)


def task(module: pl.LightningModule, data: str, change: Change | None = None, batch_size: int = 64) -> Run:
    """A run of a task on images.

    Args:
        module: What is trained.
        data: A key of `SHAPES`.
        change: Maps all normalised images (N, 1, H, W) and class indices (N,) to tensors whose rows are samples;
            None to keep them.
        batch_size: Samples per batch.
    """
    parts = []
    for part in load(data):
        images, targets = part.transform(part.images), part.targets
        parts.append(TensorDataset(*(change(images, targets) if change else (images, targets))))
    train, val = (
        DataLoader(part, batch_size, shuffle=number == 0, drop_last=number == 0) for number, part in enumerate(parts)
    )
    return Run(module, train, val, {"max_epochs": 3 if data != "digits" else SHAPES[data].epochs})
