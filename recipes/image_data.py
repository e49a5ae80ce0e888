from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from pytorch_lightning import LightningDataModule
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader, TensorDataset

from recipes.errors import RecipeError

SIZE = 28
"""Side length of the original images of every dataset, in pixels."""


class Images(TensorDataset):
    """Images and their class indices, held in memory.

    Args:
        images: Float images (N, 1, H, W).
        targets: Class indices (N,).
        classes: Class names.
    """

    def __init__(self, images: Tensor, targets: Tensor, classes: list[str]) -> None:
        super().__init__(images, targets)
        self.targets = targets
        self.classes = classes


class ImageData(LightningDataModule, ABC):
    """Greyscale images in three splits: train, validation (a stratified part of the training set) and test.

    Batches are float images (N, 1, image_size, image_size) and class indices (N,).

    Args:
        batch_size: Images per batch.
        image_size: Side length of the images in pixels; above 28, a black border is added.
        mean: Subtracted from the pixel values, which are in 0…1.
        std: The pixel values are divided by this after the mean is subtracted.
        val_size: Images held out for validation; by default 5,000 or a fifth of the training set, whichever is less.
        num_workers: Worker processes per dataloader; 0 is fastest, since the images are in memory.
        seed: Seed of the choice of held-out images.
    """

    class_names: ClassVar[list[str]]

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int = SIZE,
        mean: float = 0.0,
        std: float = 1.0,
        val_size: int | None = None,
        num_workers: int = 0,
        seed: int = 42,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.image_size = image_size
        self.mean = mean
        self.std = std
        self.val_size = val_size
        self.num_workers = num_workers
        self.seed = seed
        self._splits: dict[str, Images] = {}

    @abstractmethod
    def load(self, train: bool) -> tuple[Tensor, Tensor]:
        """Return the training or the test set: images (N, 1, 28, 28) in 0…1 and class indices (N,)."""

    def setup(self, stage: str) -> None:
        """Load and split the data, once for all stages.

        Raises:
            RecipeError: ``image_size`` or ``val_size`` does not fit the data.
        """
        if self._splits:
            return
        if self.image_size < SIZE:
            raise RecipeError(f"expected image_size to be at least {SIZE}, got {self.image_size}")
        images, targets = self.load(train=True)
        val_size = min(5000, len(targets) // 5) if self.val_size is None else self.val_size
        try:
            train, val = hold_out(targets, val_size, self.seed)
        except ValueError as error:
            raise RecipeError(f"val_size={val_size} does not fit {len(targets)} images: {error}") from error
        self._splits = {
            "train": self._images(images[train], targets[train]),
            "val": self._images(images[val], targets[val]),
            "test": self._images(*self.load(train=False)),
        }

    def train_dataloader(self) -> DataLoader:
        """Return the training batches, reshuffled in each epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return the validation batches."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader:
        """Return the test batches."""
        return self._loader("test")

    def _images(self, images: Tensor, targets: Tensor) -> Images:
        border = self.image_size - SIZE
        before, after = border // 2, border - border // 2
        images = pad(images, (before, after, before, after))
        return Images((images - self.mean) / self.std, targets, self.class_names)

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader:
        return DataLoader(
            self._splits[split],
            batch_size=self.batch_size,
            shuffle=shuffle,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )


def hold_out(targets: Tensor, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split indices into two parts at random, stratified by class.

    Args:
        targets: Class indices (N,).
        count: Size of the second part.
        seed: Seed of the split.

    Returns:
        Indices (N − count,) and (count,).
    """
    rest, out = train_test_split(np.arange(len(targets)), test_size=count, random_state=seed, stratify=targets)
    return rest, out
