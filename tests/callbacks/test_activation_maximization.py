"""The pictures in the event file show what excites the units of the model that was trained."""

import io

import numpy as np
import pytest
import torch
from helpers.reading import frames
from helpers.tiny import TinyData, TinyNet, events, fit, image_steps
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from lightning_cnnviz import ActivationMaximization, Probe
from lightning_cnnviz.functional.units.gradient_ascent import maximize

QUICK = {"on_error": "raise", "steps": 5}


def pictures(folder, tag):
    return [
        np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB")).astype(int)
        for image in events(folder).Images(tag)
    ]


class Listening(ActivationMaximization):
    """Keeps what it draws."""

    def __init__(self, **options):
        super().__init__(**options)
        self.drawn = []

    def drawings(self, trainer, module):
        for tag, draw in super().drawings(trainer, module):
            self.drawn.append((tag, *draw.args))
            yield tag, draw


def test_images_of_the_classes_look_like_the_classes_and_excite_more_than_a_thousand_of_them(tmp_path):
    callback = Listening(on_error="raise", every_n_epochs=4)
    # Slowly, or the tanh before the scores saturates and no image can excite more than the samples do
    run = fit(tmp_path, [callback], model=TinyNet(learning_rate=0.002), max_epochs=4)
    net = run.lightning_module.eval()
    with torch.no_grad():
        best = net(TinyData(1000, augment=True).images).amax(dim=0)
    ((_, found, names),) = callback.drawn
    assert (found.values > best).all()
    assert names == ["left", "right", "top", "bottom"]
    cells = [cell.mean(axis=-1) for cell in frames(pictures(tmp_path, "activation_maximization/fc2")[0])]
    left, right, top, bottom = (cell for cell in cells if len(cell) == 112)  # no pixel that is as grey as a frame
    assert left[:, :56].mean() > left[:, 56:].mean() + 50
    assert right[:, 56:].mean() > right[:, :56].mean() + 50
    assert top[:56].mean() > top[56:].mean() + 50
    assert bottom[56:].mean() > bottom[:56].mean() + 50


def test_images_stay_within_the_range_of_the_probe(tmp_path):
    callback = Listening(layers=["conv1", "fc2"], **QUICK)
    fit(tmp_path, [callback], max_epochs=1)
    low, high = callback.probe.samples.inputs.aminmax()
    assert len(callback.probe.samples.inputs) == 40
    for _, found, _ in callback.drawn:
        assert low <= found.images.min() <= found.images.max() <= high


def test_by_default_the_class_scores_are_drawn_every_epoch(tmp_path):
    fit(tmp_path, [ActivationMaximization(**QUICK)])
    assert image_steps(tmp_path) == {"activation_maximization/fc2": [6, 12]}


@pytest.mark.parametrize(
    ("layers", "tags"),
    [("fc*", ["fc1", "fc2"]), (["conv2", "norm"], ["norm", "conv2"]), (["act", "fc2.input"], ["act", "fc2.input"])],
)
def test_layers_of_every_kind_can_be_chosen(layers, tags, tmp_path):
    callback = Listening(layers=layers, tag="best", max_units=3, **QUICK)
    fit(tmp_path, [callback], max_epochs=1)
    assert image_steps(tmp_path) == {f"best/{tag}": [6] for tag in tags}
    assert all(found.units == [0, 1, 2] for _, found, _ in callback.drawn)


class Wide(TinyNet):
    """Another layer with as many units as there are classes, and class scores that end in `last`."""

    def __init__(self, last):
        super().__init__()
        self.last = last

    def forward(self, x):
        return self.last(super().forward(x))


@pytest.mark.parametrize("last", [nn.Identity(), nn.Softmax(1), nn.LogSoftmax(1)], ids=str)
def test_only_the_class_scores_have_class_names(last, tmp_path):
    callback = Listening(layers=["conv1", "fc1", "fc2"], **QUICK)
    fit(tmp_path, [callback], model=Wide(last), max_epochs=1)
    names = {tag.split("/")[1]: names for tag, _, names in callback.drawn}
    assert names == {"conv1": None, "fc1": None, "fc2": ["left", "right", "top", "bottom"]}


