"""The pictures in the event file show what the layers make of the samples."""

import io

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import Flat, TinyData, TinyNet, events, fit, image_steps, loaders
from matplotlib import colormaps
from PIL import Image
from scipy.signal import correlate2d
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from lightning_cnnviz import FeatureMaps, Probe
from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.functional import feature_maps, record


def pictures(folder, tag):
    return [
        np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB")).astype(int)
        for image in events(folder).Images(tag)
    ]


def test_pictures_show_the_convolution_of_the_samples(tmp_path):
    probe = Probe.from_tensors(TinyData(4).images, TinyData(4).targets)
    run = fit(tmp_path, [FeatureMaps(layers="conv1", num_images=2, probe=probe, on_error="raise")], max_epochs=1)
    kernels = run.lightning_module.conv1.weight.detach().double().numpy()[:, 0]
    biases = run.lightning_module.conv1.bias.detach().double().numpy()
    maps = np.stack(
        [
            [
                correlate2d(image[0].double().numpy(), kernel, mode="same") + bias
                for kernel, bias in zip(kernels, biases, strict=True)
            ]
            for image in probe.samples.inputs[:2]
        ]
    )
    colours = colormaps["RdBu_r"](maps / np.abs(maps).max() / 2 + 0.5)[..., :3] * 255
    picture = pictures(tmp_path, "feature_maps/conv1")[0]
    # Maps are 8×8 of 12 pixels, outlined, beside a column of 120 pixels; find the rows by their outlines.
    left = 8 + 120 + 8
    outlines = np.flatnonzero((picture[:, left] == 120).all(axis=-1))
    tops = [row for row in outlines if row - 1 not in outlines]
    assert len(tops) == 2
    for sample, top in enumerate(tops):
        for channel in range(4):
            x = left + 1 + channel * (96 + 6)
            centres = picture[top + 7 : top + 97 : 12, x + 6 : x + 96 : 12]
            np.testing.assert_allclose(centres, colours[sample, channel], atol=4)


def test_maps_that_wait_as_averages_are_described_as_they_were(tmp_path):
    class Spiky(TinyNet):
        def __init__(self):
            super().__init__()
            self.wide = nn.Upsample(scale_factor=32)
            self.conv3 = nn.Conv2d(1, 2, 1)

        def forward(self, x):
            large = self.wide(x).clone()
            large[..., 5, 5] = 9  # a pixel that an average levels
            self.conv3(large)
            return super().forward(x)

    probe = Probe.from_tensors(TinyData(4).images, TinyData(4).targets)
    callback = FeatureMaps(layers="conv3", num_images=2, probe=probe, on_error="raise")
    run = fit(tmp_path, [callback], model=Spiky, max_epochs=1)
    inputs, net = probe.samples.inputs[:2], run.lightning_module.eval()
    captions = [[f"true: {TinyData.classes[index]}", "pred: ?"] for index in range(2)]
    words = {"title": "conv3 · epoch 1 · step 6", "note": probe.samples.colours.note}
    whole = record(net, inputs, "conv3").layers["conv3"]
    drawn, (picture,) = feature_maps(whole, inputs, captions, **words), pictures(tmp_path, "feature_maps/conv3")
    heading = slice(0, 110)  # with size and scale
    assert whole.shape[2:] == (256, 256)
    np.testing.assert_array_equal(picture[heading], drawn[heading])
    levelled = feature_maps(nn.functional.avg_pool2d(whole, 4), inputs, captions, **words)
    assert (levelled[heading, :300] != drawn[heading, :300]).any()


def test_by_default_every_convolution_and_the_overview_are_drawn(tmp_path):
    fit(tmp_path, [FeatureMaps()])
    assert image_steps(tmp_path) == {
        "feature_maps/conv1": [6, 12],
        "feature_maps/conv2": [6, 12],
        "feature_maps/overview": [6, 12],
    }


