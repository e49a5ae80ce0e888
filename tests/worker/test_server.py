"""What the helper process runs, spoken to through its own pipes as its owner does."""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lightning_cnnviz.functional.curves import Point, curve_chart
from lightning_cnnviz.functional.drawing.encode import encode
from lightning_cnnviz.worker.channel import MessageChannel
from lightning_cnnviz.worker.server import NICENESS, SIGN_OF_LIFE

SERVE = "from lightning_cnnviz.worker.server import main; main()"
TIMEOUT = 60


class Served:
    """A process that serves, and the channel to it."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.channel = MessageChannel(self.process.stdout, self.process.stdin)

    def ask(self, number, call, executor="draw"):
        self.channel.send((number, executor, call))

    def next(self):
        """Returns the next answer: number, value, exception and seconds of processor time."""
        while (answer := self.channel.receive())[0] == SIGN_OF_LIFE:
            pass
        return answer

    def answer(self, call):
        self.ask(99, call)
        number, value, error, seconds = self.next()
        assert seconds >= 0
        return number, value, error

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def served():
    """One process for all tests that leave it alive."""
    one = Served()
    yield one
    one.end()


@pytest.fixture
def own():
    """A process of the test's own."""
    one = Served()
    yield one
    one.end()


def test_every_answer_has_the_number_of_its_call_and_what_it_returned(served):
    for number, (a, b) in enumerate([(1, 2), (3, 4), (5, 6)], start=10):
        served.ask(number, partial(np.add, a, b))
    assert [served.next()[:3] for _ in range(3)] == [(10, 3, None), (11, 7, None), (12, 11, None)]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (partial(np.load, "/there/is/no/such/file"), FileNotFoundError, "/there/is/no/such/file"),
        (partial(UnicodeDecodeError, "utf-8"), TypeError, "argument"),
        (partial(int, "a word"), ValueError, "a word"),
        (partial(memoryview, b"bytes"), RuntimeError, "memoryview"),  # what it returns cannot be sent
        (partial(np.reshape, np.zeros(3), (2, 2)), ValueError, "reshape"),
    ],
    ids=["file", "arguments", "value", "result", "numpy"],
)
def test_whatever_happens_there_is_an_answer(call, error, words, served):
    number, value, raised = served.answer(call)
    assert (number, value) == (99, None)
    assert isinstance(raised, error)
    assert words in str(raised)
    assert served.answer(partial(np.add, 1, 1)) == (99, 2, None)  # and the next call has its own


def test_what_a_call_prints_does_not_get_between_the_answers(served):
    assert served.answer(partial(print, "words that nobody asked for", flush=True)) == (99, None, None)
    assert served.answer(partial(np.add, 2, 2)) == (99, 4, None)


def test_calls_of_an_executor_run_in_their_order_and_the_two_at_the_same_time(served):
    served.ask(1, partial(np.linalg.svd, np.random.default_rng(0).random((900, 900))), "compute")
    served.ask(2, partial(np.add, 1, 0), "compute")
    served.ask(3, partial(np.add, 2, 0), "draw")
    served.ask(4, partial(np.add, 3, 0), "draw")
    numbers = [served.next()[0] for _ in range(4)]
    assert numbers == [3, 4, 1, 2]


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="priorities are read by os.getpriority")
def test_it_gives_way_to_training(served):
    served.answer(partial(np.add, 1, 2))
    own = os.getpriority(os.PRIO_PROCESS, os.getpid())
    assert os.getpriority(os.PRIO_PROCESS, served.process.pid) == min(own + NICENESS, 19) > own


def test_drawing_imports_neither_torch_nor_lightning(served):
    served.answer(partial(encode, np.zeros((4, 4, 3), dtype=np.uint8)))
    _, picture, error = served.answer(partial(curve_chart, [Point(1, 1, 0.5)], [], quantity="loss"))
    assert error is None
    assert picture.shape == (400, 700, 3)
    maps = Path(f"/proc/{served.process.pid}/maps")
    if not maps.exists():
        pytest.skip("there is no /proc to see what a process has loaded")
    assert "libtorch" not in maps.read_text()


def test_it_ends_when_it_is_told_to(own):
    assert own.answer(partial(np.add, 1, 2)) == (99, 3, None)
    own.channel.send(None)
    assert own.process.wait(TIMEOUT) == 0


def test_it_ends_with_its_owner_whatever_it_is_doing(own):
    own.answer(partial(np.add, 1, 2))
    own.ask(1, partial(np.linalg.svd, np.random.default_rng(0).random((3000, 3000))), "compute")
    start = time.monotonic()
    own.process.stdin.close()
    assert own.process.wait(TIMEOUT) == 0
    assert time.monotonic() - start < 5, "it did not wait for the computation"
