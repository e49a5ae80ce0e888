"""BYOL in torchgeo: no classes, a teacher that follows the model at every step, a hook that keeps the features."""

import torch
from torchgeo.datamodules import NonGeoDataModule
from torchgeo.datasets import NonGeoDataset
from torchgeo.tasks import BYOL

LIGHTNING = "lightning.pytorch"


class Fields(NonGeoDataset):
    def __init__(self, split):
        self.split = split

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"image": 255 * torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(index))}


def build():
    return BYOL(model="resnet18", in_channels=3), NonGeoDataModule(Fields, batch_size=4)
