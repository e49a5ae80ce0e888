"""Images with the channels last: every picture is that of the same run on images with the channels first."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tab_records import records
from helpers.tiny import events, image_steps, trainer
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_cnnviz import (
    ActivationMaximization,
    ClassReport,
    EmbeddingProjection,
    FeatureMaps,
    FilterResponse,
    MaximallyActivatingPatches,
    Saliency,
    SampleHistory,
)

METHODS = ["grad_cam", "integrated_gradients", "occlusion"]
OF_SAMPLES = (FeatureMaps, FilterResponse, Saliency, MaximallyActivatingPatches, ActivationMaximization)


class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.fc = nn.Linear(6 * 10 * 8, 4)

    def planes(self, x):
        return x

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(self.planes(x)))))
        return self.fc(x.flatten(1))

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class Permuting(Net):
    def planes(self, x):
        return x.permute(0, 3, 1, 2).contiguous()


class Transposing(Net):
    """Takes columns for rows: what it sees is not the image."""

    def planes(self, x):
        return x.permute(0, 3, 2, 1).reshape(len(x), 3, 12, 10)


class WithoutConvolution(Net):
    def __init__(self):
        super().__init__()
        del self.conv1, self.conv2
        self.fc = nn.Linear(360, 4)

    def forward(self, x):
        return self.fc(x.flatten(1))


def samples(count, seed):
    """Images of 12 × 10 pixels in three colours, with four classes by the brightest corner."""
    generator = torch.Generator().manual_seed(seed)
    images, targets = 0.4 * torch.rand(count, 3, 12, 10, generator=generator), torch.arange(count) % 4
    for image, target in zip(images, targets.tolist(), strict=True):
        image[target % 3, 6 * (target // 2) :, 5 * (target % 2) :][:6, :5] += 0.6
    return images, targets


def run(folder, model, *, last, callbacks=None):
    def data(count, seed):
        images, targets = samples(count, seed)
        return TensorDataset(images.permute(0, 2, 3, 1).contiguous() if last else images, targets)

    pl.seed_everything(5)
    probing = [kind(on_error="raise", **({"methods": METHODS} if kind is Saliency else {})) for kind in OF_SAMPLES]
    projection = EmbeddingProjection(method="pca", on_error="raise")
    callbacks = [*probing, projection, SampleHistory(on_error="raise"), ClassReport(on_error="raise")]
    once = trainer(folder, callbacks, max_epochs=2)
    once.fit(model(), DataLoader(data(48, 0), 8, shuffle=True), DataLoader(data(40, 1), 8))
    return once


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folders = {last: tmp_path_factory.mktemp("last" if last else "first") for last in (False, True)}
    for last, folder in folders.items():
        run(folder, Permuting if last else Net, last=last)
    return folders


def test_every_picture_is_the_same(both):
    first, last = (image_steps(both[last]) for last in (False, True))
    kinds = {tag.partition("/")[0] for tag in first}
    assert kinds >= {"feature_maps", "saliency", "activating_patches", "sample_history", "class_report"}
    assert first == last
    for tag in first:
        for one, other in zip(*(events(both[last]).Images(tag) for last in (False, True)), strict=True):
            assert one.encoded_image_string == other.encoded_image_string, (tag, one.step)


def test_everything_in_the_tab_is_the_same(both):
    tags = [tag for tag in events(both[False]).Tags()["tensors"] if tag.startswith("cnnviz/")]
    compared = [tag for tag in tags if not tag.startswith(("cnnviz/model", "cnnviz/findings"))]
    assert "cnnviz/samples" in compared
    for tag in compared:
        one, other = (records(both[last], tag.removeprefix("cnnviz/")) for last in (False, True))
        assert len(one) == len(other) > 0, tag
        for (step, info, arrays), (other_step, other_info, others) in zip(one, other, strict=True):
            assert (step, info) == (other_step, other_info)
            for name, array in arrays.items():
                np.testing.assert_array_equal(array, others[name], err_msg=f"{tag} {name}")


def test_the_thumbnails_are_the_images(both):
    ((_, _, arrays),) = records(both[True], "samples")
    images, targets = samples(40, 1)
    shown = (255 * images.clamp(0, 1)).round().byte().permute(0, 2, 3, 1).numpy()
    found = {picture.tobytes() for picture in arrays["thumbnails"]}
    assert found == {picture.tobytes() for picture in shown}
    places = [next(at for at, one in enumerate(shown) if (one == picture).all()) for picture in arrays["thumbnails"]]
    np.testing.assert_array_equal(arrays["targets"], targets.numpy()[places])


@pytest.mark.parametrize("model", [Transposing, WithoutConvolution])
def test_where_it_is_not_certain_no_image_is_shown_and_one_line_says_so(model, tmp_path, told):
    pl.seed_everything(5)
    images, targets = samples(40, 0)
    data = TensorDataset(images.permute(0, 2, 3, 1).contiguous(), targets)
    callbacks = [FeatureMaps(), MaximallyActivatingPatches(), SampleHistory(), ClassReport()]
    trainer(tmp_path, callbacks, max_epochs=1).fit(model(), DataLoader(data, 8), DataLoader(data, 8))
    assert told().count("no images are shown until that is certain") == 1
    tags = set(image_steps(tmp_path))
    assert "class_report/confusion" in tags
    assert "sample_history/val/map" in tags
    assert not [tag for tag in tags if tag.startswith(("feature_maps", "activating_patches", "class_report/s"))]
    assert records(tmp_path, "samples") == []
