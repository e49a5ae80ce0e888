"""What Lightning's CSV logger gets, against what TensorBoard's has."""

from collections import defaultdict

import numpy as np
import pytest
from helpers.loggers import (
    fit_beside_tensorboard,
    make,
    of_csv,
    of_tensorboard,
    same_numbers,
)
from helpers.tiny import events, fit

from lightning_cnnviz import CostLimit, GradientFlow, KernelGrid


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a run with TensorBoard's logger and this one."""
    folder = tmp_path_factory.mktemp("several")
    fit_beside_tensorboard("csv", folder)
    return folder


def test_the_csv_logger_has_the_numbers_in_its_file_and_the_pictures_beside_it(folder):
    pictures, numbers = of_tensorboard(folder)
    found, values = of_csv(folder)
    assert len(pictures) >= 12
    assert found == pictures
    same_numbers(values, numbers)
    (table,) = events(folder).Tensors("architecture/table/text_summary")
    text = (folder / "csv" / "cnnviz" / "architecture" / "table" / "00000000.md").read_bytes()
    assert text == table.tensor_proto.string_val[0]


def test_the_csv_loggers_pictures_count_as_written(tmp_path, told):
    visuals = [KernelGrid(every_n_train_steps=1), CostLimit(max_overhead=None, max_event_mb=0.02)]
    fit(tmp_path, visuals, logger=make("csv", tmp_path), max_epochs=6)
    size = sum(len(data) for data in of_csv(tmp_path)[0].values())
    assert 15_000 < size <= 20_000
    assert "MB; no more pictures" in told()
    assert visuals[0].account.written == size


def test_of_a_picture_that_finds_no_room_nothing_is_left(tmp_path, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    whole = LocalFileSystem.pipe_file

    def full(self, path, value, **options):
        whole(self, path, value[:10], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalFileSystem, "pipe_file", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        run = fit(tmp_path, [KernelGrid()], logger=make("csv", tmp_path))
    assert run.global_step == 12
    assert not list(tmp_path.rglob("*.png"))


def test_a_run_is_trained_as_without_whatever_the_logger(tmp_path):
    weights = defaultdict(list)
    for kind, visuals in (("bare", []), ("csv", [KernelGrid(every_n_train_steps=1), GradientFlow()])):
        run = fit(tmp_path / kind, visuals, logger=make("csv", tmp_path / kind))
        weights[kind] = [parameter.detach().numpy() for parameter in run.lightning_module.parameters()]
    for one, other in zip(weights["bare"], weights["csv"], strict=True):
        np.testing.assert_array_equal(one, other)
