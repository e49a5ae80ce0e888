"""Client of the low-priority helper process that draws pictures and computes layouts while training continues."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from lightning_cnnviz.worker.channel import MessageChannel, UnsendableError

T = TypeVar("T")
ExecutorName: TypeAlias = Literal["draw", "compute"]
SHUTDOWN_TIMEOUT = 5
"""Seconds that an idle helper is given to exit."""


class WorkerDiedError(RuntimeError):
    """The helper process died during a call."""


class Worker:
    """Runs functions in a helper process, which is shared by all concurrent users.

    The helper is a fresh interpreter: it is not a fork of this process (which would hang after OpenMP has run) and
    does not import the user's script. It has the lowest priority (nice 19), a single thread for numerical libraries,
    no GPU, and does not import PyTorch. It exits at the last `release` or when this process ends, for whatever reason.

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
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: MessageChannel | None = None
        self._reader: threading.Thread | None = None
        self._futures: dict[int, Future[Any]] = {}
        self._last_number = 0

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
        self._stop(SHUTDOWN_TIMEOUT)

    def kill(self) -> None:
        """Kills the helper at once; the next call starts another."""
        self._stop(0)

    def run(
        self, call: Callable[[], T], executor: ExecutorName = "draw", wanted: Callable[[], bool] = lambda: True
    ) -> T:
        """Runs a function in the helper and returns its result.

        A call that cannot be sent, such as one of a function in the user's own script, runs in this process. A helper
        that dies is replaced once.

        Args:
            call: A function of `lightning_cnnviz.functional` or NumPy that takes no arguments, usually a
                `functools.partial`; tensors among its bound arguments arrive as NumPy arrays.
            executor: Calls of one executor run one after the other; the two executors run concurrently.
            wanted: Whether the result is still wanted; if not, the helper is not started for it again.

        Raises:
            WorkerDiedError: If both the helper and its replacement died, or the result is no longer wanted.
            Exception: What the function raised.
        """
        for attempt in (1, 2):
            if not wanted():
                raise WorkerDiedError("the result is no longer wanted")
            try:
                future = self._submit(call, executor)
            except UnsendableError:
                break
            try:
                return future.result()  # type: ignore[no-any-return]
            except WorkerDiedError:
                if attempt == 2:
                    raise
        return call()

    def _submit(self, call: Callable[[], Any], executor: ExecutorName) -> "Future[Any]":
        future: Future[Any] = Future()
        with self._lock:
            channel = self._channel or self._start()
            if channel is None:
                raise UnsendableError("no Python interpreter to start the helper with")
            self._last_number += 1
            number = self._last_number
            self._futures[number] = future
        try:
            channel.send((number, executor, call))
        except OSError:
            self._handle_death(channel)
        except UnsendableError:
            del self._futures[number]
            raise
        return future

    def _start(self) -> MessageChannel | None:
        if not sys.executable or getattr(sys, "frozen", False):  # embedded in another program
            return None
        serve = "from lightning_cnnviz.worker.server import main; main()"
        start = (
            f"import sys; sys.path[:] = {json.dumps([entry for entry in sys.path if isinstance(entry, str)])}; {serve}"
        )
        variables = ("OMP", "MKL", "OPENBLAS", "NUMBA")
        one_thread = {f"{name}_NUM_THREADS": "1" for name in variables}
        with _no_signals():
            self._process = subprocess.Popen(
                [sys.executable, "-c", start],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **one_thread, "CUDA_VISIBLE_DEVICES": ""},
                creationflags=_WINDOWS_FLAGS,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        channel = self._channel = MessageChannel(self._process.stdout, self._process.stdin)
        self._reader = threading.Thread(
            target=self._receive_results, args=(channel,), name="lightning_cnnviz.Worker", daemon=True
        )
        self._reader.start()
        return channel

    def _receive_results(self, channel: MessageChannel) -> None:
        while True:
            try:
                number, value, error = channel.receive()
            except Exception:  # it has died, or sent garbage
                return self._handle_death(channel)
            future = self._futures.pop(number)
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
            del value, error, future  # release them before waiting for the next result

    def _handle_death(self, channel: MessageChannel) -> None:
        with self._lock:
            if self._channel is not channel:
                return
            self._channel = None
            lost, self._futures = self._futures, {}
            if self._process is not None:
                self._process.kill()  # it may still run, if it sent garbage
                self._process.wait()
        for future in lost.values():
            future.set_exception(WorkerDiedError("the helper process that draws died unexpectedly"))

    def _stop(self, timeout: float) -> None:
        with self._lock:
            process, channel, reader = self._process, self._channel, self._reader
            self._process = self._reader = None
        if process is None:
            return
        try:
            if channel is not None:
                channel.send(None)
            process.wait(timeout)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        if reader is not None:
            reader.join()
        for end in (process.stdin, process.stdout):
            assert end is not None
            with suppress(OSError):  # buffered output cannot be delivered any more
                end.close()


_WINDOWS_FLAGS = (
    getattr(subprocess, "IDLE_PRIORITY_CLASS", 0)
    | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    | getattr(subprocess, "CREATE_NO_WINDOW", 0)
)


@contextmanager
def _no_signals() -> Iterator[None]:
    # A process started in this context never receives these signals, so that Ctrl-C reaches only the training process,
    # which then ends the helper. A new session would work too, but on Linux its nice value would apply only within it.
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    blocked = {getattr(signal, name) for name in names if hasattr(signal, name)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
