"""The pictures in the event file show what each kernel makes of the probe's image."""

import io

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import Flat, TinyData, TinyNet, events, fit, image_steps
from PIL import Image
from scipy.signal import correlate2d
from torch import nn

from lightning_cnnviz import FilterResponse, KernelGrid, Probe
from lightning_cnnviz.functional.filter_response_grid import filter_response

IMAGE = TinyData(40, seed=1).images[5]


def pictures(folder, layer):
    return {
        image.step: np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
        for image in events(folder).Images(f"filter_response/{layer}")
    }


class ByHand(pl.Callback):
    """The weights, and what the second convolution receives from that image, at every epoch's end."""

    def __init__(self):
        self.of_step = {}

    def on_train_epoch_end(self, trainer, pl_module):
        with torch.no_grad():
            pl_module.eval()
            received = pl_module.relu(pl_module.norm(pl_module.conv1(IMAGE[None])))[0]
            pl_module.train()
        weights = [layer.weight.detach().clone().double().numpy() for layer in (pl_module.conv1, pl_module.conv2)]
        self.of_step[trainer.global_step] = *weights, received


def assert_same(picture, kernels, responses, images, **words):
    """Equal but for the last bit of float32, which may move a colour by one step of the palette."""
    expected = filter_response(kernels, responses, images, **words).astype(int)
    assert picture.shape == expected.shape
    assert np.abs(picture - expected).max() <= 12


@pytest.mark.parametrize("channel", [0, 2])
def test_a_layers_own_input_is_filtered_with_the_weights_of_the_step(channel, tmp_path):
    by_hand = ByHand()
    callback = FilterResponse(layers="conv2", channel=channel, probe=Probe(indices=[5]), on_error="raise")
    fit(tmp_path, [callback, by_hand])
    found = pictures(tmp_path, "conv2")
    assert sorted(found) == sorted(by_hand.of_step) == [6, 12]
    for epoch, (step, (_, weight, received)) in enumerate(by_hand.of_step.items(), start=1):
        kernels = weight[:, channel]
        responses = np.stack([correlate2d(received[channel], kernel, mode="valid") for kernel in kernels])
        images = {"true: right": IMAGE, "filtered input": received[channel][None]}
        title, note = f"conv2 · epoch {epoch} · step {step} · validation samples", f"input channel {channel} of 4"
        assert_same(found[step], kernels, responses, images, title=title, note=note)


def test_by_default_every_convolution_is_drawn_and_the_image_is_what_the_first_receives(tmp_path):
    by_hand = ByHand()
    fit(tmp_path, [FilterResponse(probe=Probe(indices=[5]), on_error="raise"), by_hand], max_epochs=1)
    assert image_steps(tmp_path) == {"filter_response/conv1": [6], "filter_response/conv2": [6]}
    kernels = by_hand.of_step[6][0][:, 0]
    responses = np.stack([correlate2d(IMAGE[0], kernel, mode="same") for kernel in kernels])
    words = {"title": "conv1 · epoch 1 · step 6 · validation samples", "note": "input channel 0 of 1"}
    assert_same(pictures(tmp_path, "conv1")[6], kernels, responses, {"true: right": IMAGE}, **words)


def test_the_image_itself_is_filtered_where_asked_for(tmp_path):
    by_hand = ByHand()
    callback = FilterResponse(source="image", max_kernels=5, probe=Probe(indices=[5]), on_error="raise")
    fit(tmp_path, [callback, by_hand], max_epochs=1)
    kernels = by_hand.of_step[6][1][:, 0]
    responses = np.stack([correlate2d(IMAGE[0], kernel, mode="valid") for kernel in kernels])
    note = "the image filtered with input channel 0 of 4"
    words = {"title": "conv2 · epoch 1 · step 6 · validation samples", "note": note}
    found = pictures(tmp_path, "conv2")[6]
    assert_same(found, kernels, responses[:5], {"true: right": IMAGE}, max_kernels=5, **words)


