"""The base class of callbacks that run samples through the model: which samples, which layers, in which precision."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyData, TinyNet, events, fit, image_steps, loaders
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lightning_cnnviz import EmbeddingProjection, Probe, cnnviz_callbacks
from lightning_cnnviz.callbacks import ProbingCallback
from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.model.layers import last_hidden_layer, last_layer_with_weights


class Means(ProbingCallback):
    """The means of layers' activations as grey pixels; remembers what it was given."""

    def __init__(
        self, layers=None, probe=None, count=6, find=last_hidden_layer, tag="means", on_error="raise", **options
    ):
        super().__init__(
            every_n_epochs=options.pop("every_n_epochs", None),
            every_n_train_steps=options.pop("every_n_train_steps", None),
            layers=layers,
            tag=tag,
            on_error=on_error,
            probe=probe or Probe(20),
        )
        self.count, self.find = count, find
        self.given = []

    def choose_layers(self, module):
        return [] if self.layers is None else list(self.layers)

    def drawings(self, trainer, module):
        self.find_layer(trainer, module, self.find)
        samples, seen = self.activations(trainer, module, self.selected, self.count)
        weights = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self.given.append((samples, seen, weights))
        for name, values in seen.layers.items():
            grey = np.clip(128 + 50 * values.float().flatten(1).mean(dim=1).numpy(), 0, 255).astype(np.uint8)
            yield (
                f"{self.tag}/{name}",
                lambda grey=grey: np.broadcast_to(grey[:, None, None], (len(grey), 4, 3)).copy(),
            )


def by_hand(weights, inputs, layer):
    net = TinyNet().eval()
    net.load_state_dict(weights)
    heard = []
    net.get_submodule(layer).register_forward_hook(lambda _, __, result: heard.append(result.detach()))
    with torch.no_grad():
        output = net(inputs)
    return heard[-1], output


def test_activations_are_those_of_the_first_samples_at_that_step(tmp_path):
    visual = Means(["conv2", "act"])
    fit(tmp_path, [visual])
    assert image_steps(tmp_path) == {"means/conv2": [6, 12], "means/act": [6, 12]}
    for samples, seen, weights in visual.given:
        assert torch.equal(samples.inputs, visual.probe.samples.inputs[:6])
        assert torch.equal(samples.targets, visual.probe.samples.targets[:6])
        assert samples.class_names == ["left", "right", "top", "bottom"]
        for name in ("conv2", "act"):
            layer, output = by_hand(weights, samples.inputs, name)
            torch.testing.assert_close(seen.layers[name], layer)
            torch.testing.assert_close(seen.output, output)
    assert not torch.equal(visual.given[0][1].layers["act"], visual.given[1][1].layers["act"])


@pytest.mark.parametrize(("find", "expected"), [(last_hidden_layer, "act"), (last_layer_with_weights, "fc2")])
def test_without_a_choice_the_layer_is_found_from_a_few_samples(find, expected, tmp_path):
    visual = Means(find=find)
    fit(tmp_path, [visual], max_epochs=1)
    assert visual.selected == [expected]


@pytest.mark.parametrize(("precision", "dtype"), [("bf16-mixed", torch.bfloat16), ("64-true", torch.float64)])
def test_the_pass_has_the_precision_of_the_training(precision, dtype, tmp_path):
    visual = Means(["conv2"])
    fit(tmp_path, [visual], max_epochs=1, precision=precision)
    (_, seen, _), *_ = visual.given
    assert seen.layers["conv2"].dtype == dtype


class Stream(IterableDataset):
    def __iter__(self):
        data = TinyData(48)
        return (data[index] for index in range(len(data)))


def test_of_a_stream_the_samples_are_those_of_the_first_batches(tmp_path):
    visual = Means(["act"], probe=Probe(20, split="train"), count=20)
    fit(tmp_path, [visual], data=(DataLoader(Stream(), 8), DataLoader(TinyData(40, seed=1), 8)), max_epochs=1)
    data = TinyData(48)
    shown = {tuple(image.flatten().tolist()) for image in visual.probe.samples.inputs}
    assert shown <= {tuple(image.flatten().tolist()) for image in data.images[:24]}
    assert len(shown) == 20


def test_a_layer_that_was_asked_for_and_did_not_run_is_said(tmp_path):
    class Unused(TinyNet):
        def __init__(self):
            super().__init__()
            self.extra = nn.Linear(2, 2)

    with pytest.warns(UserWarning, match="extra did not run"):
        fit(tmp_path, [Means(["extra", "act"], on_error="warn")], model=Unused, max_epochs=1)
    assert image_steps(tmp_path) == {"means/act": [6]}