def test_captions_give_true_and_predicted_class(tmp_path):
    seen = []

    class Listening(FeatureMaps):
        def drawings(self, trainer, module):
            for tag, draw in super().drawings(trainer, module):
                if tag.startswith("feature_maps/"):
                    seen.append(draw.keywords["captions"])
                yield tag, draw

    probe = Probe(4, class_names=["L", "R", "T", "B"])
    run = fit(tmp_path, [Listening(layers="pool", probe=probe, on_error="raise")], max_epochs=1)
    with torch.no_grad():
        predicted = run.lightning_module.eval()(probe.samples.inputs).argmax(1)
    names = ["L", "R", "T", "B"]
    assert seen[0] == [
        [f"true: {names[true]}", f"pred: {names[guess]}"]
        for true, guess in zip(probe.samples.targets, predicted, strict=True)
    ]


def test_the_samples_stay_the_same_and_balanced(tmp_path):
    callback = FeatureMaps(num_images=4)
    fit(tmp_path, [callback])
    assert sorted(callback.probe.samples.targets.tolist()) == [0, 1, 2, 3]
    again = FeatureMaps(num_images=4)
    fit(tmp_path / "again", [again])
    assert torch.equal(callback.probe.samples.inputs, again.probe.samples.inputs)


@pytest.mark.parametrize("layer", ["pool", "act", "fc2", "fc1.input", "norm"])
def test_layers_of_any_kind(layer, tmp_path):
    fit(tmp_path, [FeatureMaps(layers=layer, on_error="raise")], max_epochs=1)
    assert set(image_steps(tmp_path)) == {f"feature_maps/{layer}", "feature_maps/overview"}


class Stream(IterableDataset):
    def __iter__(self):
        yield from (TinyData(48)[index] for index in range(48))


def test_a_stream_gives_the_first_training_batches(tmp_path):
    callback = FeatureMaps(on_error="raise", num_images=4)
    fit(tmp_path, [callback], data=(DataLoader(Stream(), 8), None))
    assert image_steps(tmp_path)["feature_maps/overview"] == [6, 12]
    first = TinyData(48).images[:4]
    assert torch.equal(callback.probe.samples.inputs, first)


def test_more_samples_than_data_are_no_problem(tmp_path, told):
    callback = FeatureMaps(num_images=100, on_error="raise")
    fit(tmp_path, [callback], max_epochs=1)
    assert len(callback.probe.samples.inputs) == 40
    assert "using 40 samples instead of 100" in told()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_broken_and_constant_maps_are_drawn(value, tmp_path):
    class Break(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            with torch.no_grad():
                pl_module.conv1.weight.fill_(value)
                pl_module.conv1.bias.zero_()

    fit(tmp_path, [Break(), FeatureMaps(layers="conv1", on_error="raise")], max_epochs=1)
    picture = pictures(tmp_path, "feature_maps/conv1")[0]
    magenta = (picture == (255, 0, 255)).all(axis=-1).any()
    assert magenta == (value != 0)


class Texts(DataLoader):
    """Batches without anything that could be an image."""

    def __init__(self):
        super().__init__([{"text": "a", "label": 0}, {"text": "b", "label": 1}], batch_size=2)


class Reader(TinyNet):
    def training_step(self, batch, batch_idx):
        return super().forward(torch.rand(2, 1, 8, 8)).sum()


def test_a_batch_without_images_gets_one_line_and_the_run_goes_on(tmp_path):
    with pytest.warns(UserWarning, match="uint8 tensor .* got dict with label .* Probe\\(inputs=") as caught:
        run = fit(tmp_path, [FeatureMaps()], model=Reader(), data=(Texts(), None))
    assert len([warning for warning in caught if "FeatureMaps" in str(warning.message)]) == 1
    assert run.global_step == 2
    assert image_steps(tmp_path) == {}


class Idle(TinyNet):
    """With a convolution that does not run in evaluation, as a head for the training only."""

    def __init__(self):
        super().__init__()
        self.idle = nn.Conv2d(1, 1, 1)


def test_a_layer_that_does_not_run_leaves_the_others_their_pictures(tmp_path, told):
    fit(tmp_path, [FeatureMaps(on_error="raise")], model=Idle())
    assert told().count("FeatureMaps: idle did not run") == 1
    assert set(image_steps(tmp_path)) == {"feature_maps/conv1", "feature_maps/conv2", "feature_maps/overview"}


def test_a_layer_that_was_asked_for_and_does_not_run_gives_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="FeatureMaps failed to draw; .* idle did not run"):
        fit(tmp_path, [FeatureMaps(layers=["conv1", "idle"])], model=Idle())
    assert set(image_steps(tmp_path)) == {"feature_maps/conv1", "feature_maps/overview"}


