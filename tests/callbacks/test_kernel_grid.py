"""The pictures in the event file show the weights of that step."""

import io
import json

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import Flat, TinyNet, events, fit, image_steps
from matplotlib import colormaps
from PIL import Image
from torch import nn
from torch.nn.utils import prune

from lightning_cnnviz import KernelGrid
from lightning_cnnviz.output.owned import owned_bytes


class Weights(pl.Callback):
    """What the weights really were at each epoch's end."""

    def __init__(self):
        self.of_step = {}

    def on_train_epoch_end(self, trainer, pl_module):
        self.of_step[trainer.global_step] = pl_module.conv1.weight.detach().clone().double().numpy()[:, 0]


def decode(folder, tag):
    return {
        image.step: np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
        for image in events(folder).Images(tag)
    }


def test_pictures_show_the_weights_of_their_step(tmp_path):
    weights = Weights()
    fit(tmp_path, [KernelGrid(layers="conv1", on_error="raise"), weights])
    pictures = decode(tmp_path, "kernels/conv1")
    assert sorted(pictures) == sorted(weights.of_step) == [6, 12]
    for step, kernels in weights.of_step.items():
        colours = colormaps["RdBu_r"](kernels / np.abs(kernels).max() / 2 + 0.5)[..., :3] * 255
        picture = pictures[step].astype(int)
        # Each kernel is 3×3 weights of 24 pixels, outlined, four in a row above the lower margin of 8 pixels.
        top = picture.shape[0] - 8 - 1 - 72
        for index in range(4):
            left = 8 + 1 + index * (72 + 6)
            centres = picture[top + 12 : top + 72 : 24, left + 12 : left + 72 : 24]
            np.testing.assert_allclose(centres, colours[index], atol=4)


def test_by_default_every_convolution_is_drawn(tmp_path):
    fit(tmp_path, [KernelGrid()])
    assert image_steps(tmp_path) == {"kernels/conv1": [6, 12], "kernels/conv2": [6, 12]}


class Zoo(TinyNet):
    """Every kind of convolution before the classifier."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(8, 6, 5, padding=2)
        self.up = nn.ConvTranspose1d(6, 8, 3, padding=1, groups=2)
        self.three = nn.Conv3d(1, 2, 3, padding=1)
        self.back = nn.ConvTranspose3d(2, 1, 3, padding=1)
        self.grouped = nn.Conv2d(2, 4, 3, padding=1, groups=2)
        self.transposed = nn.ConvTranspose2d(4, 3, 3, padding=1)
        self.colour = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, x):
        x = self.up(self.one(x[:, 0]))[:, None]
        x = self.back(self.three(x[:, :, None]))[:, :, 0]
        x = self.colour(self.transposed(self.grouped(x.repeat(1, 2, 1, 1))))
        return super().forward(x)


def test_every_kind_of_convolution_is_drawn(tmp_path):
    fit(tmp_path, [KernelGrid(on_error="raise")], model=Zoo(), max_epochs=1)
    drawn = {tag.removeprefix("kernels/") for tag in image_steps(tmp_path)}
    assert drawn == {"conv1", "conv2", "one", "up", "three", "back", "grouped", "transposed", "colour"}


@pytest.mark.parametrize("channel", ["mean", 0, 3])
@pytest.mark.parametrize("scale", ["layer", "kernel"])
def test_options_reach_the_picture(channel, scale, tmp_path):
    fit(
        tmp_path,
        [KernelGrid(layers="conv2", channel=channel, scale=scale, max_kernels=3, on_error="raise")],
        max_epochs=1,
    )
    picture = decode(tmp_path, "kernels/conv2")[6]
    assert picture.shape[1] >= 3 * 72


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_broken_and_constant_weights_are_drawn(value, tmp_path):
    class Break(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            with torch.no_grad():
                pl_module.conv1.weight[0] = value

    fit(tmp_path, [Break(), KernelGrid(layers="conv1", on_error="raise")], max_epochs=1)
    picture = decode(tmp_path, "kernels/conv1")[6]
    magenta = (picture == (255, 0, 255)).all(axis=-1).sum()
    assert magenta == (0 if value == 0 else 72 * 72)


def test_reading_a_parametrized_weight_changes_nothing(tmp_path):
    def train(folder, callbacks):
        torch.manual_seed(3)
        model = TinyNet()
        nn.utils.parametrizations.spectral_norm(model.conv1)  # steps its power iteration when read in training
        fit(folder, callbacks, model=model)
        return model.state_dict()

    bare = train(tmp_path / "bare", [])
    ours = train(tmp_path / "ours", [KernelGrid(every_n_train_steps=1, on_error="raise")])
    assert all(torch.equal(bare[name], ours[name]) for name in bare)
    assert image_steps(tmp_path / "ours")["kernels/conv1"] == list(range(13))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channel": "red"}, 'a number from 0, "auto", "mean" or "rgb", got \'red\''),
        ({"channel": -1}, "a number from 0"),
        ({"scale": "model"}, '"layer" or "kernel", got \'model\''),
        ({"max_kernels": 0}, "at least 1, got 0"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        KernelGrid(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channel": 2}, "layer conv1: channel=2 does not exist, this layer has 1 input channels"),
        ({"channel": "rgb"}, 'layer conv1: channel="rgb" needs three input channels, this layer has 1'),
        ({"layers": ["conv1", "fc*"]}, "layers='fc\\*' matches fc1, fc2, but no convolution; .* conv1, conv2"),
        ({"layers": "conv3"}, "matches no layer of the model; its layers are: conv1, norm"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_model_fails_before_the_first_step(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, [KernelGrid(**arguments)])


def test_a_model_without_convolutions_gets_a_line_and_trains(tmp_path):
    with pytest.warns(UserWarning, match="the model has no convolution"):
        run = fit(tmp_path, [KernelGrid(on_error="raise")], model=Flat())
    assert run.global_step == 12
    assert image_steps(tmp_path) == {}


# ---- the kernels that the layer applies


def tab_values(folder, tag):
    """Header and values of the tab's last kernels."""
    event = events(folder).Tensors(tag)[-1]
    header, payload = event.tensor_proto.string_val
    header = json.loads(header)
    shape = header["arrays"][0]["shape"]
    return header, np.frombuffer(payload, np.float16, count=int(np.prod(shape))).reshape(shape).astype(float)


