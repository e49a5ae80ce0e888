"""What is drawn is what sorting all activations of the whole validation at once gives."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torchvision
from helpers.tiny import Flat, TinyNet, events, fit, image_steps, loaders
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lightning_cnnviz import MaximallyActivatingPatches
from lightning_cnnviz.callbacks import maximally_activating_patches as module
from lightning_cnnviz.model.layers import convolutions
from recipes.lenet5 import LeNet5


class Dilated(TinyNet):
    """With dilation, padding, a branch, and activations of which many are equal."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=2, dilation=2)
        self.conv2 = nn.Conv2d(4, 8, 3, padding=3, dilation=3, stride=2)
        self.relu2 = nn.ReLU()
        self.fc1 = nn.Linear(128, 16)
        del self.pool

    def forward(self, x):
        x = self.relu(self.norm(self.conv1(x)) + x)
        x = self.relu2(self.conv2(x)).flatten(1)
        return self.fc2(self.drop(self.act(self.fc1(x))))


class ResNet18(TinyNet):
    def __init__(self):
        super().__init__()
        for name in ("conv1", "norm", "relu", "conv2", "pool", "fc1", "act", "drop", "fc2"):
            delattr(self, name)
        self.net = torchvision.models.resnet18(num_classes=4)

    def forward(self, x):
        return self.net(x)


class Listening(pl.Callback):
    """Keeps all that layers return in validation, and the inputs and classes."""

    def __init__(self, layers):
        self.layers = layers

    def on_validation_start(self, trainer, pl_module):
        self.maps, self.batches = {name: [] for name in self.layers}, []
        self.handles = [
            pl_module.get_submodule(name).register_forward_hook(
                lambda _, __, result, name=name: self.maps[name].append(result.clone())
            )
            for name in self.layers
        ]

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, *_):
        self.batches.append(batch)

    def on_validation_end(self, *_):
        for handle in self.handles:
            handle.remove()


def by_brute_force(maps, channel, most, sign):
    """Value, sample, row and column of the best units, each of another sample: a plain sort of every place."""
    found = []
    for sample, one in enumerate(maps[:, channel].double()):
        places = [(-sign * float(value), row, column) for (row, column), value in np.ndenumerate(one.numpy())]
        score, row, column = min(places)
        found.append((score, sample, row, column))
    return [(-sign * score, sample, row, column) for score, sample, row, column in sorted(found)[:most]]


