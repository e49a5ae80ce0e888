"""The data and the network of the gallery: digits of 8×8 pixels and a small CNN."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

CLASS_NAMES = list("0123456789")


class Digits(NamedTuple):
    """1,437 images to train on and 360 to look at, shape (images, 1, 8, 8), with their classes."""

    train_images: Tensor
    train_labels: Tensor
    images: Tensor
    labels: Tensor


class History(NamedTuple):
    """Loss and accuracy after each epoch."""

    train_loss: list[float]
    val_loss: list[float]
    train_accuracy: list[float]
    val_accuracy: list[float]


class Net(nn.Module):
    """Two convolutions, each with a max-pool, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(64, 32)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 1, 8, 8) to logits (N, 10)."""
        x = self.pool1(self.relu1(self.conv1(images)))
        x = self.pool2(self.relu2(self.conv2(x)))
        return self.fc2(self.relu3(self.fc1(x.flatten(1))))


@cache
def load() -> Digits:
    """Read scikit-learn's digits; the last fifth of a shuffled order is held out."""
    pixels, classes = load_digits(return_X_y=True)
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8)[order] / 16
    labels = torch.tensor(classes)[order]
    return Digits(images[:1437], labels[:1437], images[1437:], labels[1437:])


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Return the share of samples whose highest score is that of their class."""
    return (scores.argmax(dim=1) == labels).float().mean().item()


def train(
    model: nn.Module,
    epochs: int = 15,
    after_step: Callable[[int], None] = lambda step: None,
    after_epoch: Callable[[int], None] = lambda epoch: None,
) -> History:
    """Train with Adam on batches of 64.

    Args:
        model: Takes images (N, 1, 8, 8) and returns logits (N, 10).
        epochs: How many.
        after_step: Called with the step's number between backward pass and optimizer step.
        after_epoch: Called with the epoch's number, from 1.
    """
    data, history, step = load(), History([], [], [], []), 0
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(len(data.train_images)).split(64):
            optimizer.zero_grad()
            cross_entropy(model(data.train_images[batch]), data.train_labels[batch]).backward()
            step += 1
            after_step(step)
            optimizer.step()
        with torch.no_grad():
            train_scores, val_scores = model(data.train_images), model(data.images)
        history.train_loss.append(cross_entropy(train_scores, data.train_labels).item())
        history.val_loss.append(cross_entropy(val_scores, data.labels).item())
        history.train_accuracy.append(accuracy(train_scores, data.train_labels))
        history.val_accuracy.append(accuracy(val_scores, data.labels))
        after_epoch(epoch)
    return history


@cache
def trained() -> tuple[Net, History]:
    """Train once, whichever page asks first."""
    torch.manual_seed(0)
    model = Net()
    return model, train(model)
