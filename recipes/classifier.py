from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy


class Classifier(LightningModule, ABC):
    """Base class of the recipes' classifiers, with the loss, the metrics and the optimizer.

    A subclass adds its layers and ``forward``. Epoch means are logged as ``train_loss``, ``train_acc``, ``val_loss``,
    ``val_acc``, ``test_loss`` and ``test_acc``, and the accuracy on each class of the test set as
    ``test_acc/<class name>``; accuracies are in 0…1.

    Args:
        optimizer: Makes the optimizer from the parameters.
        num_classes: Number of logits.
    """

    def __init__(self, optimizer: OptimizerCallable, num_classes: int) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.train_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.val_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.test_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.test_accuracy_per_class = MulticlassAccuracy(num_classes, average=None)

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits (N, num_classes) and class indices (N,)."""
        return F.cross_entropy(logits, targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return an optimizer of all parameters."""
        return self.optimizer(self.parameters())

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the mean loss of a batch: images (N, C, H, W) and class indices (N,)."""
        loss, _ = self._evaluate(batch, "train", self.train_accuracy)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Log loss and accuracy."""
        self._evaluate(batch, "val", self.val_accuracy)

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Log loss and accuracy, and update the accuracy on each class."""
        _, logits = self._evaluate(batch, "test", self.test_accuracy)
        self.test_accuracy_per_class.update(logits, batch[1])

    def on_test_epoch_end(self) -> None:
        """Log the accuracy on each class, by name if the data module has class names, otherwise by index."""
        accuracies = self.test_accuracy_per_class.compute()
        names = getattr(self.trainer.datamodule, "class_names", range(len(accuracies)))
        self.log_dict({f"test_acc/{name}": accuracy for name, accuracy in zip(names, accuracies, strict=True)})
        self.test_accuracy_per_class.reset()

    def _evaluate(
        self, batch: tuple[Tensor, Tensor], stage: str, accuracy: MulticlassAccuracy
    ) -> tuple[Tensor, Tensor]:
        images, targets = batch
        logits = self(images)
        loss = self.loss(logits, targets)
        accuracy.update(logits, targets)
        self.log(f"{stage}_loss", loss, on_step=False, on_epoch=True, prog_bar=stage == "train")
        self.log(f"{stage}_acc", accuracy, on_step=False, on_epoch=True, prog_bar=stage == "val")
        return loss, logits