def test_a_layer_that_nobody_asked_for_and_did_not_run_is_passed_over_and_said_once(tmp_path, told):
    class Unused(TinyNet):
        def __init__(self):
            super().__init__()
            self.extra = nn.Linear(2, 2)

    class Both(Means):
        def drawings(self, trainer, module):
            self.selected = ["extra", "act"]
            return super().drawings(trainer, module)

    fit(tmp_path, [Both()], model=Unused)
    assert image_steps(tmp_path) == {"means/act": [6, 12]}
    assert told().count("extra did not run") == 1


def test_a_model_of_two_inputs_is_said_at_the_start(tmp_path):
    class Two(TinyNet):
        def forward(self, x, mask):
            return super().forward(x * mask)

        def training_step(self, batch, batch_idx):
            return self(batch[0], torch.ones_like(batch[0])).sum() * 0

        def validation_step(self, batch, batch_idx):
            pass

    with pytest.raises(ValueError, match="x, mask"):
        fit(tmp_path, [Means(["act"])], model=Two)


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "b", "c", "d", "e"], {"a": 0, "b": 1, "c": 2}])
def test_class_names_that_are_not_as_many_as_the_models_classes_end_the_run_before_its_first_step(names, tmp_path):
    model = TinyNet()
    with pytest.raises(ConfigurationError, match="class"):
        fit(tmp_path, [Means(["act"], probe=Probe(20, class_names=names))], model=model)
    assert model.trainer.global_step == 0


def test_two_callbacks_may_share_a_probe_which_is_read_once(tmp_path):
    probe = Probe(20)
    one, other = Means(["act"], probe=probe), Means(["conv1"], probe=probe, tag="other")
    fit(tmp_path, [one, other], max_epochs=1)
    assert one.given[0][0].inputs.data_ptr() == other.given[0][0].inputs.data_ptr()
    assert image_steps(tmp_path) == {"means/act": [6], "other/conv1": [6]}


def test_modes_and_buffers_of_the_model_stay(tmp_path):
    class Watching(Means):
        def drawings(self, trainer, module):
            module.norm.eval()  # as a user freezes it
            before = [part.training for part in module.modules()], module.norm.running_mean.clone()
            yield from super().drawings(trainer, module)
            assert [part.training for part in module.modules()] == before[0]
            assert torch.equal(module.norm.running_mean, before[1])
            assert module.training

    fit(tmp_path, [Watching(["act"])])
    assert image_steps(tmp_path)


# ---- what is heard in the module's own validation


class Counting(TinyNet):
    """Writes into a file in which epoch it runs and on how many samples, its copies included."""

    def forward(self, x):
        with Path(self.trainer.default_root_dir, "passes").open("a") as file:
            file.write(f"{self.trainer.current_epoch} {len(x)}\n")
        return super().forward(x)


def passes_by_epoch(folder, callbacks, **options):
    folder.mkdir()
    fit(folder, callbacks, model=Counting, max_epochs=3, default_root_dir=folder, **options)
    passes = [line.split() for line in (folder / "passes").read_text().splitlines()]
    return [[int(size) for epoch, size in passes if int(epoch) == number] for number in range(3)]


def test_after_the_first_epoch_there_are_no_passes_of_our_own(tmp_path):
    bare = passes_by_epoch(tmp_path / "bare", [])
    ours = passes_by_epoch(tmp_path / "ours", cnnviz_callbacks(num_samples=20))
    assert sum(ours[0]) - sum(bare[0]) == 1 + 5 + 2 + 20, "diagram, maps, hidden layer, projection"
    assert bare[1:] == ours[1:]
    assert image_steps(tmp_path / "ours")["feature_maps/conv1"] == [6, 12, 18]


class Reordered(Dataset):
    """Comes in another order in each epoch, or with other noise."""

    def __init__(self, noisy):
        self.data, self.noisy = TinyData(40, seed=1), noisy

    def __len__(self):
        return 40

    def __getitem__(self, index):
        image, target = self.data[index]
        return image + (0.01 * torch.rand(1) if self.noisy else 0), target


@pytest.mark.parametrize("kind", ["in order", "shuffled", "augmented", "another batch size"])
def test_what_is_heard_is_what_the_layers_give_for_the_same_samples_in_every_epoch(kind, tmp_path):
    val = DataLoader(
        Reordered(kind == "augmented"), 7 if kind == "another batch size" else 8, shuffle=kind == "shuffled"
    )
    visual = Means(["conv2", "act"], count=20)
    fit(tmp_path, [visual], data=(loaders()[0], val), max_epochs=3)
    inputs = visual.given[0][0].inputs
    assert len(inputs) == 20
    for samples, seen, weights in visual.given:
        assert torch.equal(samples.inputs, inputs)
        for layer in ("conv2", "act"):
            expected, output = by_hand(weights, inputs, layer)
            torch.testing.assert_close(seen.layers[layer], expected)
        torch.testing.assert_close(seen.output, output)


