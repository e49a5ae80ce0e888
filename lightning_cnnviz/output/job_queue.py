"""A thread that does what waits, for which its callers never wait."""

import threading
from collections.abc import Callable

from lightning_cnnviz.output.waiting import Job, Waiting


class JobQueue:
    """Runs jobs on a thread that lives from the first job to `close`.

    Args:
        name: Name of the thread.
        max_bytes: Bytes that may wait before jobs are left out, see `Waiting`.
        idle: Called on the thread whenever no job is waiting.

    Example:
        >>> queue, done = JobQueue("example", max_bytes=2**20), []
        >>> for number in (1, 2):
        ...     queue.put(Job(lambda number=number: done.append(number)))
        >>> queue.close()
        True
        >>> done
        [1, 2]
    """

    def __init__(self, name: str, *, max_bytes: int, idle: Callable[[], None] = lambda: None) -> None:
        self._name, self._idle = name, idle
        self._waiting = Waiting(max_bytes)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = self._done = False
        self._drawing = False
        self.drawn = 0
        """Number of jobs with a tag that are done."""

    @property
    def full(self) -> bool:
        """Whether what may not be left out alone holds as much as may wait."""
        return self._waiting.kept_bytes > self._waiting.max_bytes

    def put(self, job: Job) -> None:
        """Enqueues a job, in place of others where too much waits."""
        with self._changed:
            gone = self._waiting.add(job)
            if self._thread is None:
                self._closing = self._done = False
                self._thread = threading.Thread(target=self._run, name=f"lightning_cnnviz.{self._name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        for one in gone:
            one.dropped()

    def pending(self) -> int:
        """Returns the number of jobs with a tag that are not done."""
        with self._changed:
            return self._waiting.pictures + self._drawing

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
        """Drops all waiting jobs that have a tag; returns their number."""
        with self._changed:
            gone = self._waiting.clear()
            self._changed.notify_all()
        for job in gone:
            job.dropped()
        return len(gone)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    self._done = True
                    self._changed.notify_all()
                    return
                job = self._waiting.take()
                self._drawing = job.tag is not None
            job.work()
            with self._changed:
                self.drawn += self._drawing
                self._drawing = False
            del job  # and the data that it holds
            if not self._waiting:
                self._idle()
