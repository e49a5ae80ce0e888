"""A classifier of points in the plane, small enough to train in a second."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from helpers.tiny import TinyNet


class PlaneNet(TinyNet):
    """Two inputs and few units; otherwise like `TinyNet`, with its names, batch norm, dropout and in-place ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.fc1 = nn.Linear(2, 2)
        self.act = nn.LeakyReLU()
        self.fc2 = nn.Linear(2, 4)
        del self.conv2, self.pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.conv1(x)))
        return self.fc2(self.drop(self.act(self.fc1(x))))


class Corners(TensorDataset):
    """Four classes, one in each quarter of the plane."""

    classes = ("left", "right", "top", "bottom")

    def __init__(self, size: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        targets = torch.arange(size) % 4
        centres = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
        super().__init__(centres[targets] + 0.4 * torch.randn(size, 2, generator=generator), targets)


def plane_loaders() -> tuple[DataLoader, DataLoader]:
    """Training (shuffled) and validation batches."""
    return DataLoader(Corners(48), 8, shuffle=True), DataLoader(Corners(40, seed=1), 8)
