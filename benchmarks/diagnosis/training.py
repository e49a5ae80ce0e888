"""A training as a user would write it, all of whose parts a fault may change before it begins."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from benchmarks.diagnosis.data import SHAPES, Images, load
from benchmarks.diagnosis.networks import NETWORKS, OPTIMIZERS


@dataclass
class Run:
    """What a Trainer is given.

    Attributes:
        module: What is trained.
        train: Its batches.
        val: Batches for validation; None for none.
        options: Arguments of the Trainer.
        begins: The step from which the fault has an effect.
    """

    module: pl.LightningModule
    train: Any
    val: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    begins: int = 0


@dataclass
class Setup:
    """A classifier of images and all that belongs to its training; `run` puts it together.

    Attributes:
        name: A key of `NETWORKS`.
        network: Maps images (N, 1, size, size) to logits (N, 10).
        train: Images to train on.
        val: Images for validation.
        optimizer: Class of the optimizer.
        settings: Arguments of the optimizer.
        batch_size: Images per batch.
        epochs: Of the run.
        shuffle: Whether each epoch has an order of its own.
        sampler: Of the training images, instead of an order by chance.
        loss: Maps logits (N, 10) and class indices (N,) to the loss.
        augment: Maps a training batch's images and class indices to others.
        scheduler: Makes a scheduler, stepped after each step, of an optimizer and the number of all steps.
        module: Class of the LightningModule.
        options: Further arguments of the Trainer.
        begins: The step from which the fault has an effect.
    """

    name: str
    network: nn.Module
    train: Images
    val: Images
    optimizer: type[torch.optim.Optimizer]
    settings: dict[str, Any]
    batch_size: int
    epochs: int
    shuffle: bool = True
    sampler: Sampler | None = None
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    scheduler: Callable[[torch.optim.Optimizer, int], torch.optim.lr_scheduler.LRScheduler] | None = None
    module: "type[Training] | None" = None
    options: dict[str, Any] = field(default_factory=dict)
    begins: int = 0

    @property
    def size(self) -> int:
        """Side length of the images in pixels."""
        return self.train.images.shape[-1]

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return -(-len(self.train) // self.batch_size) * self.epochs

    def rebuild(self, **options: Any) -> None:
        """Makes the network anew, with other options."""
        self.network = NETWORKS[self.name](self.size, **options)

    def run(self) -> Run:
        """Puts the parts together."""
        order = {"sampler": self.sampler} if self.sampler else {"shuffle": self.shuffle}
        return Run(
            (self.module or Training)(self),
            DataLoader(self.train, self.batch_size, **order),
            DataLoader(self.val, 250),
            {"max_epochs": self.epochs, **self.options},
            self.begins,
        )


class Training(pl.LightningModule):
    """Trains a network to classify; logs losses and accuracies.

    Args:
        setup: Its parts.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.parts = setup
        self.network = setup.network
        self.loss = setup.loss

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (N, 1, size, size) to logits (N, 10)."""
        return self.network(images)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Returns the loss of a batch: images (N, 1, size, size) and class indices (N,)."""
        images, targets = batch if self.parts.augment is None else self.parts.augment(*batch)
        return self._evaluate(images, targets, "train")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Logs loss and accuracy."""
        self._evaluate(*batch, "val")

    def _evaluate(self, images: Tensor, targets: Tensor, stage: str) -> Tensor:
        logits = self(images)
        loss = self.loss(logits, targets)
        self.log(f"{stage}_loss", loss, on_step=stage == "train", on_epoch=True)
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        self.log(f"{stage}_acc", (logits.argmax(1) == classes).float().mean(), on_step=False, on_epoch=True)
        return loss

    def trained(self) -> Any:
        """The parameters that the optimizer is given."""
        return self.parameters()

    def configure_optimizers(self) -> Any:
        """Returns the optimizer, and its scheduler if there is one."""
        optimizer = self.parts.optimizer(self.trained(), **self.parts.settings)
        if self.parts.scheduler is None:
            return optimizer
        scheduler = self.parts.scheduler(optimizer, self.parts.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def setup(network: str, data: str, **options: Any) -> Setup:
    """A training that learns.

    Args:
        network: A key of `NETWORKS`.
        data: A key of `SHAPES`.
        **options: Of the network.
    """
    train, val = load(data)
    _, batch_size, epochs = SHAPES[data]
    made = NETWORKS[network](train.images.shape[-1], **options)
    optimizer, settings = OPTIMIZERS[network]
    return Setup(network, made, train, val, optimizer, dict(settings), batch_size, epochs)
