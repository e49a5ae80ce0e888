"""A visual of one's own, written outside of the package: what it draws is in the event file, and no harm is done."""

import io
import warnings

import numpy as np
import pytest
import torch
from helpers.tiny import TinyNet, events, fit, image_steps, loaders, scalars, trainer
from PIL import Image

from lightning_cnnviz.callbacks import VisualCallback
from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.model.layers import convolutions, select_layers

OWN = ("choose_layers", "prepare", "drawings", "computation", "scalars", "texts", "tab_data")
"""Methods that a subclass may have."""


class WeightSheet(VisualCallback):
    """The weights of convolutions as grey pixels, their norms and their names."""

    def __init__(self, tag="weights", fail_in=None, **options):
        super().__init__(tag=tag, **options)
        self.fail_in = fail_in
        self.calls = []
        self.norms = {}

    def called(self, method):
        self.calls.append(method)
        if method == self.fail_in:
            raise ArithmeticError(f"{method} has failed")

    def choose_layers(self, module):
        self.called("choose_layers")
        return select_layers(module, self.layers, convolutions(module), "convolution")

    def prepare(self, trainer, module):
        self.called("prepare")
        self.start = trainer.global_step

    def drawings(self, trainer, module):
        self.called("drawings")
        for name in self.selected:
            weight = module.get_submodule(name).weight.detach().cpu().clone().numpy()
            self.norms[name] = float(np.linalg.norm(weight))
            yield f"{self.tag}/{name}", lambda weight=weight: self.sheet(weight)

    def sheet(self, weight):
        self.called("picture")
        flat = weight.reshape(len(weight), -1)
        pixels = np.clip(128 + 100 * flat, 0, 255).astype(np.uint8)
        return pixels[..., None].repeat(3, axis=-1)

    def computation(self, trainer, module):
        self.called("computation")

        def compute(run):
            return [(f"{self.tag}/computed", lambda: np.full((6, 7, 3), 9, dtype=np.uint8))], {f"{self.tag}/sum": 5.0}

        return compute

    def scalars(self):
        self.called("scalars")
        return {f"{self.tag}/{name}/norm": norm for name, norm in self.norms.items()}

    def texts(self):
        self.called("texts")
        return {f"{self.tag}/names": "**" + ", ".join(self.selected) + "**"}

    def tab_data(self):
        self.called("tab_data")
        return [TabData("kernels", {"layer": "mine"}, {}, {"low": np.arange(3, dtype=np.float32)})]


class LastWeights(WeightSheet):
    """Remembers the weights that the last picture shows."""

    def drawings(self, trainer, module):
        self.last = {name: module.get_submodule(name).weight.detach().clone() for name in self.selected}
        return super().drawings(trainer, module)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder, visual = tmp_path_factory.mktemp("drawn"), LastWeights(on_error="raise")
    run = fit(folder, [visual])
    return folder, visual, run


def pixels(event):
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string)).convert("RGB"))


def test_its_pictures_are_in_the_event_file(drawn):
    folder, visual, _ = drawn
    assert image_steps(folder) == {f"weights/{name}": [6, 12] for name in ("conv1", "conv2", "computed")}
    for name, weight in visual.last.items():
        expected = np.clip(128 + 100 * weight.numpy().reshape(len(weight), -1), 0, 255).astype(np.uint8)
        found = pixels(events(folder).Images(f"weights/{name}")[-1])
        np.testing.assert_array_equal(found, expected[..., None].repeat(3, axis=-1))
    assert (pixels(events(folder).Images("weights/computed")[-1]) == 9).all()


