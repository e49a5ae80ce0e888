"""The end of a run: what still waits is drawn, with a progress bar; Ctrl-C ends that at once, and nothing is left."""

import signal
import threading
import time
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
from helpers.tiny import fit, image_steps

from lightning_cnnviz import KernelGrid
from lightning_cnnviz.callbacks import VisualCallback
from lightning_cnnviz.output import closing
from lightning_cnnviz.output.run_file import RunFile
from lightning_cnnviz.worker.client import Worker

BIG = np.random.default_rng(0).random((4000, 4000))
"""Its singular values take more than half a minute."""
BACK = 15
"""Seconds within which Ctrl-C has to end what would take minutes, on a machine that is busy with other things."""
pressable = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs a signal to a thread")


class Slow(VisualCallback):
    """Draws what takes a minute or more in the helper process."""

    def drawings(self, trainer, module):
        for number in range(5):
            yield f"{self.tag}/{number}", partial(np.linalg.svd, BIG)


class Computing(VisualCallback):
    """Computes what takes as long."""

    def computation(self, trainer, module):
        return lambda run: run(partial(np.linalg.svd, BIG)) and ([], {})


class Sleeping(VisualCallback):
    """Draws in this process, for half a second each."""

    def drawings(self, trainer, module):
        for number in range(4):
            yield f"{self.tag}/{number}", lambda: (time.sleep(0.5), np.zeros((4, 4, 3), dtype=np.uint8))[1]


class CtrlC(pl.Callback):
    """Ends the training as Ctrl-C does."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 8:
            raise KeyboardInterrupt


@pytest.fixture
def pressed(monkeypatch):
    """Has Ctrl-C pressed half a second after it was said what it does; a list of when, and of helpers' processes."""
    handler, say, times, main = signal.getsignal(signal.SIGINT), closing.rank_zero_info, [], threading.get_ident()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    processes = []

    def press():
        processes.append(Worker._shared._helper.process)
        times.append(time.monotonic())
        signal.pthread_kill(main, signal.SIGINT)

    def said(words):
        say(words)
        if "Ctrl-C leaves" in words:
            threading.Timer(0.5, press).start()

    monkeypatch.setattr(closing, "rank_zero_info", said)
    monkeypatch.setattr(closing, "NOTICE_AFTER", 0.5)
    yield times, processes
    signal.signal(signal.SIGINT, handler)


def nothing_is_left(process):
    names = [thread.name for thread in threading.enumerate() if "cnnviz" in thread.name]
    return names == [] and process.poll() is not None


@pressable
@pytest.mark.parametrize("kind", [Slow, Computing])
def test_ctrl_c_ends_the_last_drawing_and_leaves_nothing_at_work(kind, pressed, tmp_path, told, recwarn):
    times, processes = pressed
    with pytest.raises(SystemExit):  # as Lightning ends on Ctrl-C; in a notebook the process lives on
        fit(tmp_path, [kind(tag="slow"), KernelGrid()], max_epochs=1)
    assert time.monotonic() - times[0] < BACK
    assert nothing_is_left(processes[0])
    assert "pictures and layouts left out" in told()
    assert not [warning for warning in recwarn if "failed to" in str(warning.message)]


class Filing(KernelGrid):
    """Has a file of the run made that takes as long."""

    def on_train_start(self, trainer, pl_module):
        super().on_train_start(trainer, pl_module)
        self.writer.file_at_end(RunFile("all.txt", partial(np.linalg.svd, BIG), self.account))


@pressable
def test_ctrl_c_leaves_out_a_file_of_the_run_but_no_picture(pressed, tmp_path, told, recwarn):
    times, processes = pressed
    with pytest.raises(SystemExit):
        fit(tmp_path, [Filing()], max_epochs=1)
    assert time.monotonic() - times[0] < BACK
    assert nothing_is_left(processes[0])
    assert "; Ctrl-C leaves " in told()  # it out, or on a busy machine also pictures that wait
    assert "all.txt left out" in told()
    assert image_steps(tmp_path) == {"kernels/conv1": [6], "kernels/conv2": [6]}
    assert not [warning for warning in recwarn if "failed to" in str(warning.message)]


@pressable
def test_a_second_ctrl_c_counts_once_it_has_been_said_what_it_does(pressed, tmp_path):
    times, processes = pressed
    with pytest.raises(SystemExit):
        fit(tmp_path, [CtrlC(), Slow(tag="slow")])
    assert time.monotonic() - times[0] < BACK
    assert nothing_is_left(processes[0])


@pytest.mark.parametrize(
    ("count", "words"), [(0, "the numbers"), (1, "the picture or layout that waits; Ctrl-C leaves it")]
)
def test_what_waits_is_told_in_words_that_fit_its_number(count, words):
    assert words in closing.waits(count)


def test_what_waits_is_drawn_with_a_bar_that_says_how_much(tmp_path, monkeypatch, capsys, told):
    monkeypatch.setattr(closing, "NOTICE_AFTER", 0.2)
    fit(tmp_path, [Sleeping(tag="a")], max_epochs=1, enable_progress_bar=True)
    assert image_steps(tmp_path) == {f"a/{number}": [6] for number in range(4)}
    assert "drawing the 4 pictures and layouts that wait; Ctrl-C leaves them out" in told()
    shown = capsys.readouterr().err
    assert "/4 [" in shown
    assert "drawing:" in shown


def test_a_short_wait_is_quiet_and_so_is_a_run_without_bars(tmp_path, monkeypatch, capsys, told):
    fit(tmp_path / "a", [KernelGrid()], max_epochs=1, enable_progress_bar=True)
    assert "drawing:" not in capsys.readouterr().err
    assert "Ctrl-C leaves" not in told()
    monkeypatch.setattr(closing, "NOTICE_AFTER", 0.2)
    fit(tmp_path / "b", [Sleeping(tag="a")], max_epochs=1)
    assert "drawing:" not in capsys.readouterr().err
    assert "Ctrl-C leaves" in told()
