"""`cnnviz_callbacks()` with no arguments on models that nobody tailored to it."""

import io
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import events, fit
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models

from lightning_cnnviz import cnnviz_callbacks

small_vit = partial(
    models.VisionTransformer,
    image_size=64,
    patch_size=16,
    num_layers=4,
    num_heads=4,
    hidden_dim=64,
    mlp_dim=128,
)
"""ViT-B/16 as torchvision makes it, but for its size."""


class Wrapper(pl.LightningModule):
    def __init__(self, make) -> None:
        super().__init__()
        self.model = make(num_classes=5)

    def forward(self, x):
        return self.model(x)

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(batch[0]), batch[1])

    validation_step = training_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


@pytest.mark.parametrize(
    ("make", "convolutions", "hidden"),
    [
        (models.resnet18, 20, "model.avgpool"),
        (models.mobilenet_v3_small, 24, "model.classifier.1"),
        (small_vit, 1, "model.heads.head.input"),
    ],
    ids=["resnet18", "mobilenet_v3_small", "ViT"],
)
def test_torchvision_models(make, convolutions, hidden, tmp_path):
    generator = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.rand(10, 3, 64, 64, generator=generator), torch.arange(10) % 5)
    loader = DataLoader(data, batch_size=5)
    pl.seed_everything(0)
    fit(tmp_path, cnnviz_callbacks(on_error="raise"), model=Wrapper(make), data=(loader, loader), max_epochs=1)
    reader = events(tmp_path)
    images = set(reader.Tags()["images"])
    assert len([tag for tag in images if tag.startswith("kernels/")]) == convolutions
    assert len([tag for tag in images if tag.startswith("feature_maps/")]) == convolutions + 1
    assert images >= {"gradient_flow/bars", "gradient_flow/heatmap", "feature_maps/overview"}
    assert images >= {"architecture/diagram", "curves/loss", "curves/accuracy", f"projection/{hidden}/tsne"}
    for tag in images:
        (image,) = reader.Images(tag)
        assert image.step == (0 if tag == "architecture/diagram" else 2)
        picture = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
        assert picture.shape[:2] == (image.height, image.width)
        assert max(picture.shape) < 4000, tag