def test_its_scalars_texts_and_data_of_the_tab_are_too(drawn):
    folder, visual, _ = drawn
    for name in ("conv1", "conv2"):
        steps, values = zip(*scalars(folder, f"weights/{name}/norm"), strict=True)
        assert steps == (6, 12)
        assert values[-1] == pytest.approx(visual.norms[name])
    assert scalars(folder, "weights/sum") == [(6, 5.0), (12, 5.0)]
    texts = events(folder).Tensors("weights/names/text_summary")
    assert [(text.step, text.tensor_proto.string_val[0]) for text in texts] == [
        (6, b"**conv1, conv2**"),
        (12, b"**conv1, conv2**"),
    ]
    assert [event.step for event in events(folder).Tensors("cnnviz/kernels/mine")] == [6, 12]


def test_its_methods_are_called_in_the_order_that_is_promised(drawn):
    _, visual, _ = drawn
    first = [call for call in visual.calls if call != "picture"]
    per_step = ["drawings", "computation", "scalars", "texts", "tab_data"]
    assert first == ["choose_layers", "prepare", *per_step, *per_step]
    assert visual.selected == ["conv1", "conv2"]


def test_its_cost_is_measured_and_it_ends_with_the_run(drawn):
    folder, visual, _ = drawn
    assert [step for step, _ in scalars(folder, "cnnviz/cost/LastWeights")] == [6, 12]
    assert visual.writer is None
    assert not visual.account.failures


def trained(run):
    return [parameter.detach().clone() for parameter in run.lightning_module.parameters()], torch.get_rng_state()


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return trained(fit(tmp_path_factory.mktemp("bare"), []))


def assert_same(one, other):
    assert all(torch.equal(a, b) for a, b in zip(one[0], other[0], strict=True))
    assert torch.equal(one[1], other[1])


def test_training_is_what_it_is_without(drawn, bare):
    assert_same((trained(drawn[2])[0], bare[1]), bare)


@pytest.mark.parametrize("method", [*OWN, "picture"])
def test_a_method_that_fails_gives_one_warning_and_the_training_is_what_it_is_without(method, bare, tmp_path):
    visual = WeightSheet(fail_in=method)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit(tmp_path, [visual])
    ours = [str(warning.message) for warning in caught if "has failed" in str(warning.message)]
    assert len(ours) == 1
    expected = f"WeightSheet failed to draw; training continues: ArithmeticError: {method} has failed"
    assert ours[0].startswith(expected)
    assert method in visual.calls
    assert_same(trained(run), bare)


@pytest.mark.parametrize("method", [*OWN, "picture"])
def test_where_it_was_asked_for_what_fails_ends_the_run(method, tmp_path):
    with pytest.raises(ArithmeticError, match=f"{method} has failed"):
        fit(tmp_path, [WeightSheet(fail_in=method, on_error="raise")])


def test_layers_that_do_not_fit_end_the_run_before_its_first_step(tmp_path):
    model = TinyNet()
    with pytest.raises(ConfigurationError, match="conv9"):
        fit(tmp_path, [WeightSheet(layers="conv9")], model=model)
    assert model.trainer.global_step == 0


def test_what_needs_no_method_needs_none(tmp_path):
    class Nothing(VisualCallback):
        pass

    fit(tmp_path, [Nothing(tag="nothing", on_error="raise")])
    assert image_steps(tmp_path) == {}
    assert [step for step, _ in scalars(tmp_path, "cnnviz/cost/Nothing")] == [6, 12]


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({"every_n_epochs": 2}, [12]),
        ({"every_n_epochs": 3}, [12]),  # the last state always
        ({"every_n_train_steps": 5}, [5, 10, 12]),
        ({"every_n_train_steps": 1}, list(range(1, 13))),
    ],
)
def test_it_is_drawn_when_it_was_asked_for(options, due, tmp_path):
    fit(tmp_path, [WeightSheet(layers="conv1", on_error="raise", **options)])
    assert image_steps(tmp_path).get("weights/conv1", []) == due


def test_two_of_a_class_have_each_its_tag_and_its_place_in_a_checkpoint(tmp_path):
    one, other = WeightSheet(tag="one", layers="conv1"), WeightSheet(tag="other", layers="conv2")
    assert one.state_key != other.state_key
    fit(tmp_path, [one, other], max_epochs=1)
    assert image_steps(tmp_path).keys() == {"one/conv1", "one/computed", "other/conv2", "other/computed"}
    assert scalars(tmp_path, "cnnviz/cost/WeightSheet-2")


