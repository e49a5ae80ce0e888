"""The state before the first step and the one in which training ends, whatever the interval."""

import io

import numpy as np
import pytest
import torch
from helpers.tiny import TinyData, TinyNet, events, fit, image_steps, loaders, scalars, trainer
from PIL import Image
from pytorch_lightning.callbacks import EarlyStopping, Timer

from lightning_cnnviz import (
    ActivationStats,
    ClassReport,
    EmbeddingProjection,
    FeatureMaps,
    FilterResponse,
    GradientFlow,
    KernelGrid,
    LossAccuracy,
    MaximallyActivatingPatches,
    Probe,
)
from lightning_cnnviz.functional.kernels import kernel_grid

LAST = {
    ActivationStats: "activations/heatmap",
    FeatureMaps: "feature_maps/conv1",
    FilterResponse: "filter_response/conv1",
    EmbeddingProjection: "projection/act/pca",
    GradientFlow: "gradient_flow/bars",
    LossAccuracy: "curves/loss",
    ClassReport: "class_report/confusion",
    KernelGrid: "kernels/conv1",
}
"""Callback → one of its pictures."""
OPTIONS = {EmbeddingProjection: {"method": "pca", "layers": "act"}}


def given():
    data = TinyData(40, seed=1)
    return Probe.from_tensors(data.images, data.targets, TinyData.classes)


def made(kind, **options):
    return kind(**OPTIONS.get(kind, {}), on_error="raise", **options)


@pytest.mark.parametrize("interval", [{"every_n_epochs": 2}, {"every_n_train_steps": 4}], ids=["epochs", "steps"])
@pytest.mark.parametrize("kind", LAST)
def test_the_last_state_is_drawn_once_whatever_the_interval(kind, interval, tmp_path):
    fit(tmp_path, [made(kind, **interval)], max_epochs=3)
    steps = image_steps(tmp_path)[LAST[kind]]
    assert steps[-1] == 18
    assert steps == sorted(set(steps))
    due = [12, 18] if "every_n_epochs" in interval else [4, 8, 12, 16, 18]
    if kind is KernelGrid:
        assert steps == [0, *due]
    elif kind not in (ClassReport, LossAccuracy):  # which draw when a validation or an epoch has ended
        assert set(due) >= set(steps) >= {due[0]}, "nothing at step 0, where samples are not known"


@pytest.mark.parametrize("kind", [FeatureMaps, FilterResponse, EmbeddingProjection])
def test_samples_that_are_given_are_shown_before_the_first_step(kind, tmp_path):
    fit(tmp_path, [made(kind, every_n_epochs=2, probe=given())], max_epochs=3)
    assert image_steps(tmp_path)[LAST[kind]] == [0, 12, 18]


def test_kernels_at_step_0_are_those_of_the_untrained_model_and_the_last_those_of_the_trained_one(tmp_path):
    first = {}

    class Noting(TinyNet):
        def on_train_start(self):
            first["conv1"] = self.conv1.weight.detach().clone()

    run = fit(tmp_path, [made(KernelGrid, layers="conv1", every_n_epochs=5)], model=Noting, max_epochs=2)
    shown = [
        np.asarray(Image.open(io.BytesIO(one.encoded_image_string)).convert("RGB"))
        for one in events(tmp_path).Images("kernels/conv1")
    ]
    last = run.lightning_module.conv1.weight.detach()
    titles = "conv1 · step 0, before training", "conv1 · epoch 2 · step 12"
    for picture, weight, title in zip(shown, (first["conv1"], last), titles, strict=True):
        np.testing.assert_array_equal(picture, kernel_grid(weight, title=title))
    assert not np.array_equal(*shown)


def test_without_an_interval_there_is_a_picture_per_epoch(tmp_path):
    fit(tmp_path, [made(KernelGrid)])
    assert image_steps(tmp_path)["kernels/conv1"] == [6, 12]
    assert [step for step, _ in scalars(tmp_path, "cnnviz/cost/KernelGrid")] == [6, 12]


@pytest.mark.parametrize(
    ("limits", "last"),
    [({"max_steps": 8, "max_epochs": -1}, 8), ({"limit_train_batches": 5}, 10)],
    ids=["steps", "batches"],
)
def test_a_run_that_ends_in_mid_epoch_draws_its_last_state(limits, last, tmp_path):
    fit(tmp_path, [made(KernelGrid, every_n_epochs=4)], **limits)
    assert image_steps(tmp_path)["kernels/conv1"] == [0, last]


def test_a_run_that_is_stopped_draws_its_last_state(tmp_path):
    class Stopping(TinyNet):
        def on_train_epoch_end(self):
            self.trainer.should_stop = self.current_epoch == 2

    fit(tmp_path, [made(KernelGrid, every_n_epochs=5)], model=Stopping, max_epochs=9)
    assert image_steps(tmp_path)["kernels/conv1"] == [0, 18]


class Stopping(TinyNet):
    def on_train_batch_end(self, *_):
        self.trainer.should_stop |= self.trainer.global_step == 8


HEARD_IN_VALIDATION = {
    ClassReport: LAST[ClassReport],
    ActivationStats: LAST[ActivationStats],
    MaximallyActivatingPatches: "activating_patches/conv1",
}


@pytest.mark.parametrize(
    ("model", "limits", "last"),
    [(TinyNet, {"max_steps": 12, "max_epochs": -1}, 12), (Stopping, {"max_epochs": 9}, 8)],
    ids=["steps", "stop"],
)
@pytest.mark.parametrize("kind", HEARD_IN_VALIDATION)
def test_a_validation_that_is_foreseen_to_be_the_last_is_drawn(kind, model, limits, last, tmp_path):
    fit(tmp_path, [made(kind, every_n_epochs=5)], model=model, **limits)
    assert image_steps(tmp_path)[HEARD_IN_VALIDATION[kind]] == [last]


