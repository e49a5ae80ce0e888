import os
import socket
from pathlib import Path
from typing import Any, ClassVar

import torch
import torchvision.datasets
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import interpolate, pad

from recipes.errors import RecipeError
from recipes.image_data import ImageData, hold_out

TIMEOUT = 10
"""Download timeout in seconds."""


class _TorchvisionData(ImageData):
    """A dataset that torchvision reads from a folder, and downloads if it is missing."""

    source: type[torchvision.datasets.MNIST]

    def __init__(self, root: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = Path(root or os.environ.get("CNNVIZ_DATA") or "data")

    def prepare_data(self) -> None:
        """Download the dataset if it is missing.

        Raises:
            RecipeError: The dataset is missing and cannot be downloaded.
        """
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(TIMEOUT)
        try:
            self.source(self.root, download=True)
        except (OSError, RuntimeError) as error:
            name = self.source.__name__
            raise RecipeError(
                f"{name} is not in {self.root / name / 'raw'} and could not be downloaded: connect to the network, "
                f"or set CNNVIZ_DATA or --data.root to a folder that holds {name}/raw ({_last_line(error)})"
            ) from error
        finally:
            socket.setdefaulttimeout(timeout)

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        """Return the official training or test set: images (N, 1, 28, 28) in 0…1 and class indices (N,)."""
        data = self.source(self.root, train=train)
        return data.data.unsqueeze(1) / 255, data.targets


class MNIST(_TorchvisionData):
    """Handwritten digits, 60,000 for training and 10,000 for testing (http://yann.lecun.com/exdb/mnist/).

    Args:
        root: Folder that holds ``MNIST/raw``; by default the environment variable ``CNNVIZ_DATA``, else ``data``.
        **kwargs: See :class:`ImageData`.
    """

    source = torchvision.datasets.MNIST
    class_names: ClassVar = list("0123456789")


class FashionMNIST(_TorchvisionData):
    """Items of clothing, 60,000 for training and 10,000 for testing (https://arxiv.org/abs/1708.07747).

    Args:
        root: Folder that holds ``FashionMNIST/raw``; by default the environment variable ``CNNVIZ_DATA``, else
            ``data``.
        **kwargs: See :class:`ImageData`.
    """

    source = torchvision.datasets.FashionMNIST
    class_names: ClassVar = list(torchvision.datasets.FashionMNIST.classes)


class Digits(ImageData):
    """scikit-learn's bundled handwritten digits, 8×8 enlarged to 28×28: 1,437 for training and 360 for testing.

    Needs no network. Each pixel becomes 3×3 pixels, and a border of two black pixels is added.
    """

    class_names: ClassVar = list("0123456789")

    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        """Return a fixed four fifths or the remaining fifth: images (N, 1, 28, 28) in 0…1, class indices (N,)."""
        digits = load_digits()
        targets = torch.from_numpy(digits.target)
        rest, fifth = hold_out(targets, 360, seed=0)
        chosen = rest if train else fifth
        images = torch.from_numpy(digits.images[chosen]).float().unsqueeze(1) / 16
        return pad(interpolate(images, scale_factor=3), (2, 2, 2, 2)), targets[chosen]


def _last_line(error: Exception) -> str:
    return ([line for line in str(error).splitlines() if line.strip()] or [type(error).__name__])[-1]
