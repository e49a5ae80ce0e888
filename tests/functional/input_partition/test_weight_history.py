import numpy as np
import pytest
import torch
from torch import nn

from lightning_cnnviz.functional.input_partition.panels import Points
from lightning_cnnviz.functional.input_partition.weight_history import (
    drop_later,
    load_weights,
    redraw,
    save_data,
    save_weights,
    saved_steps,
)

BOUNDS = (-2.0, 2.0, -2.0, 2.0)


def model_at(epoch):
    torch.manual_seed(epoch)
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1), nn.Sigmoid())


@pytest.fixture
def folder(tmp_path):
    history = tmp_path / "partition_history"
    data = Points(np.random.default_rng(0).uniform(-1, 1, (30, 2)), np.arange(30) % 2)
    save_data(history, data, None, ["outer", "inner"], BOUNDS, (2,))
    for epoch in range(1, 6):
        save_weights(history, model_at(epoch), epoch, 10 * epoch, at_most=50)
    return history


def test_weights_come_back_as_they_were(folder):
    for asked, epoch in ((3, 3), (None, 5), (99, 5)):
        saved = load_weights(folder, asked)
        assert (saved["epoch"], saved["step"]) == (epoch, 10 * epoch)
        expected = model_at(epoch).state_dict()
        assert saved["state_dict"].keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in saved["state_dict"].items())


def test_files_load_without_unpickling_code(folder):
    for path in folder.iterdir():
        torch.load(path, weights_only=True)


def test_too_early_an_epoch_is_refused_with_what_there_is(folder):
    with pytest.raises(FileNotFoundError, match=r"weights of epoch 0 or before .* got epochs: 1, 2, 3, 4, 5"):
        load_weights(folder, 0)
    with pytest.raises(FileNotFoundError, match="got epochs: none"):
        load_weights(folder / "nowhere")


@pytest.mark.parametrize("at_most", [1, 2, 5, 10])
def test_a_long_run_keeps_few_files_spread_over_all_of_it(at_most, tmp_path):
    for step in range(1, 201):
        save_weights(tmp_path, nn.Linear(2, 1), step, step, at_most)
        assert len(saved_steps(tmp_path)) == min(step, at_most)
    steps = saved_steps(tmp_path)
    assert steps[-1] == 200
    if at_most > 1:
        assert steps[0] == 1
        assert np.diff(steps).max() <= 3.5 * 200 / (len(steps) - 1)


def test_what_a_lost_part_of_a_run_saved_goes(folder):
    drop_later(folder, 25)
    assert saved_steps(folder) == [10, 20]


def test_views_are_those_of_the_earlier_weights(folder):
    other = model_at(77)
    state = {name: value.clone() for name, value in other.state_dict().items()}
    again = redraw(other, folder.parent, epoch=2)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in state.items())
    direct = redraw(model_at(2), folder.parent, epoch=2)
    assert len(again) == 8
    for view, picture in again.items():
        np.testing.assert_array_equal(picture, direct[view])
    assert not np.array_equal(redraw(other, folder.parent, epoch=3)["2/cells"], again["2/cells"])


def test_another_model_is_refused(folder):
    with pytest.raises(ValueError, match="expected a model that matches the weights in"):
        redraw(nn.Linear(2, 1), folder.parent)


def test_a_broken_file_costs_only_its_own_epoch(folder):
    (folder / "step=10.pt").write_bytes(b"half")
    assert load_weights(folder)["epoch"] == 5
    assert load_weights(folder, 2)["epoch"] == 2
