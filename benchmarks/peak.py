"""Peak memory of a training process, with the standard set and bare, each in a process of its own."""

import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytorch_lightning as pl
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.models import fit
from benchmarks.rows import BARE, Row
from benchmarks.settings import Settings
from lightning_cnnviz import cnnviz_callbacks
from recipes.classifier import Classifier

REPEATS = 3
NETWORKS: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "ResNet-18": (torchvision.models.resnet18, 64),
    "VGG-11": (torchvision.models.vgg11, 48),
}
"""Network → how it is made, and the height and width of its images."""


class Peak(Classifier):
    """One of `NETWORKS`, trained with Adam."""

    def __init__(self, network: str) -> None:
        super().__init__(lambda params: torch.optim.Adam(params, lr=1e-4), num_classes=10)
        self.net = NETWORKS[network][0](num_classes=10)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, 10)."""
        return self.net(images)


def rows(settings: Settings) -> Iterator[Row]:
    """Ratios of the largest resident memory, process by process in turn."""
    for network in list(NETWORKS)[: 1 if settings.quick else None]:
        megabytes: dict[str, list[float]] = {"bare": [], "standard": []}
        for _ in range(1 if settings.quick else REPEATS):
            for kind, values in megabytes.items():
                command = [sys.executable, "-m", "benchmarks.peak", kind, network]
                run = subprocess.run(command, capture_output=True, text=True, check=True)
                values.append(float(run.stdout.split()[-1]))
        bare = statistics.median(megabytes["bare"])
        yield Row(
            f"peak memory, {network}, standard set",
            statistics.median(megabytes["standard"]) / bare,
            BARE,
            floor=(min(megabytes["bare"]) / bare, max(megabytes["bare"]) / bare),
            at_most=1.05,
            note=f"{bare:.0f} MB bare",
            samples={f"megabytes_{kind}": values for kind, values in megabytes.items()},
        )


def main() -> None:
    """Trains for two epochs of three batches and prints the largest resident megabytes."""
    kind, network = sys.argv[1:]
    size = NETWORKS[network][1]
    generator = torch.Generator().manual_seed(0)
    images, targets = torch.rand(96, 3, size, size, generator=generator), torch.arange(96) % 10
    data = pl.LightningDataModule()
    data.train_dataloader = data.val_dataloader = lambda: DataLoader(TensorDataset(images, targets), 32)
    callbacks = cnnviz_callbacks(num_samples=200) if kind == "standard" else []
    fit(Peak(network), data, callbacks, max_epochs=2)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
