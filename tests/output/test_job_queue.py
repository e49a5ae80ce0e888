"""The queue before the drawing: order, what is left out, who waits."""

import signal
import threading
import time

import pytest

from lightning_cnnviz.output.job_queue import Job, JobQueue


class Held:
    """A lane whose first job lasts until it is let go."""

    def __init__(self, **options):
        self.lane, self.go, self.done, self.dropped = JobQueue("held", **options), threading.Event(), [], []
        begun = threading.Event()
        self.lane.put(Job(lambda: (begun.set(), self.go.wait(60))))
        assert begun.wait(60)

    def put(self, name, key):
        self.lane.put(Job(lambda: self.done.append(name), key, lambda: self.dropped.append(name)))

    def finish(self):
        self.go.set()
        assert self.lane.close(60)


def test_a_full_queue_leaves_out_the_oldest_of_the_same_key_and_nothing_else():
    held = Held(capacity=3, per_key=3)
    for name, key in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a"), ("b2", "b")):
        held.put(name, key)
    held.finish()
    assert held.dropped == ["a1", "b1"]
    assert held.done == ["a2", "a3", "b2"]


def test_of_one_key_as_many_wait_as_it_may():
    held = Held(capacity=10, per_key=1)
    for name, key in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a")):
        held.put(name, key)
    held.finish()
    assert held.dropped == ["a1", "a2"]
    assert held.done == ["b1", "a3"]


def test_jobs_without_a_key_take_no_room_and_are_never_left_out():
    held = Held(capacity=1, per_key=1)
    for number in range(200):
        held.put(number, None)
    held.put("a1", "a")
    held.put("a2", "a")
    held.finish()
    assert held.done == [*range(200), "a2"]


def test_a_caller_waits_only_where_nothing_of_its_key_can_go():
    held = Held(capacity=1, per_key=1)
    held.put("a1", "a")
    waiting = threading.Thread(target=held.put, args=("b1", "b"))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    held.go.set()
    waiting.join(60)
    held.finish()
    assert held.done == ["a1", "b1"]
    assert held.dropped == []


def test_closing_waits_and_a_closed_lane_works_again():
    held = Held(capacity=4, per_key=4)
    assert not held.lane.close(0.05)
    held.finish()
    held.put("later", "a")
    held.finish()
    assert held.done == ["later"]
    assert not [thread for thread in threading.enumerate() if thread.name == "lightning_cnnviz.held"]


def test_clearing_leaves_out_what_has_a_key():
    held = Held(capacity=4, per_key=4)
    held.put("a1", "a")
    held.put("number", None)
    assert held.lane.clear() == 1
    held.finish()
    assert (held.done, held.dropped) == (["number"], ["a1"])


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs a signal to a thread")
def test_a_wait_that_ctrl_c_has_interrupted_can_be_taken_up_again():
    done, begun, main = threading.Event(), threading.Event(), threading.get_ident()

    def work():
        begun.set()
        time.sleep(1)
        done.set()

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        queue = JobQueue("interrupted", capacity=4, per_key=4)
        queue.put(Job(work))
        begun.wait()
        threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            queue.close()
        assert not done.is_set()
        assert queue.close()
        assert done.is_set()
    finally:
        signal.signal(signal.SIGINT, handler)
