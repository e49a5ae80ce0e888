"""A run's folder that is not on the disk: it gets what a local one gets, in few writes, and may go away."""

import warnings

import fsspec
import pytest
from helpers.tiny import TinyNet, events, fit, image_steps, scalars
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.compat.tensorflow_stub.io import gfile

from lightning_cnnviz import EmbeddingProjection, KernelGrid, LossAccuracy, RunReport
from lightning_cnnviz.report.write import write_report

REMOTE = "memory://cnnviz_remote"


@pytest.fixture
def remote():
    files = fsspec.filesystem("memory")
    yield files
    files.rm(REMOTE, recursive=True) if files.exists(REMOTE) else None


def visuals():
    return [KernelGrid(), LossAccuracy(), EmbeddingProjection(method="pca", num_samples=20)]


def board():
    return TensorBoardLogger(REMOTE, name="run", version="")


def brought(files, folder):
    files.get(f"{REMOTE}/run", str(folder / "run"), recursive=True)
    return folder


@pytest.mark.parametrize("seconds", [0.0, 5.0], ids=["often", "seldom"])
def test_a_remote_folder_gets_what_a_local_one_gets(seconds, remote, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_cnnviz.output.event_file.MIN_REMOTE_INTERVAL", seconds)
    fit(tmp_path / "local", visuals())
    fit(tmp_path, visuals(), logger=board())
    copied = brought(remote, tmp_path / "copied")
    assert image_steps(copied) == image_steps(tmp_path / "local")
    found, expected = (events(folder).Tags() for folder in (copied, tmp_path / "local"))
    assert sorted(found.pop("scalars")) == sorted(expected.pop("scalars"))  # which come from two threads
    assert found == expected
    assert scalars(copied, "train_loss") == scalars(tmp_path / "local", "train_loss")
    films = {path.name: path.read_bytes() for path in (copied / "run" / "cnnviz").iterdir()}
    assert films == {path.name: path.read_bytes() for path in (tmp_path / "local/run/cnnviz").iterdir()}
    assert films


def test_records_are_written_together(remote, tmp_path, monkeypatch):
    written = []
    append = gfile.FSSpecFileSystem.append

    def counting(self, filename, content, binary_mode=False):
        written.append(len(content))
        return append(self, filename, content, binary_mode)

    monkeypatch.setattr(gfile.FSSpecFileSystem, "append", counting)
    fit(tmp_path, [KernelGrid(every_n_train_steps=1)], logger=board())
    images = image_steps(brought(remote, tmp_path))
    assert len(images["kernels/conv1"]) == 13
    assert len(written) <= 6, "rather than one per record"


def test_of_files_beside_it_too(remote, tmp_path):
    fit(tmp_path, [KernelGrid()], logger=CSVLogger(REMOTE, name="run", version=""))
    remote.get(f"{REMOTE}/run", str(tmp_path / "run"), recursive=True)
    assert sorted(path.name for path in (tmp_path / "run/cnnviz/kernels/conv1").iterdir()) == [
        "00000006.png",
        "00000012.png",
    ]


def test_the_report_has_all_of_it_though_flushes_are_seldom(remote, tmp_path, monkeypatch):
    def in_this_process(*arguments, **options):  # the helper has a memory of its own
        write_report(*arguments, **options)

    monkeypatch.setattr("lightning_cnnviz.callbacks.run_report.write_file", in_this_process)
    fit(tmp_path, [RunReport(), KernelGrid(every_n_train_steps=1)], logger=board())
    found = remote.cat(f"{REMOTE}/run/report.html")
    assert found == write_report(f"{REMOTE}/run", tmp_path / "afterwards.html").read_bytes()
    assert b'"last step", "12"' in found


def test_a_remote_folder_that_goes_away_costs_one_line_and_not_the_run(remote, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_cnnviz.output.event_file.MIN_REMOTE_INTERVAL", 0.0)

    class Gone(TinyNet):
        def on_train_batch_end(self, *_):
            if self.trainer.global_step == 3:
                monkeypatch.setattr(gfile.FSSpecFileSystem, "append", refused)

    def refused(*_):
        raise ConnectionError("the bucket is gone")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit(tmp_path, [KernelGrid()], model=Gone, logger=board())
    assert run.global_step == 12
    assert sum("the bucket is gone" in str(warning.message) for warning in caught) == 1
