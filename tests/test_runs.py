"""Kinds of runs: resumed, cut short, without a length, in a thread; what is drawn when is what was asked for."""

import threading

import pytest
import pytorch_lightning as pl
import torch
from helpers.plane import PlaneNet, plane_loaders
from helpers.tiny import TinyData, TinyNet, fit, image_steps, loaders, scalars, trainer
from torch.utils.data import DataLoader, IterableDataset

from lightning_cnnviz import InputPartition, KernelGrid, LossAccuracy, cnnviz_callbacks
from lightning_cnnviz.functional.input_partition.weight_history import history_folder, saved_steps


class Stream(IterableDataset):
    def __iter__(self):
        data = TinyData(48, augment=True)
        return (data[index] for index in range(len(data)))


def ours(**options):
    return cnnviz_callbacks(num_samples=20, on_error="raise", method="pca", **options)


def steps_by_callback(folder):
    """First part of the tag → the steps of its pictures; without what is drawn once."""
    found = {}
    for tag, steps in image_steps(folder).items():
        if not tag.endswith("/film") and not tag.startswith("architecture"):
            found.setdefault(tag.split("/")[0], []).append(steps)
    assert all(steps == rows[0] for rows in found.values() for steps in rows)
    return {name: rows[0] for name, rows in found.items()}


ALL = {"kernels", "feature_maps", "gradient_flow", "curves", "projection", "class_report", "activations"}


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({"limit_train_batches": 2}, [2, 4]),
        ({"limit_train_batches": 0.5, "limit_val_batches": 1}, [3, 6]),
        ({"overfit_batches": 2}, [2, 4]),
        ({"max_steps": 9, "max_epochs": -1}, [6, 9]),
        ({"check_val_every_n_epoch": 1, "val_check_interval": 3, "num_sanity_val_steps": 2}, [6, 12]),
        ({"reload_dataloaders_every_n_epochs": 1}, [6, 12]),
    ],
    ids=str,
)
def test_cut_short(options, due, tmp_path):
    fit(tmp_path, ours(), **options)
    found = steps_by_callback(tmp_path)
    assert set(found) == ALL
    for name, steps in found.items():
        if name not in ("curves", "class_report", "activations"):  # drawn when validations end
            assert steps == due, name
        assert steps == sorted(set(steps)), name
        assert set(steps) <= set(range(due[-1] + 1)), name


def test_without_validation_what_needs_none_is_drawn(tmp_path):
    fit(tmp_path, ours(), limit_val_batches=0)
    found = steps_by_callback(tmp_path)
    assert set(found) == ALL - {"class_report"}
    assert all(steps == [6, 12] for steps in found.values()), found


def test_data_without_a_length(tmp_path):
    data = DataLoader(Stream(), 8), loaders()[1]
    fit(tmp_path, ours(), data=data)
    found = steps_by_callback(tmp_path)
    assert set(found) == ALL
    assert all(steps == [6, 12] for steps in found.values()), found


def test_in_a_thread_it_is_as_in_the_main_one(tmp_path):
    failed = []

    def run(name):
        try:
            fit(tmp_path / name, ours())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, args=("thread",))
    thread.start()
    thread.join()
    run("main")
    assert failed == []
    assert steps_by_callback(tmp_path / "thread") == steps_by_callback(tmp_path / "main") != {}
    assert [one for one in threading.enumerate() if "cnnviz" in one.name and "Worker" not in one.name] == []


@pytest.mark.parametrize("entry", ["validate", "test", "predict"])
def test_validating_testing_and_predicting_alone_leave_no_pictures(entry, tmp_path):
    class Tested(TinyNet):
        def test_step(self, batch, batch_idx):
            return self.validation_step(batch, batch_idx)

        def predict_step(self, batch, batch_idx):
            return self(batch[0])

    run = trainer(tmp_path, ours())
    getattr(run, entry)(Tested(), loaders()[1])
    assert image_steps(tmp_path) == {}


@pytest.mark.parametrize("where", ["same", "new"])
def test_a_resumed_run_goes_on_in_the_same_folder_and_in_a_new_one(where, tmp_path):
    fit(tmp_path / "first", ours(), max_epochs=2).save_checkpoint(tmp_path / "last.ckpt")
    folder = tmp_path / ("first" if where == "same" else "second")
    resumed = trainer(folder, ours(), max_epochs=4)
    resumed.fit(TinyNet(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    found = steps_by_callback(folder)
    assert set(found) == ALL
    assert all(steps == ([6, 12, 18, 24] if where == "same" else [18, 24]) for steps in found.values()), found
    for tag in ("curves/loss/train", "curves/loss/val"):  # numbers, too, without doubles or gaps
        assert [step for step, _ in scalars(folder, tag)] == ([6, 12, 18, 24] if where == "same" else [18, 24])


def test_the_curves_of_a_resumed_run_begin_where_the_first_run_began(tmp_path):
    first = LossAccuracy()
    fit(tmp_path / "first", [first], max_epochs=2).save_checkpoint(tmp_path / "last.ckpt")
    second = LossAccuracy()
    resumed = trainer(tmp_path / "second", [second], max_epochs=3)
    resumed.fit(TinyNet(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    points = {key: [point.step for point in line] for key, line in second._points.items() if line}
    assert points
    assert all(steps == [6, 12, 18] for steps in points.values()), points


@pytest.mark.parametrize("where", ["same", "new"])
def test_weights_of_a_resumed_run_are_kept_once_per_epoch(where, tmp_path):
    run = fit(tmp_path / "first", [InputPartition()], model=PlaneNet, data=plane_loaders())
    run.save_checkpoint(tmp_path / "last.ckpt")
    folder = tmp_path / ("first" if where == "same" else "second")
    resumed = trainer(folder, [InputPartition()], max_epochs=3)
    resumed.fit(PlaneNet(), *plane_loaders(), ckpt_path=tmp_path / "last.ckpt")
    kept = saved_steps(history_folder(folder / "run"))
    assert kept == ([6, 12, 18] if where == "same" else [18])


def test_a_run_that_ends_before_its_first_step_leaves_nothing_open(tmp_path):
    class Refusing(pl.Callback):
        def on_train_start(self, *_):
            raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        fit(tmp_path, [KernelGrid(), Refusing()])
    assert [one for one in threading.enumerate() if "cnnviz" in one.name and "Worker" not in one.name] == []
    assert torch.is_grad_enabled()
