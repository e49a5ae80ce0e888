"""One helper process: what becomes of calls when it is stopped, hangs, dies or cannot be started."""

import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lightning_cnnviz.worker import helper as room
from lightning_cnnviz.worker.channel import UnsendableError
from lightning_cnnviz.worker.helper import Helper, WorkerDiedError

BIG = np.random.default_rng(0).random((1500, 1500))
stoppable = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")


@pytest.fixture
def helper():
    """A helper that has answered once."""
    own = Helper()
    assert own.submit(partial(np.add, 1, 2), "draw").result(60).value == 3
    yield own
    own.end(0)
    assert own.process.poll() is not None
    assert not [thread for thread in own._threads if thread.is_alive()]


def test_an_answer_says_what_processor_time_it_took(helper):
    start = time.process_time()
    np.linalg.svd(BIG)
    here = time.process_time() - start
    answer = helper.submit(partial(np.linalg.svd, BIG), "compute").result(120)
    assert here / 4 < answer.seconds < 4 * here
    assert helper.submit(partial(np.add, 1, 2), "draw").result(60).seconds < here / 4


@stoppable
def test_a_stopped_helper_is_ended_and_its_calls_fail(helper, monkeypatch):
    monkeypatch.setattr(room, "SILENCE_LIMIT", 2)
    os.kill(helper.process.pid, signal.SIGSTOP)
    calls = [helper.submit(partial(np.add, 1, 2), executor) for executor in ("draw", "compute")]
    for call in calls:
        with pytest.raises(WorkerDiedError, match="made no progress for 2 seconds"):
            call.result(60)
    assert not helper.alive
    with pytest.raises(WorkerDiedError):
        helper.submit(partial(np.add, 1, 2), "draw").result(60)


@stoppable
def test_who_sends_more_than_a_stopped_helper_takes_is_not_held_up_for_ever(helper, monkeypatch):
    monkeypatch.setattr(room, "SILENCE_LIMIT", 2)
    os.kill(helper.process.pid, signal.SIGSTOP)
    with pytest.raises(WorkerDiedError):  # the array does not fit into the pipe
        helper.submit(partial(np.sum, BIG), "draw").result(60)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_a_call_that_waits_for_ever_is_ended_though_the_process_lives(helper, monkeypatch, tmp_path):
    monkeypatch.setattr(room, "SILENCE_LIMIT", 2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WorkerDiedError, match="made no progress"):
        helper.submit(partial(np.loadtxt, str(tmp_path / "pipe")), "draw").result(60)


def test_a_call_that_takes_longer_than_silence_may_is_progress(helper, monkeypatch):
    monkeypatch.setattr(room, "SILENCE_LIMIT", 2)
    values = helper.submit(partial(np.linalg.svd, np.random.default_rng(0).random((2500, 2500))), "compute")
    start = time.monotonic()
    assert len(values.result(300).value) == 3
    if time.monotonic() - start < 4:
        pytest.skip("this machine is too fast for it")


def test_while_nothing_is_asked_silence_does_not_matter(helper, monkeypatch):
    monkeypatch.setattr(room, "SILENCE_LIMIT", 1)
    time.sleep(3)
    assert helper.submit(partial(np.add, 1, 2), "draw").result(60).value == 3


def test_calls_that_cannot_be_sent_leave_nothing_behind(helper):
    with pytest.raises(UnsendableError):
        helper.submit(lambda: 1, "draw")
    assert helper._futures == {}


@stoppable
def test_ending_does_not_wait_for_a_stopped_helper(helper):
    os.kill(helper.process.pid, signal.SIGSTOP)
    sending = threading.Thread(target=helper.submit, args=(partial(np.sum, BIG), "draw"))
    sending.start()
    time.sleep(0.2)
    start = time.monotonic()
    helper.end(60)
    assert time.monotonic() - start < 30
    sending.join(60)
    assert not sending.is_alive()


def test_without_an_interpreter_none_starts(monkeypatch):
    monkeypatch.setattr("sys.executable", "/there/is/no/python")
    before = threading.active_count()
    with pytest.raises(OSError, match="/there/is/no/python"):
        Helper()
    assert threading.active_count() == before


def test_it_finds_the_package_after_the_script_has_changed_directory(monkeypatch, tmp_path):
    elsewhere = [entry for entry in sys.path if entry and not Path(entry, "lightning_cnnviz").exists()]
    monkeypatch.setattr(sys, "path", ["", *elsewhere])
    monkeypatch.chdir(tmp_path)
    own = Helper()
    try:
        assert own.submit(partial(np.add, 1, 2), "draw").result(60).value == 3
    finally:
        own.end(0)
