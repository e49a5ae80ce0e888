"""The pictures in the event file show what the model, as it is, looks at; what cannot be shown gets one line."""

import io
import warnings

import numpy as np
import pytest
import torch
from helpers import networks
from helpers.tiny import Flat, TinyData, TinyNet, events, fit, image_steps
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from lightning_cnnviz import Probe, Saliency
from lightning_cnnviz.functional import Attribution, attribute, saliency_sheet
from lightning_cnnviz.functional.saliency.explained import Explained

ALL = ["grad_cam", "integrated_gradients", "occlusion"]


class Listening(Saliency):
    """Keeps what it draws."""

    def __init__(self, **options):
        super().__init__(on_error="raise", **options)
        self.drawn = []

    def drawings(self, trainer, module):
        for tag, draw in super().drawings(trainer, module):
            if tag.startswith(self.tag):
                self.drawn.append((tag, draw.args, draw.keywords))
            yield tag, draw


def warned(folder, callback, **options):
    """Warnings of this package in a run, which goes on to its end."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit(folder, [callback], **options)
    assert run.state.finished
    return [str(one.message) for one in caught if "Saliency" in str(one.message)]


def test_maps_are_those_of_the_trained_model_for_the_true_and_the_predicted_class(tmp_path):
    data = TinyData(8, seed=3)
    wrong = (data.targets + (torch.arange(8) < 3)) % 4  # three labels that the model does not find
    callback = Listening(methods=ALL, probe=Probe.from_tensors(data.images, wrong, class_names=TinyData.classes))
    net = fit(tmp_path, [callback], max_epochs=3).lightning_module.eval()
    with torch.no_grad():
        predicted = net(data.images).argmax(1)
    assert torch.equal(predicted, data.targets)
    drawn = callback.drawn[-3:]
    assert [tag for tag, *_ in drawn] == [
        *("saliency/grad_cam/conv2", "saliency/integrated_gradients", "saliency/occlusion")
    ]
    images = callback.probe.samples.inputs
    order = {tuple(image.flatten().tolist()): place for place, image in enumerate(data.images)}
    places = [order[tuple(image.flatten().tolist())] for image in images]
    true, pred = wrong[places], predicted[places]
    samples = [place for place in range(8) for _ in range(1 + int(true[place] != pred[place]))]
    classes = [
        number for t, p in zip(true.tolist(), pred.tolist(), strict=True) for number in ([t] if t == p else [t, p])
    ]
    assert len(samples) == 11
    # The baseline of the second and third is the mean of the samples that are shown, once each.
    baseline = float(images.mean())
    for method, (_, _, words) in zip(ALL, drawn, strict=True):
        attribution = Attribution(method, baseline=baseline)
        expected = attribute(net, images[samples], classes, attribution, layer="conv2")
        assert words["samples"] == samples
        torch.testing.assert_close(words["maps"], expected, rtol=1e-4, atol=1e-5)
        assert words["signed"] == (method != "grad_cam")
    names = TinyData.classes
    labels = [
        text
        for t, p in zip(true.tolist(), pred.tolist(), strict=True)
        for text in ([names[t]] if t == p else [f"true: {names[t]}", f"pred: {names[p]}"])
    ]
    assert drawn[0][2]["labels"] == labels


def test_the_picture_is_the_sheet_of_what_was_computed(tmp_path):
    callback = Listening(num_images=3)
    fit(tmp_path, [callback], max_epochs=1)
    ((tag, images, words),) = callback.drawn
    picture = Image.open(io.BytesIO(events(tmp_path).Images(tag)[-1].encoded_image_string)).convert("RGB")
    assert np.array_equal(np.asarray(picture), saliency_sheet(*images, **words))
    assert words["title"] == "grad_cam/conv2 · epoch 1 · step 6 · validation samples"
    assert words["note"].startswith("Grad-CAM at conv2")
    assert len(words["captions"]) == 3


def test_by_default_grad_cam_of_the_last_convolution_is_drawn_every_epoch(tmp_path):
    fit(tmp_path, [Saliency(on_error="raise")])
    assert image_steps(tmp_path) == {"saliency/grad_cam/conv2": [6, 12]}


def test_layers_can_be_chosen_and_given_samples_are_explained_before_the_first_step(tmp_path):
    probe = Probe.from_tensors(TinyData(4).images, TinyData(4).targets)
    callback = Saliency(layers=["conv*", "relu"], tag="why", every_n_epochs=1, probe=probe, on_error="raise")
    fit(tmp_path, [callback])
    assert image_steps(tmp_path) == {f"why/grad_cam/{name}": [0, 6, 12] for name in ("conv1", "relu", "conv2")}


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-true", "bf16-mixed"])
def test_every_precision(precision, tmp_path):
    callback = Listening(methods=ALL)
    fit(tmp_path, [callback], precision=precision, max_epochs=1)
    assert len(callback.drawn) == 3
    assert all(words["maps"].isfinite().all() and words["maps"].any() for _, _, words in callback.drawn)


def test_grad_cam_takes_two_passes_of_the_samples_and_looks_for_its_layer_once(tmp_path, monkeypatch):
    passes, forward = [], Explained.forward

    def counted(self, inputs):
        passes.append(len(inputs))
        return forward(self, inputs)

    monkeypatch.setattr(Explained, "forward", counted)
    callback = Listening(num_images=16)
    fit(tmp_path, [callback])
    first, second = (len(words["samples"]) for _, _, words in callback.drawn)
    assert 16 <= second <= first <= 32
    assert passes == [16, 2, first, 16, second]


# ---- what cannot be shown


def test_a_layer_without_places_gets_one_line_and_the_others_their_pictures(tmp_path):
    said = warned(tmp_path, Saliency(layers=["fc1", "conv1"], methods=ALL))
    assert len(said) == 1
    assert "fc1 has no places to look at: expected maps (samples, channels, *size) or patch tokens" in said[0]
    assert set(image_steps(tmp_path)) == {
        *("saliency/grad_cam/conv1", "saliency/integrated_gradients", "saliency/occlusion")
    }


def test_a_model_without_convolutions_gets_one_line_and_the_other_methods_their_pictures(tmp_path):
    said = warned(tmp_path, Saliency(methods=ALL), model=Flat)
    assert len(said) == 1
    assert "Grad-CAM needs a convolution on which a class score depends, got none; name a layer" in said[0]
    assert image_steps(tmp_path) == {"saliency/integrated_gradients": [6, 12], "saliency/occlusion": [6, 12]}


def test_a_vision_transformer_is_explained_over_its_tokens(tmp_path):
    data = DataLoader(networks.ViT.data(), 8)
    callback = Listening()
    fit(tmp_path, [callback], model=networks.ViT(), data=(data, data), max_epochs=1)
    ((tag, _, words),) = callback.drawn
    assert tag == "saliency/grad_cam/encoder.layers.1.norm2"  # whose mean over all tokens is classified
    assert words["maps"].shape[1:] == (2, 2)


@pytest.mark.parametrize("kind", [networks.Compiled, networks.CompiledInPlace, networks.Volume, networks.Audio])
def test_compiled_models_signals_and_volumes(kind, tmp_path):
    data = DataLoader(kind.data(), 8, collate_fn=kind.collate)
    callback = Listening(methods=ALL)
    fit(tmp_path, [callback], model=kind(), data=(data, data), max_epochs=1)
    assert len(callback.drawn) == 3


class Frozen(TinyNet):
    """Of whose weights only the last layer's are trained."""

    def __init__(self):
        super().__init__()
        for name, weight in self.named_parameters():
            weight.requires_grad_(name.startswith("fc2"))


