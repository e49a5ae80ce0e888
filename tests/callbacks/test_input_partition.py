"""The pictures and numbers in the event file, the weights in the run folder, and models that do not fit."""

import io

import numpy as np
import pytest
import torch
from helpers.plane import PlaneNet, plane_loaders
from helpers.tiny import TinyNet, events, fit, image_steps, scalars
from PIL import Image
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz import InputPartition, Probe
from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.functional.input_partition.weight_history import redraw, saved_steps

LAYER_VIEWS = ("nodes", "layer", "cells")


def fit_plane(folder, *callbacks, model=PlaneNet, **options):
    return fit(folder, callbacks, model=model, data=plane_loaders(), **options)


def pictures(folder, tag):
    return {
        image.step: np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
        for image in events(folder).Images(tag)
    }


def test_every_view_of_every_layer_is_in_the_event_file(tmp_path):
    fit_plane(tmp_path, InputPartition(on_error="raise"))
    views = [
        "input/data",
        "output/decision",
        *(f"{layer}/{view}" for layer in ("conv1", "fc1") for view in LAYER_VIEWS),
    ]
    assert image_steps(tmp_path) == {f"partition/{view}": [6, 12] for view in views}


def test_cells_are_counted_as_patterns_of_a_fine_grid_of_points(tmp_path):
    callback = InputPartition(on_error="raise", bounds=[-2, 2, -2, 2])
    run = fit_plane(tmp_path, callback, max_epochs=1)
    model = run.lightning_module.eval()
    axis = torch.linspace(-2, 2, 1500)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        first = model.norm(model.conv1(points))
        second = model.fc1(first.clamp(min=0))
    patterns = {"conv1": first > 0, "fc1": second > 0}
    for name, pattern in patterns.items():
        assert scalars(tmp_path, f"partition/{name}/num_cells") == [(6, len(pattern.unique(dim=0)))]
    both = torch.cat(list(patterns.values()), dim=1)
    assert scalars(tmp_path, "partition/fc1/num_cells_cumulated") == [(6, len(both.unique(dim=0)))]


def test_an_earlier_epoch_can_be_drawn_again_to_the_last_pixel(tmp_path):
    fit_plane(tmp_path, InputPartition(on_error="raise"))
    folder = tmp_path / "run"
    assert saved_steps(folder / "partition_history") == [6, 12]
    for view, picture in redraw(PlaneNet(), folder, epoch=1).items():
        np.testing.assert_array_equal(picture, pictures(tmp_path, f"partition/{view}")[6])


def test_a_history_is_bounded_and_can_be_left_out(tmp_path):
    fit_plane(tmp_path / "few", InputPartition(history=2, every_n_train_steps=4, layers="conv1"))
    assert saved_steps(tmp_path / "few" / "run" / "partition_history") == [4, 12]
    fit_plane(tmp_path / "none", InputPartition(history=0, layers="conv1"))
    assert not (tmp_path / "none" / "run" / "partition_history").exists()


def test_chosen_layers_are_shown(tmp_path):
    fit_plane(tmp_path, InputPartition(layers=["act"], tag="cuts", on_error="raise"), max_epochs=1)
    assert set(image_steps(tmp_path)) == {
        "cuts/input/data", "cuts/output/decision", "cuts/fc1/nodes", "cuts/fc1/layer", "cuts/fc1/cells"
    }  # fmt: skip


def refused(folder, message, model=PlaneNet, callback=None):
    torch.manual_seed(0)
    net = model()
    with pytest.raises(ConfigurationError, match=message):
        fit(folder, [callback or InputPartition()], model=net, data=plane_loaders())
    assert net.trainer.global_step == 0


def test_more_than_two_inputs_end_the_run_before_its_first_step(tmp_path):
    with pytest.raises(ConfigurationError, match=r"expected a model with two inputs, got inputs of shape \(1, 8, 8\)"):
        fit(tmp_path, [InputPartition()], model=TinyNet)


class Functional(PlaneNet):
    def forward(self, x):
        return self.fc2(F.relu(self.fc1(self.relu(self.conv1(x)))))


class Attention(PlaneNet):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(2, 1, batch_first=True)


class Recurrent(PlaneNet):
    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(2, 2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Functional, r"InputPartition: expected what the model returns to be affine .* write nn.ReLU\(\)"),
        (Attention, "got attention, a MultiheadAttention; recurrent and attention layers are not"),
        (Recurrent, "got memory, a LSTM"),
    ],
)
def test_models_that_cannot_be_cut_end_the_run_before_its_first_step(model, message, tmp_path):
    refused(tmp_path, message, model)


def test_too_many_cells_cost_the_picture_and_not_the_run(tmp_path):
    with pytest.warns(UserWarning, match="InputPartition failed to draw; training continues: .*more than max_cells=2"):
        run = fit_plane(tmp_path, InputPartition(max_cells=2))
    assert run.global_step == 12


def test_names_that_do_not_match_the_outputs_are_refused_with_both_counts(tmp_path):
    probe = Probe(100, class_names=["a", "b", "c", "d", "e"])
    refused(tmp_path, "each of the model's 4 classes, got 5 class_names", callback=InputPartition(probe=probe))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bounds": [0, 1, 2]}, "each low < high, got"),
        ({"bounds": [1, 0, 0, 1]}, "each low < high, got"),
        ({"max_cells": 0}, "max_cells to be at least 1, got 0"),
        ({"max_units": 0}, "max_units to be at least 1, got 0"),
        ({"history": -1}, "history to be at least 0, got -1"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        InputPartition(**arguments)


def test_without_validation_data_only_training_data_are_shown(tmp_path):
    train, _ = plane_loaders()
    fit(tmp_path, [InputPartition(on_error="raise", layers="conv1")], model=PlaneNet, data=(train, None), max_epochs=1)
    assert pictures(tmp_path, "partition/input/data")[6].shape[1] == 420  # one panel
