"""The recipes of this repository, shortened; the slowest ones with a faster optimizer."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.diagnosis.healthy.registry import healthy
from benchmarks.diagnosis.training import Run
from recipes.circles import Circles, TwoCircles
from recipes.classifier import Classifier
from recipes.data import MNIST, Digits, FashionMNIST
from recipes.fashion_cnn import FashionCNN
from recipes.image_data import ImageData
from recipes.lenet5 import LeNet5
from recipes.lenet5_classic import LeNet5Classic
from recipes.mnist_cnn import MNISTCNN
from recipes.vgg16 import VGG16


def _run(module: pl.LightningModule, data: pl.LightningDataModule, **options: Any) -> Run:
    data.prepare_data()
    data.setup("fit")
    return Run(module, data.train_dataloader(), data.val_dataloader(), options)


def _images(model: Callable[[], Classifier], data: Callable[[], ImageData], steps: int, epochs: int = 2) -> Any:
    limits = {"limit_train_batches": steps, "limit_val_batches": 10, "max_epochs": epochs}
    return lambda: _run(model(), data(), **limits)


def _fast(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.02, momentum=0.9)


healthy("recipe demo", "LeNet5", "digits")(_images(lambda: LeNet5(_fast), lambda: Digits(batch_size=32), 36, 8))
healthy("recipe fashion_cnn", "FashionCNN", "fashion")(_images(FashionCNN, lambda: FashionMNIST(batch_size=20), 200))
healthy("recipe lenet5", "LeNet5", "mnist")(_images(lambda: LeNet5(_fast), lambda: MNIST(batch_size=100), 150))
healthy("recipe lenet5_classic", "LeNet5Classic", "mnist")(
    _images(LeNet5Classic, lambda: MNIST(batch_size=100, image_size=32, mean=0.0784314, std=0.7843137), 100)
)
healthy("recipe mnist_cnn", "MNISTCNN", "mnist", (0,))(_images(MNISTCNN, lambda: MNIST(batch_size=32), 40))
healthy("recipe vgg16", "VGG16", "mnist", (0,))(
    _images(VGG16, lambda: MNIST(batch_size=32, image_size=32, mean=0.5, std=0.5), 20)
)


@healthy("recipe circles", "Circles", "circles")
def circles() -> Run:
    model = Circles("tanh", lambda parameters: torch.optim.Adam(parameters, lr=0.05))
    return _run(model, TwoCircles(), max_epochs=300, check_val_every_n_epoch=20)
