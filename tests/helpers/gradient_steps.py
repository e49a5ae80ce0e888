"""Training steps of a small network, with their gradients summed up by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from lightning_cnnviz.statistics.gradient_window import GradientWindow

LOOKS = {0, 1, 10, 11, 26, 27, 36, 37, 52, 53, 68, 69, 78, 79}
"""Steps of a weight at which zeros and its update are looked at: (step // 2 · 1.618…) mod 1 < 1/8."""
LOOKS |= {step for step in range(80, 2000) if (step // 2 * (1 + 5**0.5) / 2) % 1 < 1 / 8}
STATISTICS = ("mean_abs", "max_abs", "norm", "zero_share", "non_finite")


class ByHand:
    """The gradients of every step, kept and summed up in float64 NumPy."""

    def __init__(self, weights):
        self.weights = weights
        self.steps = {name: [] for name in weights}
        self.looks = {name: [] for name in weights}

    def add(self, owned=None, scale=1.0):
        gradients = {
            name: weight.grad.detach().double().numpy().copy() / scale
            for name, weight in self.weights.items()
            if weight.grad is not None and (owned is None or any(weight is one for one in owned))
        }
        for name, gradient in gradients.items():
            if len(self.steps[name]) in LOOKS:
                self.looks[name].append(gradient)
            self.steps[name].append(gradient)

    def statistics(self):
        return {name: self.of(steps, self.looks[name]) for name, steps in self.steps.items() if steps}

    @staticmethod
    def of(steps, looks):
        finite = [step for step in steps if np.isfinite(step).all()]
        entries = steps[0].size
        nan = float("nan")
        return {
            "mean_abs": np.mean([np.abs(step).mean() for step in finite]) if finite else nan,
            "max_abs": max(np.abs(step).max() for step in finite) if finite else nan,
            "norm": np.mean([np.sqrt((step**2).sum()) for step in finite]) if finite else nan,
            "zero_share": sum((look == 0).sum() for look in looks) / (len(looks) * entries),
            "non_finite": sum((~np.isfinite(step)).sum() for step in steps),
        }


def assert_agree(window, by_hand, names=None):
    found, expected = window.statistics(), by_hand.statistics()
    assert list(found) == list(expected if names is None else names)
    for name, row in expected.items():
        for statistic in STATISTICS:
            assert found[name][statistic] == pytest.approx(row[statistic], rel=1e-5, nan_ok=True), (name, statistic)


class Net(nn.Module):
    def __init__(self, dtype=torch.float32):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 3, 3, dtype=dtype)
        self.head = nn.Linear(12, 4, dtype=dtype)
        self.side = nn.Linear(12, 4, dtype=dtype)

    def forward(self, x, side=False):
        hidden = self.conv(x).relu().flatten(1)
        return self.head(hidden) + (self.side(hidden) if side else 0)


def weights_of(net):
    return {name: getattr(net, name).weight for name in ("conv", "head", "side")}


def loss_of(net, step, side=False):
    x = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(step)).to(net.conv.weight.dtype)
    return nn.functional.cross_entropy(net(x, side), torch.arange(5) % 4)


def train(net, steps, side=lambda step: False, spoil=lambda net, step: None, lr=0.1):
    weights = weights_of(net)
    window, by_hand = GradientWindow(weights), ByHand(weights)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(net, step, side(step)).backward()
        spoil(net, step)
        window.add()
        by_hand.add()
        if net.conv.weight.grad.isfinite().all():  # others are skipped, as a loss scaler does
            optimizer.step()
        window.end_update()
    return window, by_hand
