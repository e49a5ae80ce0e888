"""The helper process: what runs there, what it survives, and that it never outlives us."""

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.curves import Point, curve_chart
from lightning_cnnviz.functional.drawing.image import to_array
from lightning_cnnviz.worker.client import MAX_DEATHS, Worker
from lightning_cnnviz.worker.helper import Helper, WorkerDiedError


@pytest.fixture
def worker():
    """A worker of the test's own, beside the one that all tests share."""
    own = Worker()
    yield own
    own.kill()


def test_what_runs_there_gives_what_it_gives_here(worker):
    points = [Point(epoch, epoch, 1 / epoch) for epoch in (1, 2, 3)]
    draw = partial(curve_chart, points, [], quantity="loss", title="loss")
    there = worker.run(draw)
    np.testing.assert_array_equal(there, draw())
    assert worker._helper.process.pid != os.getpid()


def test_what_is_in_sys_path_beside_texts_is_passed_over_as_by_python_itself(worker, monkeypatch):
    monkeypatch.setattr(sys, "path", [Path("src"), *sys.path, None])
    assert worker.run(partial(np.sum, np.arange(4))) == 6


def test_tensors_arrive_as_arrays_of_the_same_values(worker):
    weight = torch.nn.Parameter(torch.randn(4, 3))
    np.testing.assert_array_equal(worker.run(partial(to_array, weight)), weight.detach().numpy())
    half = torch.randn(5).bfloat16()
    np.testing.assert_array_equal(worker.run(partial(to_array, half)), half.float().numpy())


def test_what_is_raised_there_is_raised_here(worker):
    with pytest.raises(ValueError, match="cannot reshape"):
        worker.run(partial(np.reshape, np.zeros(3), (2, 2)))


def test_what_belongs_to_the_users_script_runs_here(worker):
    here = []
    worker.run(lambda: here.append(os.getpid()))
    assert here == [os.getpid()]


def test_a_helper_that_is_killed_is_replaced(worker):
    worker.run(partial(np.add, 1, 2))
    first = worker._helper.process.pid
    os.kill(first, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    assert worker.run(partial(np.add, 1, 2)) == 3
    assert worker._helper.process.pid != first


def test_what_kills_its_helper_twice_is_given_up(worker, monkeypatch):
    ask = Helper.submit

    def deadly(helper, call, executor):
        future = ask(helper, call, executor)
        helper.process.kill()
        return future

    big = np.random.default_rng(0).random((1500, 1500))
    worker.run(partial(np.add, 1, 2))
    monkeypatch.setattr(Helper, "submit", deadly)
    with pytest.raises(WorkerDiedError):
        worker.run(partial(np.linalg.svd, big))
    monkeypatch.undo()
    assert worker.run(partial(np.add, 1, 2)) == 3


def test_what_is_no_longer_wanted_is_not_begun_again(worker, monkeypatch):
    submit, wanted = Helper.submit, [True]

    def killed_meanwhile(helper, call, executor):
        future = submit(helper, call, executor)
        wanted[0] = False
        worker.kill()
        return future

    monkeypatch.setattr(Helper, "submit", killed_meanwhile)
    big = np.random.default_rng(0).random((1500, 1500))
    with pytest.raises(WorkerDiedError, match="no longer wanted"):
        worker.run(partial(np.linalg.svd, big), wanted=lambda: wanted[0])
    assert worker._helper is None


def test_where_none_can_be_started_its_work_is_done_here_and_that_is_said_once(worker, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/there/is/no/python")
    spent = []
    with pytest.warns(UserWarning, match=r"cannot be started \(.*no/python.*\); pictures are drawn in this process"):
        assert worker.run(partial(np.add, 1, 2), spend=spent.append) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert worker.run(partial(np.add, 3, 4), spend=spent.append) == 7
    assert len(spent) == 2
    assert worker._helper is None


def test_one_that_ends_before_its_first_call_is_done_without(worker, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false") or "/bin/false")
    with pytest.warns(UserWarning, match="it ended before its first call"):
        assert worker.run(partial(np.add, 1, 2)) == 3
    assert worker.run(partial(np.add, 3, 4)) == 7


def test_after_too_many_deaths_in_a_row_no_more_are_started(worker, monkeypatch):
    worker.run(partial(np.add, 1, 2))
    ask, big = Helper.submit, np.random.default_rng(0).random((1500, 1500))

    def deadly(helper, call, executor):
        future = ask(helper, call, executor)
        if call.func is np.linalg.svd:
            helper.process.kill()
        return future

    monkeypatch.setattr(Helper, "submit", deadly)
    for _ in range(MAX_DEATHS):
        worker.run(partial(np.add, 1, 2))  # an answer between two deaths: it is the call that is to blame
        with pytest.raises(WorkerDiedError, match="died unexpectedly"):
            worker.run(partial(np.linalg.svd, big))
    for _ in range(MAX_DEATHS):
        with pytest.raises(WorkerDiedError):
            worker.run(partial(np.linalg.svd, big))
    with pytest.raises(WorkerDiedError, match=f"died {MAX_DEATHS} times; it is not started again"):
        worker.run(partial(np.add, 1, 2))


def test_it_lives_from_the_first_use_to_the_last_release():
    script = """
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
import numpy as np
from lightning_cnnviz.worker.client import Worker
first, second = Worker.acquire(), Worker.acquire()
assert first is second and first._helper is None
first.run(partial(np.add, 1, 2))
process = first._helper.process
first.release()
assert process.poll() is None
second.release()
assert process.poll() is not None
assert [thread for thread in threading.enumerate() if "cnnviz" in thread.name] == []
assert Worker.acquire() is not first
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the process in /proc")
def test_it_does_not_outlive_a_process_that_is_killed():
    script = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
import numpy as np
from lightning_cnnviz.worker.client import Worker
worker = Worker.acquire()
worker.run(partial(np.add, 1, 2))
print(worker._helper.process.pid, flush=True)
worker.run(partial(np.linalg.svd, np.random.default_rng(0).random((4000, 4000))))
"""
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    helper = int(run.stdout.readline())
    run.kill()
    run.wait()
    run.stdout.close()
    for _ in range(100):
        if not _runs(helper):
            return
        time.sleep(0.1)
    pytest.fail("the helper is still there 10 seconds after its owner was killed")


def _runs(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
