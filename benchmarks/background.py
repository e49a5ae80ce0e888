"""CPU time that threads and processes of the background take, read from Linux's /proc."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.02
"""Seconds between two looks; what a thread does after the last look before its end is missed."""


class Background:
    """CPU seconds of all threads and child processes that are not there at the start.

    Train once before, so that the threads that training itself takes are there already.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._before = {task: _seconds(task) for task in _tasks(os.getpid())}

    @property
    def seconds(self) -> float:
        """CPU seconds so far; NaN where the system has no /proc."""
        return sum(self._seconds.values()) if self._before else float("nan")

    @contextmanager
    def watched(self) -> Iterator["Background"]:
        """Looks again and again, on a thread of its own that is not counted."""
        done = threading.Event()

        def watch() -> None:
            own = f"/{threading.get_native_id()}"
            while not done.wait(PAUSE):
                for task in set(_tasks(os.getpid())).difference(self._before):
                    if not task.endswith(own):
                        self._seconds[task] = max(self._seconds.get(task, 0.0), _seconds(task))

        thread = threading.Thread(target=watch, name="benchmarks.Background", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            done.set()
            thread.join()


def resident_megabytes() -> tuple[float, float]:
    """Resident memory of this process, and of its children, in MB; NaN where the system has no /proc."""
    if not Path("/proc/self/statm").exists():
        return float("nan"), float("nan")
    fields = [_read(f"/proc/{process}/statm").split() for process in _processes(os.getpid())]
    own, *others = (int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 for pages in fields if pages)
    return own, sum(others)


def _processes(process: int) -> list[int]:
    children: list[int] = []
    for task in _own_tasks(process):
        children.extend(int(child) for child in _read(f"{task}/children").split())
    return [process, *(found for child in children for found in _processes(child))]


def _tasks(process: int) -> list[str]:
    return [task for member in _processes(process) for task in _own_tasks(member)]


def _own_tasks(process: int) -> list[str]:
    try:
        return [f"/proc/{process}/task/{name}" for name in os.listdir(f"/proc/{process}/task")]
    except OSError:  # it has ended
        return []


def _seconds(task: str) -> float:
    return int((_read(f"{task}/schedstat") or "0").split()[0]) / 1e9


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