def test_pruned_kernels_are_those_after_the_last_step(tmp_path):
    class Pruned(TinyNet):
        def __init__(self):
            super().__init__()
            prune.random_unstructured(self.conv1, "weight", 0.5)

    run = fit(
        tmp_path, [KernelGrid(layers="conv1", on_error="raise")], model=Pruned, max_epochs=1, limit_val_batches=0
    )
    layer = run.lightning_module.conv1
    expected = (layer.weight_orig * layer.weight_mask).detach().numpy()[:, 0]
    header, values = tab_values(tmp_path, "cnnviz/kernels/conv1")
    np.testing.assert_allclose(values, expected, atol=2e-3)
    assert header["note"] == "as the layer applies them: after pruning"


def test_complex_kernels_are_magnitude_and_phase(tmp_path):
    class Fourier(TinyNet):
        def __init__(self):
            super().__init__()
            self.fourier = nn.Conv2d(1, 2, 3, padding=1, dtype=torch.complex64)
            with torch.no_grad():
                self.fourier.weight[0], self.fourier.weight[1] = 1, 1j

        def forward(self, x):
            return super().forward(x + 0 * self.fourier(x.to(torch.complex64)).abs().sum(1, keepdim=True))

    fit(tmp_path, [KernelGrid(layers="fourier", on_error="raise")], model=Fourier, max_epochs=1)
    header, values = tab_values(tmp_path, "cnnviz/kernels/fourier")
    np.testing.assert_allclose(values, 1, atol=1e-3)
    assert "magnitude" in header["note"]
    assert {"kernels/fourier", "kernels/fourier/phase"} == set(image_steps(tmp_path))


def test_a_weight_that_forward_may_transform_is_called_the_stored_one(tmp_path):
    class Standardised(nn.Conv2d):
        def forward(self, x):
            return nn.functional.conv2d(x, self.weight - self.weight.mean(), self.bias, padding=1)

    class Net(TinyNet):
        def __init__(self):
            super().__init__()
            self.conv1 = Standardised(1, 4, 3)

    fit(tmp_path, [KernelGrid(layers="conv1", on_error="raise")], model=Net, max_epochs=1)
    assert "stored weight" in tab_values(tmp_path, "cnnviz/kernels/conv1")[0]["note"]


class OneConvolution(pl.LightningModule):
    """64 channels to 64, of which a picture shows one input channel."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(64, 64, 3)


def test_what_waits_to_be_drawn_is_what_is_drawn():
    module, callback = OneConvolution(), KernelGrid(layers="conv")
    callback.selected = ["conv"]
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    shown = 64 * 3 * 3 * 4
    for tag, draw in callback.drawings(trainer, module):
        if "kernel_channels" in tag:  # one byte for each weight, and the mean
            assert 65 * 64 * 9 <= owned_bytes(draw) <= 2**16
            continue
        assert shown <= owned_bytes(draw) <= 2 * shown  # and not the 64 times as many bytes of the weight
