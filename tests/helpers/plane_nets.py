"""Networks with two inputs, affine between their activations, of every kind of bend."""

import torch
from torch import nn

from recipes.circles import Circles

BOUNDS = (-2.0, 2.5, -1.5, 2.0)
"""The rectangle of the plane that is looked at."""


class Pooled(nn.Module):
    """A 2-D convolution, max-pools of four with and without a ReLU before them, batch norm, an average pool."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(2, 36)
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.norm.running_mean.uniform_(-0.3, 0.3)
        self.act = nn.LeakyReLU(0.2)
        self.pool = nn.MaxPool2d(2)
        self.mean = nn.AvgPool2d(2)
        self.act2 = nn.ReLU6()
        self.fc2 = nn.Linear(2, 3)

    def forward(self, x):
        x = self.act(self.norm(self.conv(self.fc1(x).unflatten(1, (1, 6, 6)))))
        return self.fc2(self.act2(4 * self.mean(self.pool(x)).flatten(1)))


def relu_net(*widths):
    layers = []
    for before, after in zip((2, *widths), widths, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 2))


NETS = {
    "relu": lambda: relu_net(8, 6, 4),
    "pools": Pooled,
    "circles": Circles,
    "leaky": lambda: nn.Sequential(nn.Linear(2, 6), nn.LeakyReLU(0.1), nn.Linear(6, 5), nn.Hardtanh()),
    "classes": lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4), nn.Softmax(dim=1)),
}


def net_of(name):
    """The same weights in every test."""
    torch.manual_seed(3)
    return NETS[name]().eval()