def test_drawing_now_is_possible_once_a_step(tmp_path):
    class Eager(WeightSheet):
        def on_train_batch_end(self, trainer, pl_module, *arguments):
            super().on_train_batch_end(trainer, pl_module, *arguments)
            if trainer.global_step == 4:
                self.draw(trainer, pl_module)
                self.draw(trainer, pl_module)

    fit(tmp_path, [Eager(layers="conv1", on_error="raise")])
    assert image_steps(tmp_path)["weights/conv1"] == [4, 6, 12]


def test_outside_of_a_run_drawing_does_nothing(tmp_path):
    visual = WeightSheet()
    visual.draw(trainer(tmp_path), TinyNet())
    visual.limit_bytes(3)
    assert visual.calls == []


def test_without_a_logger_it_says_what_to_write(tmp_path):
    visual = WeightSheet(on_error="raise")
    with pytest.warns(UserWarning, match="no logger.*TensorBoardLogger"):
        fit(tmp_path, [visual], logger=False)
    assert visual.calls == ["choose_layers"]


def test_a_resumed_run_does_not_draw_the_step_that_it_begins_with(tmp_path):
    run = fit(tmp_path / "first", [WeightSheet(on_error="raise")])
    run.save_checkpoint(tmp_path / "last.ckpt")
    visual = WeightSheet(on_error="raise")
    again = trainer(tmp_path / "second", [visual], max_epochs=3)
    again.fit(TinyNet(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    assert visual.start == 12
    assert image_steps(tmp_path / "second")["weights/conv1"] == [18]


def test_a_title_has_the_epoch_from_one_and_the_step(tmp_path):
    titles = []

    class Titled(WeightSheet):
        def drawings(self, trainer, module):
            titles.append(self.title("conv1", trainer))
            return ()

    fit(tmp_path, [Titled(on_error="raise")])
    assert titles == ["conv1 · epoch 1 · step 6", "conv1 · epoch 2 · step 12"]


def test_random_numbers_of_a_visual_are_not_those_of_the_training(bare, tmp_path):
    class Noisy(WeightSheet):
        def drawings(self, trainer, module):
            torch.rand(5), np.random.random()
            return super().drawings(trainer, module)

    assert_same(trained(fit(tmp_path, [Noisy(on_error="raise")])), bare)


class Foreseeing(VisualCallback):
    """Keeps after which batches a picture was foretold, and the steps at which it is drawn."""

    def __init__(self, **options):
        super().__init__(tag="foreseeing", **options)
        self.foretold, self.drawn, self.batches = [], [], 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches += 1
        if self.due_after_batch(trainer, batch_idx):
            self.foretold.append(self.batches)

    def drawings(self, trainer, module):
        self.drawn.append((self.batches, trainer.global_step))
        return ()


@pytest.mark.parametrize(
    ("options", "training"),
    [
        ({}, {}),
        ({"every_n_epochs": 2}, {"max_epochs": 3}),
        ({"every_n_epochs": 5}, {}),
        ({"every_n_train_steps": 4}, {}),
        ({"every_n_train_steps": 5}, {}),
        ({"every_n_train_steps": 1}, {"accumulate_grad_batches": 4}),
        ({"every_n_train_steps": 3}, {"accumulate_grad_batches": 2}),
        ({"every_n_epochs": 9}, {"max_epochs": -1, "max_steps": 8}),
        ({}, {"limit_train_batches": 4, "val_check_interval": 2}),
    ],
    ids=str,
)
def test_the_batches_after_which_a_picture_is_due_are_known_as_they_begin(options, training, tmp_path):
    callback = Foreseeing(**options)
    fit(tmp_path, [callback], **training)
    assert callback.foretold == [batch for batch, step in callback.drawn if step]
    assert callback.foretold
