"""A U-Net of segmentation-models-pytorch in torchgeo's task: a class for each pixel, masks with an ignored class."""

import torch
from torchgeo.datamodules import NonGeoDataModule
from torchgeo.datasets import NonGeoDataset
from torchgeo.tasks import SemanticSegmentation

LIGHTNING = "lightning.pytorch"


class Fields(NonGeoDataset):
    def __init__(self, split):
        self.split = split

    def __len__(self):
        return 16

    def __getitem__(self, index):
        image = 255 * torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(index))
        return {"image": image, "mask": (image[0] / 64).long()}


def build():
    module = SemanticSegmentation(
        model="unet", backbone="resnet18", in_channels=3, num_classes=4, loss="jaccard", ignore_index=0
    )
    return module, NonGeoDataModule(Fields, batch_size=8)
