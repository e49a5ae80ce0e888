"""One helper process: how it is started, watched and ended."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from lightning_cnnviz.worker.channel import MessageChannel, UnsendableError
from lightning_cnnviz.worker.server import BEAT, SIGN_OF_LIFE

ExecutorName: TypeAlias = Literal["draw", "compute"]
SILENCE_LIMIT = 60
"""Seconds without any progress, while calls wait, after which a helper counts as hanging and is killed."""
LEAST_PROGRESS = 1e-3
"""Seconds of processor time that are progress."""


class WorkerDiedError(RuntimeError):
    """The helper process died during a call, or was killed because it made no progress."""


class Answer(NamedTuple):
    """Result of a call, and the processor time it took in seconds."""

    value: Any
    seconds: float


class Helper:
    """A helper process that is running.

    Calls that wait are answered or, when the process dies, fail with `WorkerDiedError`. It may be stopped or hang: a
    thread kills it when it has made no progress for `SILENCE_LIMIT` seconds although calls are waiting.

    Raises:
        OSError: If it cannot be started.
    """

    def __init__(self) -> None:
        self._futures: dict[int, Future[Answer]] = {}
        self._lock = threading.Lock()
        self._last_number = SIGN_OF_LIFE
        self._progress = threading.Event()
        self._ended = threading.Event()
        self._cause = "died unexpectedly"
        self._spent = 0.0
        self.alive = True
        """Whether it takes calls."""
        self.came_up = False
        """Whether it has ever shown a sign of life."""
        self.process = _start()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._channel = MessageChannel(self.process.stdout, self.process.stdin)
        self._threads = [
            threading.Thread(target=work, name="lightning_cnnviz.Worker", daemon=True)
            for work in (self._receive_answers, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Callable[[], Any], executor: ExecutorName) -> "Future[Answer]":
        """Sends a call.

        Raises:
            UnsendableError: If it cannot be sent.
        """
        future: Future[Answer] = Future()
        with self._lock:
            if not self.alive:
                future.set_exception(WorkerDiedError(f"the helper process that draws {self._cause}"))
                return future
            self._last_number += 1
            number = self._last_number
            self._futures[number] = future
        try:
            self._channel.send((number, executor, call))
        except OSError:
            self._bury()
        except UnsendableError:
            self._futures.pop(number, None)
            raise
        return future

    def end(self, timeout: float) -> None:
        """Ends the process, by asking it to; kills it if it is at work or has not ended within `timeout` seconds."""
        if timeout and not self._futures:  # otherwise it may not even read
            with suppress(OSError, subprocess.TimeoutExpired):
                self._channel.send(None)
                self.process.wait(timeout)
        self._cause = "was ended"
        self._bury()
        for thread in self._threads:
            thread.join()
        for end in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # buffered output cannot be delivered any more
                end.close()  # type: ignore[union-attr]

    def _receive_answers(self) -> None:
        while True:
            try:
                number, value, error, seconds = self._channel.receive()
            except Exception:  # it has died, or sent garbage
                return self._bury()
            if number == SIGN_OF_LIFE:
                self._note_progress(value)
                continue
            self._progress.set()
            future = self._futures.pop(number, None)
            if future is not None and error is None:
                future.set_result(Answer(value, seconds))
            elif future is not None:
                future.set_exception(error)
            del value, error, future  # release them before waiting for the next result

    def _note_progress(self, spent: float) -> None:
        if spent - self._spent > LEAST_PROGRESS or not self.came_up:
            self._spent = spent
            self._progress.set()
        self.came_up = True

    def _watch(self) -> None:
        silent = 0.0
        while not self._ended.wait(BEAT):  # not by the clock, which goes on while this process itself is stopped
            silent = 0.0 if self._progress.is_set() or not self._futures else silent + BEAT
            self._progress.clear()
            if silent >= SILENCE_LIMIT:
                self._cause = f"made no progress for {SILENCE_LIMIT:g} seconds and was ended"
                self.process.kill()  # so that whoever writes to it or reads from it fails
                return

    def _bury(self) -> None:
        with self._lock:
            self.alive = False
            lost, self._futures = self._futures, {}
        self._ended.set()
        self.process.kill()  # it may still run, if it sent garbage
        self.process.wait()
        for future in lost.values():
            future.set_exception(WorkerDiedError(f"the helper process that draws {self._cause}"))


def _start() -> "subprocess.Popen[bytes]":
    if not sys.executable or getattr(sys, "frozen", False):  # embedded in another program
        raise FileNotFoundError("there is no Python interpreter to start it with")
    # The package last, in case it was found by a relative path and the script has changed directory since.
    path = [entry for entry in sys.path if isinstance(entry, str)] + [str(Path(__file__).resolve().parents[2])]
    serve = "from lightning_cnnviz.worker.server import main; main()"
    one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    with _no_signals():
        return subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path[:] = {json.dumps(path)}; {serve}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **one_thread, "CUDA_VISIBLE_DEVICES": ""},
            creationflags=_WINDOWS_FLAGS,
        )


_WINDOWS_FLAGS = (
    getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
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