def images(size, channels, count=22):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(count, channels, size, size, generator=generator)
    x[count // 2 :] = x[: count - count // 2]  # so that the first of equal ones has to be told from the second
    return TensorDataset(x, torch.randint(4, (count,), generator=generator))


CASES = {
    "LeNet-5": (LeNet5, (28, 1), ["relu1", "pool2"]),
    "ResNet-18": (ResNet18, (48, 3), ["net.relu", "net.layer4"]),
    "dilation": (Dilated, (8, 1), ["relu2", "relu"]),
}


@pytest.mark.parametrize("case", CASES)
def test_patches_are_those_of_brute_force(case, tmp_path, monkeypatch):
    drawn = {}

    def sheet(patches, names, **words):
        drawn[words["title"].split(" · ")[0]] = patches
        return np.zeros((1, 1, 3), dtype=np.uint8)

    monkeypatch.setattr(module, "patch_sheet", sheet)
    monkeypatch.setattr(module, "MAX_VALUES", 2**26)  # so that no patch has to be averaged
    make, (size, channels), others = CASES[case]
    pl.seed_everything(0)
    model = make()
    names = {name for name, _ in model.named_modules()}
    layers = [*convolutions(model), *(name for name in others if name in names)]
    listening = Listening(layers)
    callback = MaximallyActivatingPatches(layers=layers, max_channels=5, num_patches=3, on_error="raise")
    data = images(size, channels)
    loader = DataLoader(data, 5)
    fit(tmp_path, [listening, callback], model=model, data=(loader, loader), max_epochs=1)
    inputs, classes = data.tensors
    assert set(drawn) == set(layers)
    for name in layers:
        maps, patches = torch.cat(listening.maps[name]), drawn[name]
        for channel in range(min(5, maps.shape[1])):
            found = [by_brute_force(maps, channel, 3, sign) for sign in (1, -1)]
            for place, (value, sample, row, column) in enumerate([*found[0], *found[1]]):
                at = channel, place
                assert patches.values[at] == np.float32(value)
                assert patches.samples[at] == sample
                assert patches.places[at].tolist() == [row, column]
                assert patches.classes[at] == classes[sample]
                top, left, bottom, right = patches.boxes[at].tolist()
                assert 0 <= top < bottom <= size
                assert 0 <= left < right <= size
                seen, image = patches.seen[at], patches.images[at]
                if max(patches.size) <= 64:
                    assert seen.sum() == (bottom - top) * (right - left)
                    inside = image[:, seen].reshape(channels, bottom - top, right - left)
                    expected = (255 * inputs[sample, :, top:bottom, left:right]).round().numpy().astype(np.uint8)
                    np.testing.assert_array_equal(inside, expected)
                heat = patches.maps[at]
                assert np.float32(value) in heat


def test_heat_maps_are_centred_on_the_unit(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        module, "patch_sheet", lambda found, *_, **__: drawn.append(found) or np.zeros((1, 1, 3), dtype=np.uint8)
    )
    fit(tmp_path, [MaximallyActivatingPatches(layers="conv1", on_error="raise")], max_epochs=1)
    patches = drawn[0]
    assert patches.size == (3, 3)
    assert patches.maps.shape[2:] == (3, 3)
    np.testing.assert_array_equal(patches.maps[:, :, 1, 1], patches.values)
    assert (np.isfinite(patches.maps) == patches.seen).all()  # the map is as large as the image


def test_there_is_a_picture_of_every_convolution_at_each_validation(tmp_path):
    fit(tmp_path, [MaximallyActivatingPatches(on_error="raise")])
    steps = image_steps(tmp_path)
    assert {tag for tag in steps if tag.startswith("activating")} == {
        "activating_patches/conv1",
        "activating_patches/conv2",
    }
    assert steps["activating_patches/conv2"] == [6, 12]


def test_layers_without_maps_are_named_and_the_rest_is_drawn(tmp_path, caplog):
    caplog.set_level("INFO")
    fit(tmp_path, [MaximallyActivatingPatches(layers=["conv2", "fc1"], on_error="raise")])
    assert image_steps(tmp_path)["activating_patches/conv2"] == [6, 12]
    assert caplog.text.count("fc1 gave no maps (samples, channels, height, width) of the batch's images; skipped") == 1


class Tokens(TinyNet):
    """A vision transformer in small: patches become tokens."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Conv2d(1, 8, 2, stride=2), nn.LayerNorm(8)
        self.attention, self.fc2 = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 4)
        del self.conv1, self.conv2, self.pool, self.fc1, self.act, self.drop, self.relu

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        known = self.norm(x)
        return self.fc2((x + self.attention(known, known, known)[0]).mean(dim=1))


def test_tokens_have_no_maps_but_what_makes_them_has(tmp_path, caplog):
    caplog.set_level("INFO")
    fit(tmp_path, [MaximallyActivatingPatches(layers=["embed", "norm"], on_error="raise")], model=Tokens)
    assert {tag for tag in image_steps(tmp_path) if "patches" in tag} == {"activating_patches/embed"}
    assert "MaximallyActivatingPatches: norm gave no maps" in caplog.text


def test_of_a_compiled_model_nothing_is_drawn_in_one_line(tmp_path, caplog):
    caplog.set_level("INFO")
    model = TinyNet()
    model.compile(backend="eager")
    fit(tmp_path, [MaximallyActivatingPatches(on_error="raise")], model=model)
    assert not [tag for tag in image_steps(tmp_path) if "patches" in tag]
    assert caplog.text.count("all convolutions run in compiled code") == 1


def test_a_model_without_convolutions_gets_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="MaximallyActivatingPatches: the model has no convolution; choose"):
        fit(tmp_path, [MaximallyActivatingPatches(on_error="raise")], model=Flat)


def test_signals_have_no_patches_in_one_line(tmp_path, caplog):
    class Signals(TinyNet):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv1d(8, 4, 3), nn.Conv1d(4, 4, 3)
            self.fc2 = nn.Linear(16, 4)
            del self.norm, self.pool, self.fc1

        def forward(self, x):
            return self.fc2(self.act(self.conv2(self.conv1(x[:, 0]))).flatten(1))

    caplog.set_level("INFO")
    fit(tmp_path, [MaximallyActivatingPatches(on_error="raise")], model=Signals)
    assert not [tag for tag in image_steps(tmp_path) if "patches" in tag]
    assert caplog.text.count("all convolutions are of signals or volumes; patches of images alone are drawn") == 1


class Unlabelled(TinyNet):
    def training_step(self, batch, batch_idx):
        return self(batch).square().mean()

    def validation_step(self, batch, batch_idx):
        self(batch)


def only_images(count=16, sizes=(8,)):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(count, 1, size, size, generator=generator) for size in sizes]


def test_without_labels_the_patches_are_drawn_without_classes(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        module, "patch_sheet", lambda found, *_, **__: drawn.append(found) or np.zeros((1, 1, 3), dtype=np.uint8)
    )
    data = DataLoader(only_images(), None)
    fit(tmp_path, [MaximallyActivatingPatches(on_error="raise")], model=Unlabelled, data=(data, data), max_epochs=1)
    assert len(drawn) == 2
    assert (drawn[0].classes == -1).all()
    assert np.isfinite(drawn[0].values).all()


class AnySize(Unlabelled):
    def forward(self, x):
        return self.conv2(self.relu(self.norm(self.conv1(x)))).mean(dim=(2, 3))


def test_samples_of_another_size_are_counted(tmp_path, monkeypatch):
    notes = []
    monkeypatch.setattr(
        module, "patch_sheet", lambda *_, note, **__: notes.append(note) or np.zeros((1, 1, 3), dtype=np.uint8)
    )
    data = DataLoader(only_images(4, sizes=(8, 10, 8)), None)
    fit(tmp_path, [MaximallyActivatingPatches(on_error="raise")], model=AnySize, data=(data, data), max_epochs=1)
    assert notes[0] == "8 validation samples, 4 of another size left out"


class WithMask(TinyNet):
    """Which cannot be called with the inputs alone."""

    def forward(self, x, mask):
        return super().forward(x * mask)

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(batch[0], torch.ones(8, 8)), batch[1])

    def validation_step(self, batch, batch_idx):
        self(batch[0], torch.ones(8, 8))


def test_where_the_field_is_unknown_whole_samples_are_shown(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    drawn = []
    monkeypatch.setattr(
        module, "patch_sheet", lambda found, *_, **__: drawn.append(found) or np.zeros((1, 1, 3), dtype=np.uint8)
    )
    fit(tmp_path, [MaximallyActivatingPatches(on_error="raise")], model=WithMask)
    assert caplog.text.count("whole samples are shown, since what a unit sees is not known") == 1
    assert (drawn[0].size, drawn[0].source, drawn[0].whole) == ((8, 8), "unknown", True)


def test_the_last_run_of_a_layer_counts(tmp_path, monkeypatch):
    class Twice(TinyNet):
        def forward(self, x):
            self.conv1(2 * x + 5)
            return super().forward(x)

    drawn = {}
    for model in (TinyNet, Twice):
        monkeypatch.setattr(
            module,
            "patch_sheet",
            lambda found, *_, model=model, **__: drawn.update({model: found}) or np.zeros((1, 1, 3), dtype=np.uint8),
        )
        callback = MaximallyActivatingPatches(layers="conv1", on_error="raise")
        fit(tmp_path / model.__name__, [callback], model=model, max_epochs=1)
    np.testing.assert_array_equal(drawn[TinyNet].values, drawn[Twice].values)
    np.testing.assert_array_equal(drawn[TinyNet].images, drawn[Twice].images)


def test_maps_that_are_not_finite_are_left_out(tmp_path, monkeypatch):
    class Broken(TinyNet):
        def validation_step(self, batch, batch_idx):
            x = batch[0].clone()
            if batch_idx == 1:
                x[2, 0, 3, 3] = torch.nan
            self(x)

    drawn = []
    monkeypatch.setattr(
        module, "patch_sheet", lambda found, *_, **__: drawn.append(found) or np.zeros((1, 1, 3), dtype=np.uint8)
    )
    callback = MaximallyActivatingPatches(layers="conv1", num_patches=50, on_error="raise")
    fit(tmp_path, [callback], model=Broken, data=loaders(), max_epochs=1)
    assert drawn[0].non_finite == 4
    assert 10 not in drawn[0].samples[0, :39]
    assert np.isfinite(drawn[0].values[:, :39]).all()
    assert np.isnan(drawn[0].values[:, 39:50]).all()


def test_of_a_diverged_run_one_line_says_that_no_value_is_finite(tmp_path, caplog):
    class Diverged(TinyNet):
        def on_train_start(self):
            torch.nn.init.constant_(self.conv1.weight, torch.nan)

    caplog.set_level("INFO")
    with pytest.warns(UserWarning, match=r"every map of conv1, conv2 has NaN or infinite values at step 6; skipped"):
        fit(tmp_path, [MaximallyActivatingPatches(on_error="raise")], model=Diverged)
    assert not [tag for tag in image_steps(tmp_path) if "patches" in tag]
    assert "gave no maps" not in caplog.text


def test_a_run_that_ends_before_a_validation_draws_nothing_in_one_line(tmp_path, caplog):
    caplog.set_level("INFO")
    fit(tmp_path, [MaximallyActivatingPatches(on_error="raise")], max_steps=1, max_epochs=-1)
    assert not [tag for tag in image_steps(tmp_path) if "patches" in tag]
    assert caplog.text.count("MaximallyActivatingPatches: no validation was heard before the training ended") == 1


def test_the_event_file_has_pictures_that_can_be_read(tmp_path):
    fit(tmp_path, [MaximallyActivatingPatches(on_error="raise")], max_epochs=1)
    image = events(tmp_path).Images("activating_patches/conv1")[0]
    assert image.width > 600
    assert image.height > 600