def test_frozen_layers_are_explained(tmp_path):
    callback = Listening(methods=ALL)
    fit(tmp_path, [callback], model=Frozen(), max_epochs=1)
    assert all(words["maps"].any() for _, _, words in callback.drawn)
    assert len(callback.drawn) == 3


def test_without_labels_the_predicted_class_is_explained(tmp_path):
    callback = Listening(probe=Probe.from_tensors(TinyData(4).images))
    fit(tmp_path, [callback], max_epochs=1)
    ((_, _, words),) = callback.drawn
    assert len(words["labels"]) == 4
    assert all(label.startswith("pred: ") for label in words["labels"])


@pytest.mark.parametrize("kind", [networks.Autoencoder, networks.UNet])
def test_without_classes_one_line_says_so(kind, tmp_path):
    data = DataLoader(kind.data(), 8, collate_fn=kind.collate)
    said = warned(tmp_path, Saliency(), model=kind(), data=(data, data))
    assert len(said) == 1
    assert "expected class scores" in said[0] or "neither true nor predicted classes are known" in said[0]
    assert image_steps(tmp_path) == {}


def test_a_model_that_is_not_called_with_one_input_gets_one_line(tmp_path):
    data = DataLoader(networks.TwoInputs.data(), 8)
    said = warned(tmp_path, Saliency(), model=networks.TwoInputs(), data=(data, data))
    assert len(said) == 1
    assert "expected a forward() with one required input" in said[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": "lime"}, 'expected methods to be "grad_cam", "integrated_gradients", "occlusion" or a list'),
        ({"methods": []}, "expected methods to be"),
        ({"methods": ["occlusion", "occlusion"]}, "expected methods to be"),
        ({"num_images": 0}, "expected num_images to be at least 1, got 0"),
        ({"steps": 0}, "expected steps to be at least 1, got 0"),
        ({"window": 0}, "expected window to be at least 1, got 0"),
        ({"baseline": "black"}, 'expected baseline to be "mean" or a number'),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Saliency(**arguments)


def test_without_captum_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("lightning_cnnviz.functional.saliency.attribution.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "lightning-cnnviz\[saliency\]"'):
        Saliency()


def test_two_of_a_kind_are_told_apart_in_a_checkpoint():
    assert Saliency().state_key != Saliency(methods="occlusion").state_key


def test_nothing_of_the_network_is_kept_between_pictures(tmp_path):
    callback = Saliency(methods=ALL)
    fit(tmp_path, [callback], max_epochs=1)
    kept = [value for value in vars(callback).values() if isinstance(value, (nn.Module, torch.Tensor))]
    assert kept == []
