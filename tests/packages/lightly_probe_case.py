"""lightly's linear classifier on a frozen backbone: every batch has the files' names beside images and classes."""

import torchvision
from lightly.data import LightlyDataset
from lightly.utils.benchmarking import LinearClassifier
from lightly_case import Stripes
from torch import nn
from torch.utils.data import DataLoader

LIGHTNING = "pytorch_lightning"


def build():
    backbone = torchvision.models.resnet18()
    backbone.fc = nn.Identity()
    data = LightlyDataset.from_torch_dataset(Stripes(), transform=torchvision.transforms.ToTensor())
    module = LinearClassifier(backbone, batch_size_per_device=8, feature_dim=512, num_classes=3, topk=(1, 2))
    return module, DataLoader(data, batch_size=8, shuffle=True), DataLoader(data, batch_size=8)
