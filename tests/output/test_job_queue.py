"""The thread that does what waits: order, that nobody waits for it, and its end."""

import signal
import threading
import time

import pytest

from lightning_cnnviz.output.job_queue import JobQueue
from lightning_cnnviz.output.waiting import MIN_JOB_BYTES, Job


class Held:
    """A queue whose first job lasts until it is let go."""

    def __init__(self, max_bytes=2**30):
        self.queue, self.go, self.done, self.dropped = JobQueue("held", max_bytes=max_bytes), threading.Event(), [], []
        begun = threading.Event()
        self.queue.put(Job(lambda: (begun.set(), self.go.wait(60)), "held"))
        assert begun.wait(60)

    def put(self, name, tag, step=0, **options):
        self.queue.put(
            Job(lambda: self.done.append(name), tag, step, dropped=lambda: self.dropped.append(name), **options)
        )

    def finish(self):
        self.go.set()
        assert self.queue.close(60)


def test_hundreds_of_tags_are_put_while_nothing_is_done_and_nobody_waits():
    held = Held(max_bytes=1)
    putting = threading.Thread(
        target=lambda: [held.put((tag, step), f"tag {tag}", step) for step in range(5) for tag in range(400)]
    )
    putting.start()
    putting.join(60)
    assert not putting.is_alive(), "put has waited for a queue that does nothing"
    assert held.done == []
    held.finish()
    assert sorted(held.done) == sorted((tag, step) for tag in range(400) for step in (0, 4))
    assert len(held.dropped) == 400 * 3


def test_jobs_are_done_in_the_order_they_came_but_for_those_that_take_no_time():
    held = Held()
    for name, tag, kept in (("a1", "a", False), ("b1", "b", False), ("number", None, False), ("record", "r", True)):
        held.put(name, tag, kept=kept)
    held.finish()
    assert held.done == ["number", "record", "a1", "b1"]


def test_what_may_not_be_left_out_fills_it():
    held = Held(max_bytes=3 * MIN_JOB_BYTES)
    for number in range(3):
        held.put(number, "record", kept=True)
    assert not held.queue.full
    held.put(3, "record", kept=True)
    assert held.queue.full
    held.finish()
    assert not held.queue.full
    assert held.done == [0, 1, 2, 3]


def test_pending_counts_what_is_drawn_and_what_waits_to_be():
    held = Held()
    held.put("a1", "a")
    held.put("number", None)
    assert (held.queue.pending(), held.queue.drawn) == (2, 0)
    held.finish()
    assert (held.queue.pending(), held.queue.drawn) == (0, 2)


def test_closing_waits_and_a_closed_queue_works_again():
    held = Held()
    assert not held.queue.close(0.05)
    held.finish()
    held.put("later", "a")
    held.finish()
    assert held.done == ["later"]
    assert not [thread for thread in threading.enumerate() if thread.name == "lightning_cnnviz.held"]


def test_clearing_leaves_out_what_has_a_tag():
    held = Held()
    held.put("a1", "a")
    held.put("record", "r", kept=True)
    held.put("number", None)
    assert held.queue.clear() == 2
    held.finish()
    assert (held.done, sorted(held.dropped)) == (["number"], ["a1", "record"])


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs a signal to a thread")
def test_a_wait_that_ctrl_c_has_interrupted_can_be_taken_up_again():
    done, begun, main = threading.Event(), threading.Event(), threading.get_ident()

    def work():
        begun.set()
        time.sleep(1)
        done.set()

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        queue = JobQueue("interrupted", max_bytes=2**20)
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
