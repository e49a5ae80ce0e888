"""Client of the helper process that draws pictures and computes layouts while training continues."""

import os
import threading
import time
import warnings
from collections.abc import Callable
from typing import ClassVar, TypeVar

from lightning_cnnviz.worker.channel import UnsendableError
from lightning_cnnviz.worker.helper import ExecutorName, Helper, WorkerDiedError

T = TypeVar("T")
SHUTDOWN_TIMEOUT = 5
"""Seconds that an idle helper is given to exit."""
MAX_DEATHS = 4
"""Helpers that may die one after the other, without any answer between them, before no more is started."""


class Worker:
    """Runs functions in a helper process, which is shared by all concurrent users.

    The helper is a fresh interpreter: it is not a fork of this process (which would hang after OpenMP has run) and
    does not import the user's script. It has a lower priority than this process (see `NICENESS`), a single thread for
    numerical libraries, no GPU, and does not import PyTorch. It exits at the last `release` or when this process ends,
    for whatever reason. Where none can be started, its work is done in this process.

    Example:
        >>> import numpy as np
        >>> from functools import partial
        >>> worker = Worker.acquire()
        >>> int(worker.run(partial(np.add, 1, 2)))
        3
        >>> worker.release()
    """

    _shared: ClassVar["Worker | None"] = None
    _shared_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._users = 0
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._helper: Helper | None = None
        self._deaths = 0
        self._unavailable = False

    @classmethod
    def acquire(cls) -> "Worker":
        """Returns this process's worker; each `acquire` needs a `release`. The helper starts at the first call."""
        with cls._shared_lock:
            if cls._shared is None or cls._shared._owner != os.getpid():  # a forked process has no helper
                cls._shared = cls()
            cls._shared._users += 1
            return cls._shared

    def release(self) -> None:
        """Ends one use; the last one shuts the helper down."""
        with Worker._shared_lock:
            self._users -= 1
            if self._users:
                return
            if Worker._shared is self:
                Worker._shared = None
        self._end(SHUTDOWN_TIMEOUT)

    def kill(self) -> None:
        """Kills the helper at once; the next call that is wanted starts another."""
        self._end(0)

    def run(
        self,
        call: Callable[[], T],
        executor: ExecutorName = "draw",
        wanted: Callable[[], bool] = lambda: True,
        spend: Callable[[float], None] = lambda _: None,
    ) -> T:
        """Runs a function in the helper and returns its result.

        A call that cannot be sent, such as one of a function in the user's own script, runs in this process. A helper
        that dies or hangs is replaced once.

        Args:
            call: A function of `lightning_cnnviz.functional` or NumPy that takes no arguments, usually a
                `functools.partial`; tensors among its bound arguments arrive as NumPy arrays.
            executor: Calls of one executor run one after the other; the two executors run concurrently.
            wanted: Whether the result is still wanted; if not, nothing is run. A `kill` after it has become false ends
                all work on it.
            spend: Called with the processor time that the call took, in seconds.

        Raises:
            WorkerDiedError: If both the helper and its replacement died, or the result is no longer wanted.
            Exception: What the function raised.
        """
        for attempt in (1, 2):
            helper = None
            try:
                if (helper := self._wanted_helper(wanted)) is None:
                    break
                answer = helper.submit(call, executor).result()
            except UnsendableError:
                break
            except WorkerDiedError as error:
                if helper is None:
                    raise
                if not wanted():
                    raise WorkerDiedError("the result is no longer wanted") from error
                if attempt == 1 or self._never_came_up(helper):
                    continue
                raise
            self._deaths = 0
            spend(answer.seconds)
            return answer.value  # type: ignore[no-any-return]
        start = time.thread_time()
        try:
            return call()
        finally:
            spend(time.thread_time() - start)

    def _wanted_helper(self, wanted: Callable[[], bool]) -> Helper | None:
        """Returns the helper, which is started if there is none; None where none can be started."""
        with self._lock:  # `kill` has it too, so that none is started behind its back
            if not wanted():
                raise WorkerDiedError("the result is no longer wanted")
            if self._helper is not None and self._helper.alive:
                return self._helper
            if self._unavailable:
                return None
            if self._helper is not None:
                self._helper.end(0)
                self._helper, self._deaths = None, self._deaths + 1
            if self._deaths >= MAX_DEATHS:
                raise WorkerDiedError(
                    f"the helper process that draws died {self._deaths} times; it is not started again"
                )
            self._helper = self._start()
            return self._helper

    def _start(self) -> Helper | None:
        try:
            return Helper()
        except OSError as error:
            self._do_without(str(error))
            return None

    def _never_came_up(self, helper: Helper) -> bool:
        if not helper.came_up and not self._unavailable:
            self._do_without("it ended before its first call")
        return self._unavailable

    def _do_without(self, reason: str) -> None:
        self._unavailable = True
        warnings.warn(
            f"lightning_cnnviz: the helper process that draws cannot be started ({reason}); "
            "pictures are drawn in this process, which slows training down",
            stacklevel=2,
        )

    def _end(self, timeout: float) -> None:
        with self._lock:
            helper, self._helper = self._helper, None
        if helper is not None:
            helper.end(timeout)
