"""A classifier with dropout from lightning-uq-box, whose validation takes several passes; batches are dicts."""

import torch
from lightning_uq_box.uq_methods import MCDropoutClassification
from torch import nn
from torch.utils.data import DataLoader, Dataset

LIGHTNING = "lightning.pytorch"


class Stripes(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        image = torch.rand(1, 12, 12, generator=torch.Generator().manual_seed(index))
        image[:, :: 2 + index % 3] = 1
        return {"input": image, "target": torch.tensor(index % 3)}


def build():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(512, 3)
    )
    module = MCDropoutClassification(net, num_mc_samples=5, loss_fn=nn.CrossEntropyLoss())
    return module, DataLoader(Stripes(), batch_size=8, shuffle=True), DataLoader(Stripes(), batch_size=8)
