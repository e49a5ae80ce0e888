import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn

from recipes.classifier import Classifier

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of the 3×3 convolutions, block by block."""


class VGG16(Classifier):
    """VGG-16 with batch normalisation, for small greyscale images.

    Layers are named by block and position: ``conv1_1``, ``bn1_1``, ``relu1_1``, …, ``pool1``, …, ``pool5``; then
    ``fc1``, ``relu6``, ``dropout1``, ``fc2``, ``relu7``, ``dropout2``, ``fc3``. Takes images (N, 1, 32, 32), which
    five max-poolings reduce to a single pixel; 15,118,538 parameters.

    Reference: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
    https://arxiv.org/abs/1409.1556 (configuration D).

    Args:
        optimizer: Makes the optimizer from the parameters.
    """

    def __init__(
        self, optimizer: OptimizerCallable = lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.5)
    ) -> None:
        super().__init__(optimizer, num_classes=10)
        layers = _convolutions() | _head()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._order = tuple(layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 1, 32, 32) to logits (N, 10)."""
        x = images
        for name in self._order:
            x = self.get_submodule(name)(x)
        return x


def _convolutions() -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {}
    channels = 1
    for block, widths in enumerate(WIDTHS, start=1):
        for position, width in enumerate(widths, start=1):
            layers[f"conv{block}_{position}"] = nn.Conv2d(channels, width, kernel_size=3, padding=1)
            layers[f"bn{block}_{position}"] = nn.BatchNorm2d(width)
            layers[f"relu{block}_{position}"] = nn.ReLU()
            channels = width
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    return layers


def _head() -> dict[str, nn.Module]:
    return {
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(512, 512),
        "relu6": nn.ReLU(),
        "dropout1": nn.Dropout(0.5),
        "fc2": nn.Linear(512, 256),
        "relu7": nn.ReLU(),
        "dropout2": nn.Dropout(0.5),
        "fc3": nn.Linear(256, 10),
    }
