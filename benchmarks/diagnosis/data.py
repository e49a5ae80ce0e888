"""Small fixed parts of MNIST, FashionMNIST and scikit-learn's digits, held in memory."""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import Dataset

from recipes.data import MNIST, FashionMNIST
from recipes.image_data import hold_out


class Images(Dataset):
    """Images with their class indices; a transform is applied whenever one is read.

    Args:
        images: Of shape (N, 1, H, W), in 0…1.
        targets: Class indices (N,).
        transform: Maps an image (1, H, W) to what the network is given.
    """

    def __init__(self, images: Tensor, targets: Tensor, transform: Callable[[Tensor], Tensor]) -> None:
        self.images, self.targets, self.transform = images, targets, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.images[index]), self.targets[index]

    def keep(self, chosen: Any) -> None:
        """Keeps some images, in this order."""
        self.images, self.targets = self.images[chosen], self.targets[chosen]


class Normalize:
    """Subtracts the mean of all pixels, and divides by their standard deviation.

    Args:
        images: In which both are measured.
    """

    def __init__(self, images: Tensor) -> None:
        self.mean, self.std = float(images.mean()), float(images.std())

    def __call__(self, image: Tensor) -> Tensor:
        """Maps an image to one of the same shape."""
        return (image - self.mean) / self.std


class Shape(NamedTuple):
    """How a data set is trained on.

    Attributes:
        train: Images to train on; digits has 1,437.
        batch_size: Images per batch.
        epochs: Of which a run is made, for about 270 steps.
    """

    train: int
    batch_size: int
    epochs: int


SHAPES = {"mnist": Shape(5760, 64, 3), "fashion": Shape(5760, 64, 3), "digits": Shape(1437, 32, 6)}
VALIDATION = 1000


def load(name: str) -> tuple[Images, Images]:
    """Training and validation images of a data set; both may be changed.

    Args:
        name: A key of `SHAPES`.
    """
    train, val = (copy.copy(part) for part in _load(name))
    for part in (train, val):
        part.images, part.targets = part.images.clone(), part.targets.clone()
    return train, val


@lru_cache
def _load(name: str) -> tuple[Images, Images]:
    if name == "digits":
        digits = load_digits()
        images, targets = torch.from_numpy(digits.images).float().unsqueeze(1) / 16, torch.from_numpy(digits.target)
        train, val = hold_out(targets, 360, seed=0)
    else:
        data = {"mnist": MNIST, "fashion": FashionMNIST}[name]()
        data.prepare_data()
        images, targets = data.load(train=True)
        chosen = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
        train, val = chosen[: SHAPES[name].train], chosen[-VALIDATION:]
    normalize = Normalize(images[train])
    return Images(images[train], targets[train], normalize), Images(images[val], targets[val], normalize)