def test_inputs_of_a_dict_can_be_named(tmp_path):
    class Dicts(TinyData):
        def __getitem__(self, index):
            image, target = super().__getitem__(index)
            return {"mask": torch.zeros(2, 2), "scan": image, "kind": target}

    class Net(TinyNet):
        def training_step(self, batch, batch_idx):
            return super().training_step((batch["scan"], batch["kind"]), batch_idx)

        def validation_step(self, batch, batch_idx):
            return super().validation_step((batch["scan"], batch["kind"]), batch_idx)

    data = DataLoader(Dicts(), 8), DataLoader(Dicts(), 8)
    callback = FeatureMaps(probe=Probe(4, inputs="scan", targets="kind"), on_error="raise")
    fit(tmp_path, [callback], model=Net(), data=data, max_epochs=1)
    assert callback.probe.samples.inputs.shape == (4, 1, 8, 8)
    assert image_steps(tmp_path)["feature_maps/overview"] == [6]


def test_a_model_without_convolutions_gets_a_line(tmp_path):
    with pytest.warns(UserWarning, match="no convolution; choose what to show with layers="):
        fit(tmp_path, [FeatureMaps(on_error="raise")], model=Flat())
    assert image_steps(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_names": ["a", "b"]}, "expected a name for each of .* 4 classes, got 2"),
        ({"inputs": "scan"}, "expected the batch to have 'scan', got list"),
        ({"targets": 0}, "expected 0 in the batch to be class indices"),
    ],
    ids=str,
)
def test_a_probe_that_does_not_fit_the_data_fails_before_the_first_step(arguments, message, tmp_path):
    model = TinyNet()
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, [FeatureMaps(probe=Probe(4, **arguments))], model=model, data=loaders())
    assert model.trainer.global_step == 0


@pytest.mark.parametrize("arguments", [{"num_images": 0}, {"max_channels": 0}], ids=str)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=r"expected (num_images|max_channels) to be at least 1, got 0"):
        FeatureMaps(**arguments)


@pytest.mark.parametrize("names", [["a", "b", "c", "d", "e"], ["a"] * 7])
def test_names_that_are_not_the_models_classes_are_refused_with_both_counts(names, tmp_path):
    probe = Probe(4, class_names=names)
    with pytest.raises(ConfigurationError, match=rf"each of the model's 4 classes, got {len(names)} class_names"):
        fit(tmp_path, [FeatureMaps(probe=probe)])


def test_time_steps_are_not_passed_off_as_samples(tmp_path):
    class Unrolled(TinyNet):
        def __init__(self):
            super().__init__()
            self.unrolled = nn.Identity()

        def forward(self, x):
            return super().forward(self.unrolled(x.expand(4, *x.shape)).mean(0))

    with pytest.warns(UserWarning, match="FeatureMaps failed to draw; .*unrolled"):
        fit(tmp_path, [FeatureMaps(layers="unrolled", num_images=4)], model=Unrolled, max_epochs=1)
    assert "feature_maps/unrolled" not in image_steps(tmp_path)
