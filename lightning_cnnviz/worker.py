"""A helper process of low priority, in which pictures are drawn and layouts computed while training goes on."""

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

from lightning_cnnviz.channel import Channel, UnsendableError

T = TypeVar("T")
Lane: TypeAlias = Literal["draw", "compute"]
PATIENCE = 5
"""Seconds that an idle helper gets to end by itself."""


class WorkerDiedError(RuntimeError):
    """The helper process ended while it was at work."""


class Worker:
    """Runs functions in a helper process; one process serves all who ask for it at the same time.

    It is a fresh interpreter: neither a fork of this process (which would hang after OpenMP has run), nor does it
    import the user's script. It has the lowest priority (nice 19), one thread for numerical libraries, no GPU, and
    does not import PyTorch. It ends with the last `release`, or when this process ends, however that happens.

    Example:
        >>> import numpy as np
        >>> from functools import partial
        >>> worker = Worker.acquire()
        >>> int(worker.run(partial(np.add, 1, 2)))
        3
        >>> worker.release()
    """

    _shared: ClassVar["Worker | None"] = None
    _sharing: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._users = 0
        self._owner = os.getpid()
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._reader: threading.Thread | None = None
        self._waiting: dict[int, Future[Any]] = {}
        self._number = 0

    @classmethod
    def acquire(cls) -> "Worker":
        """The process's worker; every `acquire` wants its `release`. The helper starts at its first use."""
        with cls._sharing:
            if cls._shared is None or cls._shared._owner != os.getpid():  # a fork has none
                cls._shared = cls()
            cls._shared._users += 1
            return cls._shared

    def release(self) -> None:
        """Ends one use; with the last one the helper ends."""
        with Worker._sharing:
            self._users -= 1
            if self._users:
                return
            if Worker._shared is self:
                Worker._shared = None
        self._stop(PATIENCE)

    def kill(self) -> None:
        """Ends the helper at once; what it is asked for next starts another."""
        self._stop(0)

    def run(self, call: Callable[[], T], lane: Lane = "draw") -> T:
        """Runs a function in the helper and waits for what it returns.

        What can't be sent there, such as a function of the user's own script, is run here. A helper that dies is
        replaced once.

        Args:
            call: A function of `lightning_cnnviz.functional` or NumPy without arguments, usually a
                `functools.partial`; tensors among its arguments arrive as NumPy arrays.
            lane: Calls of a lane run one after the other, the two lanes at the same time.

        Raises:
            WorkerDiedError: If the helper, and the one that replaced it, died.
            Exception: What the function raised.
        """
        for attempt in (1, 2):
            try:
                future = self._ask(call, lane)
            except UnsendableError:
                break
            try:
                return future.result()  # type: ignore[no-any-return]
            except WorkerDiedError:
                if attempt == 2:
                    raise
        return call()

    def _ask(self, call: Callable[[], Any], lane: Lane) -> "Future[Any]":
        future: Future[Any] = Future()
        with self._starting:
            channel = self._channel or self._start()
            if channel is None:
                raise UnsendableError("there is no interpreter to start")
            self._number += 1
            number = self._number
            self._waiting[number] = future
        try:
            channel.send((number, lane, call))
        except OSError:
            self._died(channel)
        except UnsendableError:
            del self._waiting[number]
            raise
        return future

    def _start(self) -> Channel | None:
        if not sys.executable or getattr(sys, "frozen", False):  # embedded in a program that is not Python
            return None
        start = f"import sys; sys.path[:] = {json.dumps(sys.path)}; import lightning_cnnviz.worker_main as w; w.main()"
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
        channel = self._channel = Channel(self._process.stdout, self._process.stdin)
        self._reader = threading.Thread(
            target=self._listen, args=(channel,), name="lightning_cnnviz.Worker", daemon=True
        )
        self._reader.start()
        return channel

    def _listen(self, channel: Channel) -> None:
        while True:
            try:
                number, value, error = channel.receive()
            except Exception:  # it is gone, or talks nonsense
                return self._died(channel)
            future = self._waiting.pop(number)
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
            del value, error, future  # not to be kept until the next answer

    def _died(self, channel: Channel) -> None:
        with self._starting:
            if self._channel is not channel:
                return
            self._channel = None
            lost, self._waiting = self._waiting, {}
            if self._process is not None:
                self._process.kill()  # it may have gone mad rather than died
                self._process.wait()
        for future in lost.values():
            future.set_exception(WorkerDiedError("the helper process that draws ended unexpectedly"))

    def _stop(self, patience: float) -> None:
        with self._starting:
            process, channel, reader = self._process, self._channel, self._reader
            self._process = self._reader = None
        if process is None:
            return
        try:
            if channel is not None:
                channel.send(None)
            process.wait(patience)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        if reader is not None:
            reader.join()
        for end in (process.stdin, process.stdout):
            assert end is not None
            with suppress(OSError):  # what was still to be sent has nowhere to go
                end.close()


_WINDOWS_FLAGS = (
    getattr(subprocess, "IDLE_PRIORITY_CLASS", 0)
    | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    | getattr(subprocess, "CREATE_NO_WINDOW", 0)
)


@contextmanager
def _no_signals() -> Iterator[None]:
    # A process started meanwhile never gets these, so that Ctrl-C reaches the training alone, which ends the helper.
    # A session of its own would do as well, but on Linux its low priority would count in that session only.
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
