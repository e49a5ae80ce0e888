"""Losses over pairs and features."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.diagnosis.healthy.modules import Task, task
from benchmarks.diagnosis.healthy.registry import healthy
from benchmarks.diagnosis.networks import lenet
from benchmarks.diagnosis.training import Run


def _encoder(size: int, features: int, normalized: bool = False) -> nn.Sequential:
    network = lenet(size, normalized=normalized)
    network.head = nn.Linear(84, features)
    return network


class Siamese(Task):
    """Pulls images of one class together, and pushes others apart up to a margin."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.encoder = _encoder(size, 16)

    def loss(self, batch: Any) -> Tensor:
        """Returns the contrastive loss of each image and the next one."""
        features, targets = self.encoder(batch[0]), batch[1]
        same = (targets == targets.roll(1)).float()
        distance = (features - features.roll(1, 0) + 1e-6).norm(dim=1)
        return (same * distance**2 + (1 - same) * (1 - distance).clamp(min=0) ** 2).mean()


class Triplets(Task):
    """Learns from all triplets of a batch."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.encoder = _encoder(size, 16)

    def loss(self, batch: Any) -> Tensor:
        """Returns the mean loss of all triplets of an image, one of its class and one of another."""
        features, targets = F.normalize(self.encoder(batch[0])), batch[1]
        distance = 2 - 2 * features @ features.T
        same = targets[:, None] == targets
        triplets = same[:, :, None] & ~same[:, None]
        return (distance[:, :, None] - distance[:, None] + 0.3).clamp(min=0)[triplets].mean()


def views(images: Tensor) -> tuple[Tensor, Tensor]:
    """Returns each image twice, moved by up to two pixels and with some noise."""

    def view() -> Tensor:
        shifts = torch.randint(-2, 3, (2,)).tolist()
        return images.roll(tuple(shifts), dims=(2, 3)) + 0.2 * torch.randn_like(images)

    return view(), view()


class SimCLR(Task):
    """Tells two views of an image from all others."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.encoder = _encoder(size, 32)

    def loss(self, batch: Any) -> Tensor:
        """Returns the cross-entropy of similarities."""
        first, second = (F.normalize(self.encoder(view)) for view in views(batch[0]))
        return F.cross_entropy(first @ second.T / 0.2, torch.arange(len(first)))


class SimSiam(Task):
    """Predicts one view's features from the other's; the loss is a negative cosine."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.encoder = _encoder(size, 32, normalized=True)
        self.predictor = nn.Sequential(nn.Linear(32, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 32))

    def loss(self, batch: Any) -> Tensor:
        """Returns the negative cosine of predictions and features, which are not trained through."""
        first, second = (self.encoder(view) for view in views(batch[0]))
        pairs = ((self.predictor(first), second), (self.predictor(second), first))
        return -sum(F.cosine_similarity(guess, other.detach()).mean() for guess, other in pairs) / 2


class ArcFace(Task):
    """Classifies by angles, with a margin and scaled scores."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.encoder = _encoder(size, 32)
        self.centres = nn.Parameter(torch.randn(10, 32))

    def loss(self, batch: Any) -> Tensor:
        """Returns the cross-entropy of scaled cosines."""
        cosine = F.normalize(self.encoder(batch[0])) @ F.normalize(self.centres).T
        return F.cross_entropy(16 * (cosine - 0.2 * F.one_hot(batch[1], 10)), batch[1])


class Distillation(Task):
    """A student learns from a teacher that stays as it is."""

    def __init__(self, size: int, teacher: nn.Module) -> None:
        super().__init__()
        self.student = lenet(size, widths=(4, 8, 60, 40))
        self.teacher = teacher.requires_grad_(False).eval()

    def loss(self, batch: Any) -> Tensor:
        """Returns the divergence from the teacher's probabilities, and the cross-entropy."""
        logits = self.student(batch[0])
        soft = F.kl_div((logits / 2).log_softmax(1), (self.teacher(batch[0]) / 2).softmax(1), reduction="batchmean")
        return 4 * soft + F.cross_entropy(logits, batch[1])


@healthy("contrastive pairs", "lenet", "mnist")
def siamese() -> Run:
    return task(Siamese(28), "mnist")


@healthy("triplets", "lenet", "mnist")
def triplets() -> Run:
    return task(Triplets(28), "mnist")


@healthy("SimCLR", "lenet", "fashion")
def simclr() -> Run:
    return task(SimCLR(28), "fashion", batch_size=128)


@healthy("SimSiam", "lenet", "mnist")
def simsiam() -> Run:
    return task(SimSiam(28), "mnist", batch_size=128)


@healthy("angular margin", "lenet", "mnist")
def arcface() -> Run:
    return task(ArcFace(28), "mnist")
