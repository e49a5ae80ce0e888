"""The networks that are trained, their data, and a training without anything that is not asked for."""

import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from recipes.classifier import Classifier
from recipes.data import FashionMNIST
from recipes.fashion_cnn import FashionCNN
from recipes.lenet5 import LeNet5
from recipes.vgg16 import VGG16

BATCH_SIZE = 64


class ThreeC3D(Classifier):
    """DeepOBS's network for CIFAR-10: three convolutions and three fully connected layers.

    Takes images (N, 3, 32, 32); 895,210 parameters.

    Reference: Schneider, Balles and Hennig, "DeepOBS: A Deep Learning Optimizer Benchmark Suite", ICLR 2019, test
    problem `cifar10_3c3d`.
    """

    def __init__(self) -> None:
        super().__init__(lambda params: torch.optim.SGD(params, lr=0.01), num_classes=10)
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, 64, kernel_size=5), nn.ReLU(), nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            *(nn.Conv2d(64, 96, kernel_size=3), nn.ReLU(), nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            *(nn.Conv2d(96, 128, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            *(nn.Flatten(), nn.Linear(1152, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) to logits (N, 10)."""
        return self.layers(images)


class LayerDropCNN(Classifier):
    """Sixteen residual convolutions, each of which is left out of a step with a probability of 0.2.

    Takes images (N, 1, 28, 28); nearly every step has gradients of another set of weights.

    Reference: Fan, Grave and Joulin, "Reducing Transformer Depth on Demand with Structured Dropout", ICLR 2020.
    """

    def __init__(self) -> None:
        super().__init__(lambda params: torch.optim.SGD(params, lr=0.01), num_classes=10)
        self.stem = nn.Conv2d(1, 16, kernel_size=3, stride=2, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(16, 16, kernel_size=3, padding=1) for _ in range(16))
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 1, 28, 28) to logits (N, 10)."""
        x = self.stem(images)
        for block in self.blocks:
            if torch.rand(()) > 0.2:
                x = x + 0.1 * block(x).relu()
        return self.head(x.mean((2, 3)))


class RandomImages(Dataset):
    """Noise with random classes, in an epoch without end.

    Args:
        shape: Of an image.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(10 * BATCH_SIZE, *shape, generator=generator)
        self.targets = torch.randint(10, (len(self.images),), generator=generator)

    def __len__(self) -> int:
        return 10_000_000

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index % len(self.images)], self.targets[index % len(self.images)]


class Case(NamedTuple):
    """A network, what it is trained on, and how blocks of its steps are measured.

    Attributes:
        model: Makes the network.
        data: Makes its data.
        steps: Steps of a block. A multiple of 16 where steps are fast, since GradientFlow takes a look at the
            weights' updates at an eighth of them, in pairs.
        pairs: Pairs of blocks.
    """

    model: Callable[[], Classifier]
    data: Callable[[], pl.LightningDataModule]
    steps: int
    pairs: int


def _noise(*shape: int) -> Callable[[], pl.LightningDataModule]:
    def data() -> pl.LightningDataModule:
        loaded = pl.LightningDataModule()
        loaded.train_dataloader = lambda: DataLoader(RandomImages(shape), batch_size=BATCH_SIZE)
        return loaded

    return data


def fashion() -> FashionMNIST:
    """FashionMNIST, from the folder that `CNNVIZ_DATA` names."""
    return FashionMNIST(batch_size=BATCH_SIZE)


FASHION_CNN, LAYER_DROP = "FashionMNIST CNN", "LayerDrop CNN"
CASES = {
    "LeNet-5": Case(LeNet5, _noise(1, 28, 28), steps=16, pairs=80),
    FASHION_CNN: Case(FashionCNN, fashion, steps=16, pairs=80),
    LAYER_DROP: Case(LayerDropCNN, _noise(1, 28, 28), steps=16, pairs=24),
    "3c3d": Case(ThreeC3D, _noise(3, 32, 32), steps=4, pairs=16),
    "VGG-16": Case(VGG16, _noise(1, 32, 32), steps=2, pairs=5),
}


def fit(model: Classifier, data: pl.LightningDataModule, callbacks: Sequence[pl.Callback], **options: Any) -> None:
    """Trains, from one seed, with a TensorBoard logger into a folder that is removed, and with nothing to watch it.

    Args:
        model: What is trained.
        data: What it is trained on.
        callbacks: Of the trainer, in this order.
        **options: Further arguments of the trainer; without them it trains until a callback stops it.
    """
    pl.seed_everything(0, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            logger=TensorBoardLogger(folder, name="", version=""),
            callbacks=list(callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            **{"accelerator": "cpu", "max_epochs": -1, **options},
        )
        trainer.fit(model, datamodule=data)
        for logger in trainer.loggers:
            logger.experiment.close()