def test_a_layer_that_has_as_many_units_as_classes_is_not_taken_for_the_class_scores(tmp_path):
    callback = Listening(layers="fc2", **QUICK)
    fit(tmp_path, [callback], model=Wide(nn.Linear(4, 4)), max_epochs=1)
    ((_, _, names),) = callback.drawn
    assert names is None


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-true", "bf16-mixed"])
def test_every_precision_is_climbed_in(precision, tmp_path):
    callback = Listening(on_error="raise", steps=30)
    fit(tmp_path, [callback], precision=precision, max_epochs=1)
    ((_, found, _),) = callback.drawn
    assert found.status == ["ok"] * 4


def test_the_same_seed_draws_the_same_picture(tmp_path):
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        fit(tmp_path / name, [ActivationMaximization(seed=seed, **QUICK)], max_epochs=1)
    first, second, third = (
        pictures(tmp_path / name, "activation_maximization/fc2")[0] for name in ("first", "second", "third")
    )
    assert (first == second).all()
    assert (first != third).any()


def test_the_options_reach_the_ascent(tmp_path):
    callback = Listening(steps=7, step_size=0.5, blur=0.5, jitter=0, l2=0, seed=3, probe=Probe(5))
    run = fit(tmp_path, [callback], max_epochs=1)
    ((_, found, _),) = callback.drawn
    assert found.ascent.in_words() == "7 steps from 0.5 standard deviations · gradient blurred by 0.5 px"
    expected = maximize(run.lightning_module, "fc2", callback.probe.samples.inputs, ascent=callback.ascent)
    assert torch.equal(found.images, expected.images)


def test_a_layer_without_a_gradient_gets_one_line_and_leaves_the_others_their_pictures(tmp_path):
    class Detached(TinyNet):
        def __init__(self):
            super().__init__()
            self.numbers = nn.Identity()

        def forward(self, x):
            self.numbers(x.detach() + 0)
            return super().forward(x)

    callback = ActivationMaximization(layers=["numbers", "fc2"], steps=5)
    with pytest.warns(UserWarning, match="no gradient with respect to the model's input") as caught:
        fit(tmp_path, [callback], model=Detached())
    assert len([warning for warning in caught if "ActivationMaximization" in str(warning.message)]) == 1
    assert image_steps(tmp_path) == {"activation_maximization/fc2": [6, 12]}


class Words(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        return {"tokens": torch.arange(6) + index % 4, "kind": index % 4}


class Reader(TinyNet):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(24, 4))

    def forward(self, tokens):
        return self.net(tokens)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self(batch["tokens"]), batch["kind"])

    def validation_step(self, batch, batch_idx):
        pass


def test_inputs_of_whole_numbers_get_one_line_and_the_run_goes_on(tmp_path):
    callback = ActivationMaximization(probe=Probe(4, inputs="tokens", targets="kind"))
    with pytest.warns(UserWarning, match="changed little by little, got whole numbers: torch.int64") as caught:
        run = fit(tmp_path, [callback], model=Reader(), data=(DataLoader(Words(), 4), None))
    assert len([warning for warning in caught if "ActivationMaximization" in str(warning.message)]) == 1
    assert run.global_step == 6
    assert image_steps(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_units": 0}, "expected max_units to be at least 1, got 0"),
        ({"steps": 0}, "expected steps to be at least 1, got 0"),
        ({"step_size": -1}, "expected step_size to be above 0, got -1"),
        ({"blur": -1}, "expected blur to be from 0, got -1"),
        ({"jitter": 0.5}, "expected jitter to be a whole number, got 0.5"),
        ({"l2": -0.1}, "expected l2 to be from 0, got -0.1"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ActivationMaximization(**arguments)
