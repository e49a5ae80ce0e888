"""Networks that begin from trained ones, or whose parts are used in ways of their own."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import StochasticWeightAveraging
from torch import Tensor, nn

from benchmarks.diagnosis.data import load
from benchmarks.diagnosis.healthy.dense import Labelled
from benchmarks.diagnosis.healthy.modules import task
from benchmarks.diagnosis.healthy.registry import healthy
from benchmarks.diagnosis.healthy.similarity import Distillation
from benchmarks.diagnosis.networks import lenet, resnet
from benchmarks.diagnosis.training import Run, setup


def trained(network: nn.Module, data: str, steps: int = 100) -> nn.Module:
    """Trains a network for some steps before anything is watched.

    Args:
        network: Maps images (N, 1, H, W) to logits (N, 10).
        data: A key of `SHAPES`.
        steps: Of Adam.
    """
    images, _ = load(data)
    inputs, targets = images.transform(images.images), images.targets
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(steps):
        chosen = torch.randint(len(inputs), (64,))
        optimizer.zero_grad()
        F.cross_entropy(network(inputs[chosen]), targets[chosen]).backward()
        optimizer.step()
    return network


class Frozen(Labelled):
    """Trains the last layer only; all others stay as they are, in evaluation mode."""

    def train(self, mode: bool = True) -> "Frozen":
        """Leaves all but the last layer in evaluation mode."""
        super().train(mode)
        for name, layer in self.network.named_children():
            if name != "head":
                layer.eval()
        return self


def _features(network: nn.Module) -> nn.Module:
    trained(network, "mnist").requires_grad_(False)
    network.head = nn.Linear(network.get_submodule("head").in_features, 10)
    return network


class LowRank(nn.Module):
    """A layer that stays as it is, and the product of two narrow ones beside it, which begins at zero.

    Reference: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
    """

    def __init__(self, layer: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_features) to (N, out_features)."""
        return self.layer(x) + x @ self.down.T @ self.up.T


class Repeated(nn.Module):
    """Uses one convolution four times: images (N, 1, H, W) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.shared, self.norms = nn.Conv2d(16, 16, 3, padding=1), nn.ModuleList(nn.BatchNorm2d(16) for _ in range(4))
        self.head = nn.Linear(16 * 16, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (N, 1, H, W) to logits (N, 10)."""
        x = self.stem(images).relu()
        for norm in self.norms:
            x = x + norm(self.shared(x)).relu()
        return self.head(F.adaptive_avg_pool2d(x, 4).flatten(1))


class TwoRates(Labelled):
    """Trains the last layer ten times faster than what comes before."""

    def configure_optimizers(self) -> Any:
        """Returns an optimizer with two groups of parameters."""
        head = self.network.get_submodule("head")
        body = [value for name, value in self.network.named_parameters() if not name.startswith("head")]
        return torch.optim.Adam([{"params": body, "lr": 1e-4}, {"params": head.parameters(), "lr": 1e-3}])


def _classify(module: type[Labelled], network: nn.Module, data: str = "fashion", lr: float = 1e-3) -> Run:
    return task(module(network, F.cross_entropy, lr), data)


@healthy("last layer on frozen features", "lenet", "fashion")
def frozen_lenet() -> Run:
    return _classify(Frozen, _features(lenet(28, normalized=True)), lr=3e-3)


@healthy("last layer on frozen features", "resnet", "fashion")
def frozen_resnet() -> Run:
    return _classify(Frozen, _features(resnet(28)), lr=1e-2)


@healthy("two learning rates", "resnet", "fashion")
def two_rates() -> Run:
    network = trained(resnet(28), "mnist")
    network.head = nn.Linear(32, 10)
    return _classify(TwoRates, network)


@healthy("low-rank adapters", "lenet", "fashion")
def adapters() -> Run:
    network = trained(lenet(28), "mnist").requires_grad_(False)
    network.fc1, network.fc2 = LowRank(network.fc1), LowRank(network.fc2)
    network.head = nn.Linear(84, 10)
    return _classify(Labelled, network, lr=3e-3)


@healthy("trained further", "lenet", "mnist")
def further() -> Run:
    return _classify(Labelled, trained(lenet(28), "mnist", 200), "mnist", lr=3e-4)


@healthy("distillation", "lenet", "mnist")
def distillation() -> Run:
    return task(Distillation(28, trained(lenet(28), "mnist", 150)), "mnist")


@healthy("last gammas zero", "resnet", "mnist")
def zero_gamma() -> Run:
    network = resnet(28)
    for name, layer in network.named_modules():
        if name.endswith("norm2"):
            nn.init.zeros_(layer.weight)
    return _classify(Labelled, network, "mnist", lr=3e-3)


@healthy("shared weights", "convolutions", "mnist")
def shared() -> Run:
    return _classify(Labelled, Repeated(), "mnist", lr=3e-3)


def _averaged(network: str, data: str) -> Callable[[], Run]:
    def build() -> Run:
        run = setup(network, data).run()
        run.options["callbacks"] = [StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=0.6)]
        return run

    return build


healthy("averaged weights", "lenet", "mnist")(_averaged("lenet", "mnist"))
healthy("averaged weights", "resnet", "fashion")(_averaged("resnet", "fashion"))
