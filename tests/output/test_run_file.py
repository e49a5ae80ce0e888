"""Files of a whole run: they come last, take no longer than they may, and leave nothing behind where they fail."""

import os
import tempfile
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import fsspec
import numpy as np
import pytest
from helpers.tiny import fit, image_steps

from lightning_cnnviz import KernelGrid
from lightning_cnnviz.callbacks import VisualCallback
from lightning_cnnviz.output import writer as writers
from lightning_cnnviz.output.run_file import RunFile, limited, put

BIG = np.random.default_rng(0).random((4000, 4000))
"""Its singular values take more than half a minute."""


class Filing(VisualCallback):
    """Has a file made at the end."""

    def __init__(self, name, make):
        super().__init__(tag="none")
        self.name, self.make = name, make

    def on_fit_start(self, trainer, pl_module):
        super().on_fit_start(trainer, pl_module)
        self.writer.file_at_end(RunFile(self.name, self.make, self.account))


def fails(folder, path):
    Path(path).write_text("half")
    raise OSError("no room")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_file_is_made_when_all_pictures_are_written(tmp_path, temporary):
    seen = []

    def make(folder, path):
        seen.append((folder, image_steps(tmp_path)["kernels/conv1"]))
        Path(path).write_text("all")

    fit(tmp_path, [Filing("all.txt", make), KernelGrid(every_n_train_steps=1)])
    assert seen == [(str(tmp_path / "run"), list(range(13)))]
    assert (tmp_path / "run" / "all.txt").read_text() == "all"
    assert os.listdir(temporary) == []


def test_one_that_cannot_be_made_is_one_warning_and_takes_no_place(tmp_path, temporary):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "all.txt").write_text("of before")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert fit(tmp_path, [Filing("all.txt", fails)]).state.finished
    assert len([one for one in caught if "no room" in str(one.message)]) == 1
    assert (tmp_path / "run" / "all.txt").read_text() == "of before"
    assert os.listdir(temporary) == []


def test_one_that_takes_too_long_is_given_up_and_the_helper_with_it(tmp_path, temporary, monkeypatch):
    monkeypatch.setattr(writers, "MAX_SECONDS", 0.5)
    start = time.monotonic()
    with pytest.warns(UserWarning, match=r"Filing failed.*it took longer than 0\.5 seconds"):
        fit(tmp_path, [Filing("all.txt", partial(np.linalg.svd, BIG))], max_epochs=1)
    assert time.monotonic() - start < 15
    assert not (tmp_path / "run" / "all.txt").exists()
    assert os.listdir(temporary) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "lightning_cnnviz.Timer"]


def test_a_remote_folder_gets_it(tmp_path):
    (tmp_path / "page.html").write_text("page")
    assert put(tmp_path / "page.html", "memory://runs/one/") == "memory://runs/one/page.html"
    assert fsspec.filesystem("memory").cat("/runs/one/page.html") == b"page"


def test_what_is_in_time_is_left_alone_and_its_errors_are_its_own():
    with limited(60, lambda: pytest.fail("it was in time")):
        pass
    with pytest.raises(KeyError), limited(60, lambda: pytest.fail("it was in time")):
        raise KeyError
