"""Numbers instead of classes."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_diabetes
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from benchmarks.diagnosis.healthy.generative import perceptron
from benchmarks.diagnosis.healthy.modules import Task, task
from benchmarks.diagnosis.healthy.registry import healthy
from benchmarks.diagnosis.networks import lenet
from benchmarks.diagnosis.training import Run


class Regression(Task):
    """Predicts numbers.

    Args:
        network: Maps inputs to outputs of the targets' shape.
        loss: Of outputs and targets.
        lr: Learning rate of Adam.
    """

    def __init__(self, network: nn.Module, loss: Any = F.mse_loss, lr: float = 1e-3) -> None:
        super().__init__(lr)
        self.network, self.criterion = network, loss

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps inputs to outputs."""
        return self.network(inputs)

    def loss(self, batch: Any) -> Tensor:
        """Returns the loss of inputs and targets."""
        return self.criterion(self(batch[0]), batch[1])


def _table(module: Task, batch_size: int = 32) -> Run:
    inputs, targets = load_diabetes(return_X_y=True)
    x, y = torch.from_numpy(inputs).float(), torch.from_numpy(targets).float()[:, None]
    x, y = x / x.std(0), (y - y.mean()) / y.std()
    train, val = random_split(TensorDataset(x, y), [342, 100], torch.Generator().manual_seed(0))
    epochs = 200 * batch_size // len(train)
    return Run(
        module,
        DataLoader(train, batch_size, shuffle=True),
        DataLoader(val, 100),
        {"max_epochs": epochs, "check_val_every_n_epoch": 2},
    )


def _quantiles(outputs: Tensor, targets: Tensor) -> Tensor:
    error = targets - outputs
    levels = torch.tensor([0.1, 0.5, 0.9])
    return torch.maximum(levels * error, (levels - 1) * error).mean()


def _gaussian(outputs: Tensor, targets: Tensor) -> Tensor:
    mean, log_variance = outputs.chunk(2, dim=1)
    return F.gaussian_nll_loss(mean, targets, log_variance.exp().clamp(min=1e-4))


def _turned(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    angles = math.pi * (torch.rand(len(images)) - 0.5)
    cosine, sine = angles.cos(), angles.sin()
    zero = torch.zeros_like(angles)
    matrices = torch.stack([cosine, -sine, zero, sine, cosine, zero], dim=1).unflatten(1, (2, 3))
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    turned = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return turned, torch.stack([cosine, sine], dim=1)


class WithLBFGS(Regression):
    """Trained by a method of second order, which computes the loss several times a step."""

    def configure_optimizers(self) -> Any:
        """Returns L-BFGS."""
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=5)


class Oscillator(Task):
    """Solves u'' = −u with u(0) = 0 and u'(0) = 1, from the residual of the equation."""

    def __init__(self) -> None:
        super().__init__(lr=3e-3)
        self.network = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))

    def loss(self, batch: Any) -> Tensor:
        """Returns the mean squared residual and those of the initial values."""
        with torch.enable_grad():
            times = batch[0].clone().requires_grad_()
            first = self._slope(self.network(times), times)
            residual = self._slope(first, times) + self.network(times)
            start = torch.zeros(1, 1, requires_grad=True)
            value = self.network(start)
            return residual.square().mean() + (value**2 + (self._slope(value, start) - 1) ** 2).mean()

    @staticmethod
    def _slope(outputs: Tensor, inputs: Tensor) -> Tensor:
        return torch.autograd.grad(outputs.sum(), inputs, create_graph=True)[0]


@healthy("regression", "perceptron", "diabetes")
def table() -> Run:
    return _table(Regression(perceptron(10, 32, 1)))


@healthy("absolute error", "perceptron", "diabetes")
def absolute() -> Run:
    return _table(Regression(perceptron(10, 32, 32, 1), F.l1_loss))


@healthy("linear regression", "one layer", "diabetes")
def linear() -> Run:
    return _table(Regression(nn.Linear(10, 1), lr=1e-2))


@healthy("L-BFGS", "perceptron", "diabetes")
def second_order() -> Run:
    return _table(WithLBFGS(perceptron(10, 16, 1)), batch_size=171)


@healthy("quantiles", "perceptron", "diabetes")
def quantiles() -> Run:
    return _table(Regression(perceptron(10, 32, 3), _quantiles))


@healthy("mean and variance", "perceptron", "diabetes")
def gaussian() -> Run:
    return _table(Regression(perceptron(10, 32, 2), _gaussian))


@healthy("angle of turned digits", "lenet", "mnist")
def angle() -> Run:
    network = lenet(28)
    network.head = nn.Linear(84, 2)
    return task(Regression(network), "mnist", _turned)


@healthy("differential equation", "perceptron", "points")
def oscillator() -> Run:
    points = TensorDataset(6 * torch.rand(2000, 1))
    train, val = random_split(points, [1600, 400])
    return Run(Oscillator(), DataLoader(train, 32, shuffle=True), DataLoader(val, 400), {"max_epochs": 5})
