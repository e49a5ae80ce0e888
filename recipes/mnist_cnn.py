import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn

from recipes.classifier import Classifier


class MNISTCNN(Classifier):
    """Three 5×5 convolutions and two fully connected layers, with dropout between the latter.

    Takes images (N, 1, 28, 28); 3,338,682 parameters.

    Args:
        optimizer: Makes the optimizer from the parameters.
    """

    def __init__(self, optimizer: OptimizerCallable = lambda params: torch.optim.Adam(params, lr=1e-4)) -> None:
        super().__init__(optimizer, num_classes=10)
        self.conv1 = nn.Conv2d(1, 32, kernel_size=5, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(32, 48, kernel_size=5, padding=2)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(48, 64, kernel_size=5, padding=2)
        self.relu3 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(64 * 7 * 7, 1024)
        self.relu4 = nn.ReLU()
        self.dropout = nn.Dropout(0.5)
        self.fc2 = nn.Linear(1024, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 1, 28, 28) to logits (N, 10)."""
        x = self.pool1(self.relu1(self.conv1(images)))
        x = self.relu2(self.conv2(x))
        x = self.pool2(self.relu3(self.conv3(x)))
        x = self.dropout(self.relu4(self.fc1(x.flatten(1))))
        return self.fc2(x)
