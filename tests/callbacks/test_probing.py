"""The base class of callbacks that run samples through the model: which samples, which layers, in which precision."""

import numpy as np
import pytest
import torch
from helpers.tiny import TinyData, TinyNet, fit, image_steps
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from lightning_cnnviz import Probe
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
