"""A job queue with a single worker thread, which drops outdated jobs rather than block its callers."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """Work to be done later.

    Attributes:
        work: Does the work; must handle its own failures.
        key: Older jobs with the same key may be dropped in favour of newer ones; None for a job that is never dropped.
        dropped: Called when the job is dropped.
    """

    work: Callable[[], None]
    key: str | None = None
    dropped: Callable[[], None] = lambda: None


class JobQueue:
    """Runs jobs in the order of arrival, on a thread that lives from the first job to `close`.

    Args:
        name: Name of the thread.
        capacity: Maximum number of pending jobs that have a key. A further one replaces the oldest with the same key;
            only if there is none does `put` block.
        per_key: Maximum number of pending jobs with the same key.
        idle: Called on the thread whenever no job is pending.

    Example:
        >>> queue, done = JobQueue("example", capacity=4, per_key=4), []
        >>> for number in (1, 2):
        ...     queue.put(Job(lambda number=number: done.append(number)))
        >>> queue.close()
        True
        >>> done
        [1, 2]
    """

    def __init__(self, name: str, *, capacity: int, per_key: int, idle: Callable[[], None] = lambda: None) -> None:
        self._name, self._capacity, self._per_key, self._idle = name, capacity, per_key, idle
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = self._done = False

    def put(self, job: Job) -> None:
        """Enqueues a job; blocks while the queue is full and no older job with its key can be dropped."""
        with self._changed:
            if job.key is not None:
                self._wait_for_slot(job.key)
            self._jobs.append(job)
            if self._thread is None:
                self._closing = self._done = False
                self._thread = threading.Thread(target=self._run, name=f"lightning_cnnviz.{self._name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def pending(self) -> int:
        """Returns the number of jobs that have not started."""
        return len(self._jobs)

    def close(self, timeout: float | None = None) -> bool:
        """Waits until all jobs are done and ends the thread; returns False if that takes over `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
            # not `join`, after which, once Ctrl-C has interrupted it, a thread that runs counts as ended
            if thread is not None and not self._changed.wait_for(lambda: self._done, timeout):
                return False
            self._thread = None
        if thread is not None:
            thread.join()
        return True

    def clear(self) -> int:
        """Drops all pending jobs that have a key; returns their number."""
        with self._changed:
            lost = [job for job in self._jobs if job.key is not None]
            self._jobs = deque(job for job in self._jobs if job.key is None)
            self._changed.notify_all()
        for job in lost:
            job.dropped()
        return len(lost)

    def _wait_for_slot(self, key: str) -> None:
        while True:
            keyed = [job for job in self._jobs if job.key is not None]
            same = [job for job in keyed if job.key == key]
            if len(keyed) < self._capacity and len(same) < self._per_key:
                return
            if same:
                self._jobs.remove(same[0])
                same[0].dropped()
            else:
                self._changed.wait()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closing:
                    self._changed.wait()
                if not self._jobs:
                    self._done = True
                    self._changed.notify_all()
                    return
                job = self._jobs.popleft()
                self._changed.notify_all()
            job.work()
            del job  # and the data that it holds
            if not self._jobs:
                self._idle()
