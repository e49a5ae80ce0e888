"""The end of a run: what still waits is drawn, with a progress bar, until it is done or Ctrl-C is pressed."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info
from tqdm import tqdm  # type: ignore[import-untyped]

from lightning_cnnviz.output.job_queue import JobQueue
from lightning_cnnviz.worker.client import Worker

NOTICE_AFTER = 3
"""Seconds after which what is still to be drawn is reported."""
REFRESH = 0.2
"""Seconds between two updates of the progress bar."""
GRACE = 0.5
"""Seconds that are given, after Ctrl-C, to what is being drawn in this process and cannot be ended."""


def waits(count: int) -> str:
    """Returns what is done at the end of a run, for a number of pictures and layouts that are not drawn yet.

    Example:
        >>> waits(4), waits(0)
        ('drawing the 4 pictures and layouts that wait; Ctrl-C leaves them out', 'writing the numbers that wait')
    """
    if count == 0:
        return "writing the numbers that wait"
    one = "drawing the picture or layout that waits; Ctrl-C leaves it out"
    return one if count == 1 else f"drawing the {count} pictures and layouts that wait; Ctrl-C leaves them out"


def finish(queues: Sequence[JobQueue], trainer: Trainer, notice: str = "") -> bool:
    """Waits until all jobs are done, each queue's after those of the one before it; returns False on Ctrl-C.

    Args:
        queues: Those whose jobs are waited for.
        trainer: The trainer.
        notice: What is said if it takes longer; by default how many pictures wait.
    """
    try:
        end = time.monotonic() + NOTICE_AFTER
        if all(queue.close(max(0.0, end - time.monotonic())) for queue in queues):
            return True
        bar = trainer.progress_bar_callback is not None
        left = sum(queue.pending() for queue in queues)
        rank_zero_info(f"lightning_cnnviz: {notice or waits(left)}")
        with _ctrl_c(trainer), tqdm(desc="drawing", unit="picture", disable=not bar, leave=False) as shown:
            before = sum(queue.drawn for queue in queues)
            for queue in queues:
                while not queue.close(REFRESH):
                    shown.n = sum(queue.drawn for queue in queues) - before
                    shown.total = shown.n + sum(queue.pending() for queue in queues)
                    shown.refresh()
        return True
    except KeyboardInterrupt:
        return False


def cancel(queues: Sequence[JobQueue], worker: Worker) -> None:
    """Leaves out what waits and ends the helper's work, within a second; scalars are still written."""
    left = sum(queue.clear() for queue in queues)
    worker.kill()
    for queue in queues:
        queue.close(GRACE)
    rank_zero_info(f"lightning_cnnviz: {left} pictures and layouts left out")


@contextmanager
def _ctrl_c(trainer: Trainer) -> Iterator[None]:
    # Lightning ignores Ctrl-C once it ends a run because of an earlier one; it may have been pressed twice in a hurry.
    # Now that it has been said what it does, it counts.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN and trainer.interrupted
    if not ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
