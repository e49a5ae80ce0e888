import numpy as np
import torch
import torch.nn.functional as F
from pytorch_lightning import LightningDataModule, LightningModule
from pytorch_lightning.cli import OptimizerCallable
from sklearn.datasets import make_circles
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAccuracy

from recipes.errors import RecipeError

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class Circles(LightningModule):
    """A 1-D convolutional network with two inputs: Linear to 3, two kernels of width 2, max-pool, Linear to 1.

    Takes points (N, 2) and returns the probability (N, 1) of the inner circle; 18 parameters. Epoch means are logged
    as ``train_loss``, ``train_acc``, ``val_loss``, ``val_acc``, ``test_loss`` and ``test_acc``.

    Args:
        activation: ``relu``, ``sigmoid`` or ``tanh``, after the first layer and after the convolution.
        optimizer: Makes the optimizer from the parameters; its weight decay is the L2 penalty.
    """

    def __init__(
        self,
        activation: str = "relu",
        optimizer: OptimizerCallable = lambda params: torch.optim.SGD(params, lr=0.08),
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise RecipeError(f"expected activation to be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        self.optimizer = optimizer
        self.fc1 = nn.Linear(2, 3)
        self.act1 = ACTIVATIONS[activation]()
        self.conv = nn.Conv1d(1, 2, kernel_size=2)
        self.act2 = ACTIVATIONS[activation]()
        self.pool = nn.MaxPool1d(2)
        self.fc2 = nn.Linear(2, 1)
        self.sigmoid = nn.Sigmoid()
        self.accuracies = nn.ModuleDict({f"{stage}_acc": BinaryAccuracy() for stage in ("train", "val", "test")})

    def forward(self, points: Tensor) -> Tensor:
        """Map points (N, 2) to probabilities (N, 1)."""
        x = self.act1(self.fc1(points))
        x = self.pool(self.act2(self.conv(x.unsqueeze(1))))
        return self.sigmoid(self.fc2(x.flatten(1)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return an optimizer of all parameters."""
        return self.optimizer(self.parameters())

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the mean binary cross-entropy of a batch: points (N, 2) and classes (N,)."""
        return self._evaluate(batch, "train")

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Log loss and accuracy."""
        self._evaluate(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Log loss and accuracy."""
        self._evaluate(batch, "test")

    def _evaluate(self, batch: tuple[Tensor, Tensor], stage: str) -> Tensor:
        points, targets = batch
        probabilities = self(points).squeeze(1)
        loss = F.binary_cross_entropy(probabilities, targets.to(probabilities.dtype))
        accuracy = self.accuracies[f"{stage}_acc"]
        accuracy.update(probabilities, targets)
        self.log(f"{stage}_loss", loss, on_step=False, on_epoch=True, prog_bar=stage == "train")
        self.log(f"{stage}_acc", accuracy, on_step=False, on_epoch=True, prog_bar=stage == "val")
        return loss


class TwoCircles(LightningDataModule):
    """Two noisy concentric circles; a third of the points is held out as the test set, also used for validation.

    Points are standardised with the mean and standard deviation of the training set. Each set is a single batch.

    Args:
        num_samples: Total number of points.
        factor: Radius of the inner circle; that of the outer one is 1.
        noise: Standard deviation of the noise.
        random_state: Seed of the points and the split.
    """

    class_names = ("outer", "inner")

    def __init__(
        self, num_samples: int = 2000, factor: float = 0.3, noise: float = 0.1, random_state: int = 123
    ) -> None:
        super().__init__()
        points, targets = make_circles(n_samples=num_samples, factor=factor, noise=noise, random_state=random_state)
        train, test = train_test_split(
            np.arange(num_samples), test_size=1 / 3, random_state=random_state, stratify=targets
        )
        points = (points - points[train].mean(axis=0)) / points[train].std(axis=0)
        x, y = torch.from_numpy(points).float(), torch.from_numpy(targets)
        self.train, self.test = TensorDataset(x[train], y[train]), TensorDataset(x[test], y[test])

    def train_dataloader(self) -> DataLoader:
        """Return the training set as one batch."""
        return DataLoader(self.train, batch_size=len(self.train))

    def val_dataloader(self) -> DataLoader:
        """Return the test set as one batch."""
        return DataLoader(self.test, batch_size=len(self.test))

    def test_dataloader(self) -> DataLoader:
        """Return the test set as one batch."""
        return self.val_dataloader()
