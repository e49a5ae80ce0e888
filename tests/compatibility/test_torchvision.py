"""Every classification model of torchvision, trained for a step at its smallest sensible input.

One model of a family runs by default (ResNet, MobileNet V3 and ViT in `tests/test_models.py`), all of them run with
`CNNVIZ_EVERY_MODEL=1 python -m pytest tests/compatibility/test_torchvision.py`.
"""

import io
import os

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torchvision
from helpers.tiny import events, fit
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_cnnviz import Architecture, ClassReport, EmbeddingProjection, FeatureMaps, KernelGrid, cnnviz_callbacks
from lightning_cnnviz.model.layers import convolutions

BY_DEFAULT = {
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "regnet_y_400mf",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "vgg11",
}
EVERY_MODEL = bool(os.environ.get("CNNVIZ_EVERY_MODEL"))
SIZES = {"inception_v3": 299, "maxvit_t": 224}
"""Sides of the image, where 64 pixels are too few: for the auxiliary classifier, for the windows."""
SAMPLES = 10


def size_of(name):
    return 4 * int(name.split("_")[-1]) if name.startswith("vit") else SIZES.get(name, 64)


class Wrapper(pl.LightningModule):
    def __init__(self, name):
        super().__init__()
        options = {"image_size": size_of(name)} if name.startswith("vit") else {}
        self.model = getattr(torchvision.models, name)(weights=None, num_classes=5, **options)

    def forward(self, x):
        return self.model(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        output = self(x)
        logits = output if isinstance(output, torch.Tensor) else output.logits  # beside auxiliary ones
        return F.cross_entropy(logits, y)

    validation_step = training_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                name not in BY_DEFAULT and not EVERY_MODEL,
                reason="one model of a family is enough; CNNVIZ_EVERY_MODEL=1 runs them all",
            ),
        )
        for name in torchvision.models.list_models(module=torchvision.models)
    ],
)
def test_torchvision(name, tmp_path):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(SAMPLES, 3, size_of(name), size_of(name), generator=generator)
    data = TensorDataset(images, torch.arange(SAMPLES) % 5)
    train, val = DataLoader(data, batch_size=2), DataLoader(data, batch_size=SAMPLES // 2)
    pl.seed_everything(0)
    model = Wrapper(name)
    first = convolutions(model)[0]
    callbacks = [
        *cnnviz_callbacks("minimal", on_error="raise"),
        Architecture(on_error="raise"),
        ClassReport(on_error="raise"),
        KernelGrid(layers=first, on_error="raise"),
        FeatureMaps(layers=first, num_images=1, on_error="raise"),
        EmbeddingProjection(method="pca", num_samples=SAMPLES, history=0, on_error="raise"),
    ]
    fit(tmp_path, callbacks, model=model, data=(train, val), max_epochs=1, limit_train_batches=1)
    reader = events(tmp_path)
    images = set(reader.Tags()["images"])
    assert images >= {"architecture/diagram", "class_report/confusion", "class_report/samples"}
    assert images >= {"curves/loss", "curves/accuracy", "gradient_flow/bars", "gradient_flow/heatmap"}
    assert images >= {f"kernels/{first}", f"feature_maps/{first}", "feature_maps/overview"}
    assert len([tag for tag in images if tag.startswith("projection/")]) == 1
    for tag in images:
        (image,) = reader.Images(tag)
        picture = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
        assert picture.shape[:2] == (image.height, image.width)
        assert picture.shape[0] < 10_000, tag
        assert picture.min() < picture.max(), tag
    norms = [tag for tag in reader.Tags()["scalars"] if tag.startswith("gradient_flow/") and tag.endswith("/norm")]
    assert any(reader.Scalars(tag)[0].value > 0 for tag in norms)  # a last layer that starts at zero stops all others
