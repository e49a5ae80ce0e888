import torch
from pytorch_lightning import LightningDataModule, LightningModule
from sklearn.datasets import load_sample_image
from torch import Tensor, nn
from torch.utils.data import DataLoader

EDGE = torch.tensor([[-1.0, -1.0, 1.0, 1.0]]).expand(4, 4)
"""Responds to edges from dark on the left to bright on the right."""


class EdgeFilters(LightningModule):
    """Four hand-crafted filters for vertical and horizontal edges, then ReLU and max-pooling; nothing is trained.

    Takes greyscale images (N, 1, H, W). The filters are ``EDGE``, its negative, and the transposes of both.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, kernel_size=4, bias=False)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(4)
        filters = torch.stack([EDGE, -EDGE, EDGE.T, -EDGE.T])
        self.conv.weight = nn.Parameter(filters[:, None].clone(), requires_grad=False)
        self.automatic_optimization = False

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 1, H, W) to the strongest responses in squares of 4×4 pixels."""
        return self.pool(self.relu(self.conv(images)))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return no optimizer, since nothing is trained."""
        return []

    def training_step(self, batch: Tensor) -> None:
        """Run the forward pass only, so that the run has an epoch, at the end of which pictures are drawn."""
        self(batch)


class Photograph(LightningDataModule):
    """One of scikit-learn's two photographs in greyscale, (1, 1, 213, 320) in 0…1.

    Args:
        name: ``"china.jpg"`` or ``"flower.jpg"``.
    """

    def __init__(self, name: str = "china.jpg") -> None:
        super().__init__()
        self.name = name

    def load(self) -> Tensor:
        """Return the photograph, averaged over the colour channels and over squares of 2×2 pixels."""
        pixels = torch.tensor(load_sample_image(self.name)) / 255
        return nn.functional.avg_pool2d(pixels.mean(dim=2)[None], 2)

    def train_dataloader(self) -> DataLoader:
        """Return the photograph as a single batch."""
        return DataLoader([self.load()])