def test_a_step_that_prepares_its_inputs_shows_what_the_network_gets(tmp_path):
    class Preparing(TinyNet):
        def training_step(self, batch, batch_idx):
            return super().training_step((batch[0] / 255, batch[1]), batch_idx)

        def validation_step(self, batch, batch_idx):
            self.scored = self(batch[0] / 255)

    visual = Means(["act"], count=20)
    fit(tmp_path, [visual], model=Preparing)
    assert float(visual.probe.samples.inputs.max()) < 0.01
    for samples, seen, weights in visual.given:
        torch.testing.assert_close(seen.layers["act"], by_hand(weights, samples.inputs, "act")[0])


def test_a_model_that_only_its_own_steps_can_call_is_shown_from_the_second_validation_on(tmp_path):
    class Two(TinyNet):
        def forward(self, x, scale):
            return super().forward(x * scale)

        def training_step(self, batch, batch_idx):
            return nn.functional.cross_entropy(self(batch[0], 2.0), batch[1])

        def validation_step(self, batch, batch_idx):
            self(batch[0], 2.0)

    visual = Means(["conv2", "act"], count=20, on_error="warn")
    val = DataLoader(TinyData(20, seed=1), 8)  # the last batch is smaller, which tells the samples' dimension
    with pytest.warns(UserWarning, match="x, scale"):
        fit(tmp_path, [visual], model=Two, data=(loaders()[0], val), max_epochs=3)
    assert image_steps(tmp_path) == {"means/act": [12, 18], "means/conv2": [12, 18]}
    for samples, seen, weights in visual.given:
        torch.testing.assert_close(seen.layers["act"], by_hand(weights, 2 * samples.inputs, "act")[0])


def test_a_validation_in_mid_epoch_is_not_taken_for_the_end_of_the_epoch(tmp_path):
    visual = Means(["act"], count=20)
    fit(tmp_path, [visual], val_check_interval=2, max_epochs=2)
    for samples, seen, weights in visual.given:
        torch.testing.assert_close(seen.layers["act"], by_hand(weights, samples.inputs, "act")[0])


def test_before_the_first_validation_samples_of_the_sanity_check_are_shown(tmp_path, told):
    visual = Means(["act"], count=20, every_n_train_steps=2)
    fit(tmp_path, [visual], max_epochs=2)
    sizes = [len(samples.inputs) for samples, *_ in visual.given]
    assert sizes == [16, 16, 16, 20, 20, 20]
    assert "using 16 samples instead of 20: no more had been loaded" in told()
    assert visual.probe.version == 1
    first = {tuple(image.flatten().tolist()) for image in visual.given[0][0].inputs}
    assert first == {tuple(image.flatten().tolist()) for image in TinyData(40, seed=1).images[:16]}


def test_without_validation_samples_of_the_training_are_shown_and_the_title_says_so(tmp_path):
    visual = Means(["act"], count=20)
    run = fit(tmp_path, [visual], limit_val_batches=0)
    assert visual.probe.origin == "train"
    assert visual.sample_title("act", run).endswith("training samples")


@pytest.mark.skipif(not hasattr(pl.callbacks, "EMAWeightAveraging"), reason="Lightning 2.6 or newer")
def test_a_validation_with_averaged_weights_is_not_taken_for_one_with_the_weights_of_the_training(tmp_path):
    visual = Means(["act"], count=20)
    fit(tmp_path, [visual, pl.callbacks.EMAWeightAveraging(decay=0.9)], max_epochs=3)
    for samples, seen, weights in visual.given:
        torch.testing.assert_close(seen.layers["act"], by_hand(weights, samples.inputs, "act")[0])


def test_the_tab_gets_only_the_samples_that_stay_and_their_layouts(tmp_path):
    fit(tmp_path, [EmbeddingProjection(num_samples=20, method="pca", every_n_train_steps=3, on_error="raise")])
    found = events(tmp_path)
    tensors = {tag: [event.step for event in found.Tensors(tag)] for tag in found.Tags()["tensors"]}
    layouts = next(steps for tag, steps in tensors.items() if tag.startswith("cnnviz/projection"))
    assert layouts == [9, 12]
    assert tensors["cnnviz/samples"] == [9]
    drawn = next(steps for tag, steps in image_steps(tmp_path).items() if tag.endswith("/pca"))
    assert drawn == [3, 6, 9, 12]


@pytest.mark.parametrize("sanity", [0, 2])
def test_bands_that_are_not_there_end_the_run_at_its_beginning(sanity, tmp_path):
    model = TinyNet()
    with pytest.raises(ConfigurationError, match="expected bands below the inputs' 1 channels"):
        fit(tmp_path, [Means(["act"], probe=Probe(20, bands=[3, 2, 1]))], model=model, num_sanity_val_steps=sanity)
    assert model.trainer.global_step <= 1
