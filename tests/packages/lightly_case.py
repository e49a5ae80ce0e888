"""SimCLR on lightly's benchmark module, which classifies by the features' nearest neighbours in validation."""

import torch
import torchvision
from lightly.data import LightlyDataset
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from lightly.utils.benchmarking import BenchmarkModule
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

LIGHTNING = "pytorch_lightning"
UNSET = ("bank_ptr",)


class Stripes(Dataset):
    transform = None

    def __len__(self):
        return 24

    def __getitem__(self, index):
        pixels = torch.randint(0, 200, (32, 32, 3), generator=torch.Generator().manual_seed(index), dtype=torch.uint8)
        pixels[:: 2 + index % 3] = 255
        return self.transform(Image.fromarray(pixels.numpy())), index % 3


class SimCLR(BenchmarkModule):
    def __init__(self, neighbours):
        super().__init__(neighbours, num_classes=3, knn_k=5)
        resnet = torchvision.models.resnet18()
        self.backbone = nn.Sequential(*list(resnet.children())[:-1])
        self.projection_head = SimCLRProjectionHead(512, 64, 16)
        self.criterion = NTXentLoss()

    def forward(self, x):
        return self.projection_head(self.backbone(x).flatten(1))

    def training_step(self, batch, batch_idx):
        (x0, x1), _, _ = batch
        loss = self.criterion(self(x0), self(x1))
        self.log("train_loss_ssl", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.06, momentum=0.9)


def build():
    two_views = LightlyDataset.from_torch_dataset(Stripes(), transform=SimCLRTransform(input_size=32))
    plain = LightlyDataset.from_torch_dataset(Stripes(), transform=torchvision.transforms.ToTensor())
    module = SimCLR(DataLoader(plain, batch_size=8))
    return module, DataLoader(two_views, batch_size=8, shuffle=True, drop_last=True), DataLoader(plain, batch_size=8)
