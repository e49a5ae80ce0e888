"""A queue that one thread works off, which rather leaves out what is outdated than keep anyone waiting."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """Something to be done later.

    Attributes:
        work: Does it, and takes its own failures.
        key: Of several jobs with one key the newest is worth most; None for a job that is never left out.
        dropped: Called when the job is left out.
    """

    work: Callable[[], None]
    key: str | None = None
    dropped: Callable[[], None] = lambda: None


class Lane:
    """Works jobs off in the order in which they came, on a thread that lives from the first job to `close`.

    Args:
        name: Of the thread.
        room: Jobs with a key that may wait. One more takes the place of the oldest with the same key; only where there
            is none does its caller wait.
        per_key: Of these, jobs with the same key.
        idle: Called on the thread whenever nothing is waiting.

    Example:
        >>> lane, done = Lane("example", room=4, per_key=4), []
        >>> for number in (1, 2):
        ...     lane.put(Job(lambda number=number: done.append(number)))
        >>> lane.close()
        True
        >>> done
        [1, 2]
    """

    def __init__(self, name: str, *, room: int, per_key: int, idle: Callable[[], None] = lambda: None) -> None:
        self._name, self._room, self._per_key, self._idle = name, room, per_key, idle
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def put(self, job: Job) -> None:
        """Hands a job over."""
        with self._changed:
            if job.key is not None:
                self._make_room(job.key)
            self._jobs.append(job)
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._run, name=f"lightning_cnnviz.{self._name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def waiting(self) -> int:
        """Jobs that have not begun."""
        return len(self._jobs)

    def close(self, timeout: float | None = None) -> bool:
        """Waits until everything is done and ends the thread; False if that took longer than `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def clear(self) -> int:
        """Leaves out everything with a key that waits; returns how much that was."""
        with self._changed:
            lost = [job for job in self._jobs if job.key is not None]
            self._jobs = deque(job for job in self._jobs if job.key is None)
            self._changed.notify_all()
        for job in lost:
            job.dropped()
        return len(lost)

    def _make_room(self, key: str) -> None:
        while True:
            keyed = [job for job in self._jobs if job.key is not None]
            same = [job for job in keyed if job.key == key]
            if len(keyed) < self._room and len(same) < self._per_key:
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
                    return
                job = self._jobs.popleft()
                self._changed.notify_all()
            job.work()
            del job  # and with it what it would have drawn
            if not self._jobs:
                self._idle()
