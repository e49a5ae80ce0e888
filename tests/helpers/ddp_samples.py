"""A run whose steps are the same on one process and on two, to be started as a script.

Arguments: a folder, and the number of processes.
"""

import os
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, DistributedSampler

from helpers.tiny import TinyData, fit
from lightning_cnnviz import MaximallyActivatingPatches, SampleHistory

LAYERS = ("conv1", "conv2")


class Plain(pl.LightningModule):
    """Without dropout and statistics of batches: two halves of a batch give the gradient of the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3)
        self.fc = nn.Linear(6 * 6 * 6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(F.relu(self.conv2(F.relu(self.conv1(x)))).flatten(1))

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        return F.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Keeping(MaximallyActivatingPatches):
    """Keeps the patches that it draws."""

    def drawings(self, trainer: pl.Trainer, module: pl.LightningModule):  # type: ignore[no-untyped-def]
        self.found = {name: ranking.patches()._asdict() for name, ranking in (self._rankings or {}).items()}
        return super().drawings(trainer, module)


if __name__ == "__main__":
    where, processes = Path(sys.argv[1]), int(sys.argv[2])
    noisy = TinyData(48), TinyData(40, seed=1)
    for seed, data in enumerate(noisy):
        data.images += 2 * torch.rand(data.images.shape, generator=torch.Generator().manual_seed(seed))
    patches = Keeping(layers=LAYERS, num_patches=3, on_error="raise")
    callbacks = [patches, SampleHistory(on_error="raise")]
    rank = int(os.environ.get("LOCAL_RANK", 0))
    samplers = [DistributedSampler(data, processes, rank, shuffle=False) for data in noisy]  # Lightning's own shuffles
    loaders = [
        DataLoader(data, 8 // processes, sampler=sampler) for data, sampler in zip(noisy, samplers, strict=True)
    ]
    options = {"strategy": "ddp", "devices": 2} if processes == 2 else {}
    run = fit(where, callbacks, model=Plain, data=loaders, max_epochs=3, use_distributed_sampler=False, **options)
    if run.global_rank == 0:
        torch.save((run.lightning_module.state_dict(), patches.found), where / "found.pt")
