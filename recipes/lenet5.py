import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn

from recipes.classifier import Classifier


class LeNet5(Classifier):
    """LeNet-5 as commonly implemented today: ReLU and max-pooling in place of sigmoids and trainable sub-sampling.

    Takes images (N, 1, 28, 28); 44,426 parameters.

    Reference: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86 (1998), 2278–2324.

    Args:
        optimizer: Makes the optimizer from the parameters.
    """

    def __init__(self, optimizer: OptimizerCallable = lambda params: torch.optim.SGD(params, lr=0.01)) -> None:
        super().__init__(optimizer, num_classes=10)
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(16 * 4 * 4, 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 1, 28, 28) to logits (N, 10)."""
        x = self.pool1(self.relu1(self.conv1(images)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.relu3(self.fc1(x.flatten(1)))
        x = self.relu4(self.fc2(x))
        return self.fc3(x)
