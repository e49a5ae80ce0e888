"""The helper process: what runs there, what it survives, and that it never outlives us."""

import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_cnnviz.channel import Channel, UnsendableError
from lightning_cnnviz.functional.encode import Encoded, encode
from lightning_cnnviz.functional.figure import line_chart
from lightning_cnnviz.functional.image import to_array
from lightning_cnnviz.worker import Worker, WorkerDiedError


@pytest.fixture
def worker():
    """A worker of the test's own, beside the one that all tests share."""
    own = Worker()
    yield own
    own.kill()


def test_what_runs_there_gives_what_it_gives_here(worker):
    x = np.arange(3.0)
    draw = partial(line_chart, {"loss": (x, x)}, title="loss", x_label="epoch", y_label="loss")
    there = worker.run(draw)
    np.testing.assert_array_equal(there, draw())
    assert worker._process.pid != os.getpid()


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


def test_drawing_imports_neither_torch_nor_lightning(worker):
    x = np.arange(3.0)
    worker.run(partial(encode, np.zeros((4, 4, 3), dtype=np.uint8)))
    worker.run(partial(line_chart, {"loss": (x, x)}, title="", x_label="", y_label=""))
    maps = Path(f"/proc/{worker._process.pid}/maps")
    if not maps.exists():
        pytest.skip("there is no /proc to see what a process has loaded")
    assert "libtorch" not in maps.read_text()


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="priorities are read by os.getpriority")
def test_it_has_the_lowest_priority(worker):
    worker.run(partial(np.add, 1, 2))
    assert os.getpriority(os.PRIO_PROCESS, worker._process.pid) == 19


def test_the_two_lanes_do_not_wait_for_each_other(worker):
    worker.run(partial(np.add, 1, 2))
    big = np.random.default_rng(0).random((1500, 1500))
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(worker.run, partial(np.linalg.svd, big), "compute")
        quick = pool.submit(worker.run, partial(np.add, 1, 2), "draw")
        assert quick.result(60) == 3
        assert not slow.done()
        slow.result(120)


def test_a_helper_that_is_killed_is_replaced(worker):
    worker.run(partial(np.add, 1, 2))
    first = worker._process.pid
    os.kill(first, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    assert worker.run(partial(np.add, 1, 2)) == 3
    assert worker._process.pid != first


def test_what_kills_its_helper_twice_is_given_up(worker, monkeypatch):
    ask = worker._ask

    def deadly(call, lane):
        future = ask(call, lane)
        worker._process.kill()
        return future

    big = np.random.default_rng(0).random((1500, 1500))
    monkeypatch.setattr(worker, "_ask", deadly)
    with pytest.raises(WorkerDiedError):
        worker.run(partial(np.linalg.svd, big))
    monkeypatch.undo()
    assert worker.run(partial(np.add, 1, 2)) == 3


def test_it_lives_from_the_first_use_to_the_last_release():
    script = """
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
import numpy as np
from lightning_cnnviz.worker import Worker
first, second = Worker.acquire(), Worker.acquire()
assert first is second and first._process is None
first.run(partial(np.add, 1, 2))
process = first._process
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
from lightning_cnnviz.worker import Worker
worker = Worker.acquire()
worker.run(partial(np.add, 1, 2))
print(worker._process.pid, flush=True)
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


def test_a_channel_says_what_it_does_not_send():
    channel = Channel(io.BytesIO(), io.BytesIO())
    with pytest.raises(UnsendableError, match="pathlib"):
        channel.send(Path("weights"))
    with pytest.raises(UnsendableError):
        channel.send(lambda: None)


def test_a_channel_carries_arrays_of_any_layout():
    pipe = io.BytesIO()
    arrays = [
        np.asfortranarray(np.random.default_rng(0).random((3, 5))),
        np.zeros((0, 4)),
        np.array(2.5),
        np.arange(9)[::2],
    ]
    Channel(pipe, pipe).send((1, arrays, Encoded(b"png", 2, 3)))
    pipe.seek(0)
    number, received, encoded = Channel(pipe, pipe).receive()
    assert (number, encoded) == (1, Encoded(b"png", 2, 3))
    for sent, got in zip(arrays, received, strict=True):
        np.testing.assert_array_equal(sent, got)
        assert got.flags.writeable


def test_a_channel_that_breaks_off_says_so():
    pipe = io.BytesIO()
    Channel(pipe, pipe).send(np.zeros(100))
    with pytest.raises(EOFError, match="gone"):
        Channel(io.BytesIO(pipe.getvalue()[:-1]), pipe).receive()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (partial(open, "/there/is/no/such/file"), FileNotFoundError),  # an OSError is not the end of the connection
        (partial(UnicodeDecodeError, "utf-8"), TypeError),
        (partial(int, "a word"), ValueError),
        (partial(memoryview, b"what it returns cannot be sent"), RuntimeError),
    ],
    ids=["file", "arguments", "value", "result"],
)
def test_whatever_happens_there_is_an_answer(call, error, worker):
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(worker.run, call)
        try:
            with pytest.raises(error):
                asked.result(300)
        finally:
            worker.kill()  # or the thread would wait for ever