class Zoo(TinyNet):
    """Convolutions of every kind before the classifier."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(8, 8, 5, padding=2)
        self.three = nn.Conv3d(1, 1, 3, padding=1)
        self.grouped = nn.Conv2d(2, 4, 3, padding=1, groups=2)
        self.back = nn.ConvTranspose2d(4, 1, 3, padding=1)

    def forward(self, x):
        x = self.three(self.one(x[:, 0])[:, None, None])[:, :, 0]
        return super().forward(self.back(self.grouped(x.repeat(1, 2, 1, 1))))


def test_every_kind_of_plain_convolution_is_drawn(tmp_path):
    fit(tmp_path, [FilterResponse(on_error="raise")], model=Zoo(), max_epochs=1)
    drawn = {tag.removeprefix("filter_response/") for tag in image_steps(tmp_path)}
    assert drawn == {"conv1", "conv2", "one", "three", "grouped"}


def test_an_image_goes_through_those_of_its_dimensions(tmp_path):
    fit(tmp_path, [FilterResponse(source="image", on_error="raise")], model=Zoo(), max_epochs=1)
    assert set(image_steps(tmp_path)) == {f"filter_response/{name}" for name in ("conv1", "conv2", "grouped")}
    model = Zoo()
    with pytest.raises(ValueError, match="convolutions of 2 dimensions, as the samples have, got one; select others"):
        fit(tmp_path / "named", [FilterResponse(source="image", layers=["conv1", "one"])], model=model)
    assert model.trainer.global_step == 0


class Idle(TinyNet):
    """With a convolution that does not run, and is larger than the images."""

    def __init__(self):
        super().__init__()
        self.idle = nn.Conv2d(1, 1, 20)


def test_what_can_not_be_filtered_with_leaves_the_others_their_pictures(tmp_path):
    with pytest.warns(UserWarning, match=r"FilterResponse failed to draw; .*greater than actual input"):
        fit(tmp_path, [FilterResponse(source="image")], model=Idle(), max_epochs=1)
    assert set(image_steps(tmp_path)) == {"filter_response/conv1", "filter_response/conv2"}


def test_what_does_not_run_is_passed_over_with_a_line(tmp_path, told):
    fit(tmp_path, [FilterResponse(on_error="raise")], model=Idle(), max_epochs=1)
    assert "FilterResponse: idle.input did not run" in told()
    assert set(image_steps(tmp_path)) == {"filter_response/conv1", "filter_response/conv2"}


def test_a_parametrized_weight_is_as_it_was(tmp_path):
    def train(folder, callbacks):
        torch.manual_seed(3)
        model = TinyNet()
        nn.utils.parametrizations.spectral_norm(model.conv1)  # steps its power iteration when read in training
        fit(folder, callbacks, model=model)
        return model.state_dict()

    bare = train(tmp_path / "bare", [])
    ours = train(tmp_path / "ours", [FilterResponse(every_n_train_steps=1, on_error="raise")])
    assert all(torch.equal(bare[name], ours[name]) for name in bare)


def test_a_model_without_convolutions_gets_a_line(tmp_path):
    with pytest.warns(UserWarning, match="FilterResponse: the model has no convolution"):
        fit(tmp_path, [FilterResponse(on_error="raise")], model=Flat(), max_epochs=1)
    assert image_steps(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channel": -1}, "channel to be at least 0, got -1"),
        ({"channel": "rgb"}, "channel to be a whole number, got 'rgb'"),
        ({"source": "input"}, '"layer" or "image", got \'input\''),
        ({"max_kernels": 0}, "max_kernels to be at least 1, got 0"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        FilterResponse(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channel": 1}, "layer conv1: channel=1 does not exist, this layer has 1 input channels"),
        ({"layers": "fc1"}, "layers='fc1' matches fc1, but no convolution that is not transposed; .* conv1, conv2"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_model_fails_before_the_first_step(arguments, message, tmp_path):
    with pytest.raises((TypeError, ValueError), match=message):
        fit(tmp_path, [FilterResponse(**arguments)])


def test_a_lazy_convolution_is_drawn_once_it_has_its_size(tmp_path):
    class Lazy(TinyNet):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.LazyConv2d(4, 3, padding=1)

    callbacks = [FilterResponse(on_error="raise"), KernelGrid(channel=0, on_error="raise")]
    fit(tmp_path, callbacks, model=Lazy, max_epochs=1)
    assert {"filter_response/conv1", "kernels/conv1"} <= set(image_steps(tmp_path))