class StoppingAsAValidationEnds(TinyNet):
    def on_validation_epoch_end(self):
        self.trainer.should_stop |= self.current_epoch == 2


class StoppingAsAnEpochEnds(TinyNet):
    def on_train_epoch_end(self):
        self.trainer.should_stop |= self.current_epoch == 2


class TimedOut(Timer):
    """A clock that runs out in the third epoch, whatever the machine."""

    def time_elapsed(self, stage="train"):
        return 60.0 if self.trainer.global_step >= self.after else 1.0

    def on_fit_start(self, trainer, *args):
        self.trainer = trainer
        super().on_fit_start(trainer, *args)


def timed_out(after, interval):
    clock = TimedOut("00:00:00:30", interval=interval)
    clock.after = after
    return clock


def early_stopping():
    return EarlyStopping("never_better", patience=2, check_on_train_epoch_end=False)


class NeverBetter(TinyNet):
    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        self.log("never_better", float(self.current_epoch))


UNFORESEEN = {
    "as a validation ends": (StoppingAsAValidationEnds, [], 18),
    "as an epoch ends": (StoppingAsAnEpochEnds, [], 18),
    "early stopping": (NeverBetter, [early_stopping], 18),
    "the clock, in an epoch": (TinyNet, [lambda: timed_out(15, "step")], 15),
    "the clock, between epochs": (TinyNet, [lambda: timed_out(15, "epoch")], 18),
}


@pytest.mark.parametrize("stop", UNFORESEEN)
@pytest.mark.parametrize("kind", [*LAST, MaximallyActivatingPatches])
def test_a_run_that_is_stopped_whenever_it_is_draws_its_last_state_once(kind, stop, tmp_path):
    model, others, last = UNFORESEEN[stop]
    fit(tmp_path, [made(kind, every_n_epochs=5), *(other() for other in others)], model=model, max_epochs=9)
    steps = image_steps(tmp_path)[{**LAST, **HEARD_IN_VALIDATION}[kind]]
    assert [step for step in steps if step] == [last]


@pytest.mark.parametrize("interval", [{"every_n_epochs": 5}, {"every_n_train_steps": 7}], ids=["epochs", "steps"])
def test_without_validation_the_last_training_samples_are_those_before_an_early_end(interval, tmp_path):
    fit(tmp_path, [made(ActivationStats, **interval)], model=StoppingAsAnEpochEnds, max_epochs=9, limit_val_batches=0)
    assert image_steps(tmp_path)[LAST[ActivationStats]][-1] == 18


@pytest.mark.parametrize("kind", HEARD_IN_VALIDATION)
def test_what_the_last_validation_has_told_is_drawn_at_its_own_step(kind, tmp_path):
    """It ends with step 12, the training with step 14."""
    fit(tmp_path, [made(kind, every_n_epochs=5)], max_steps=14, max_epochs=-1)
    assert image_steps(tmp_path)[HEARD_IN_VALIDATION[kind]] == [12]
    fit(tmp_path / "due", [made(kind, every_n_epochs=2)], max_steps=14, max_epochs=-1)
    for tag in image_steps(tmp_path):
        last, due = (events(folder).Images(tag)[-1] for folder in (tmp_path, tmp_path / "due"))
        assert last.encoded_image_string == due.encoded_image_string, "as a validation that is drawn as it ends"


def test_of_a_run_without_a_validation_one_line_says_so(tmp_path, told):
    kinds = HEARD_IN_VALIDATION
    fit(tmp_path, [made(kind) for kind in kinds], max_steps=4, max_epochs=-1)
    for kind in kinds:
        assert told().count(f"{kind.__name__}: no validation was heard before the training ended") == 1
    assert image_steps(tmp_path) == {}


def test_a_stop_before_the_least_number_of_epochs_is_not_the_end(tmp_path):
    fit(tmp_path, [made(ClassReport, every_n_epochs=5)], model=Stopping, max_epochs=9, min_epochs=3)
    assert image_steps(tmp_path)["class_report/confusion"] == [18]


@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt])
def test_a_run_that_fails_or_is_interrupted_ends_as_it_would_have(error, tmp_path):
    class Failing(TinyNet):
        def on_train_batch_end(self, *_):
            if self.trainer.global_step == 8:
                raise error("enough")

    with pytest.raises((error, SystemExit), match="enough" if error is ArithmeticError else None):
        fit(tmp_path, [made(KernelGrid, every_n_epochs=1)], model=Failing)
    assert image_steps(tmp_path)["kernels/conv1"] == [0, 6]


def test_a_resumed_run_has_no_step_0_and_no_step_twice(tmp_path):
    run = fit(tmp_path / "first", [made(KernelGrid, every_n_epochs=4)])
    run.save_checkpoint(tmp_path / "last.ckpt")
    again = trainer(tmp_path / "second", [made(KernelGrid, every_n_epochs=4)], max_epochs=3)
    again.fit(TinyNet(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    assert image_steps(tmp_path / "second")["kernels/conv1"] == [18]


def test_a_lazy_layer_has_no_kernels_before_the_first_step(tmp_path):
    class Lazy(TinyNet):
        def __init__(self):
            super().__init__()
            self.conv1 = torch.nn.LazyConv2d(4, 3, padding=1)

    fit(tmp_path, [made(KernelGrid, every_n_epochs=2)], model=Lazy, num_sanity_val_steps=0)
    assert image_steps(tmp_path)["kernels/conv1"] == [12]
