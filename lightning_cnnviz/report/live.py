"""Does something whenever the event files of a run have grown."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from lightning_cnnviz.tensorboard_plugin.event_files import event_files, open_file

INTERVAL = 10.0
"""Seconds between two looks, at least."""
UNHURRIED = 10
"""How many times as long as an update has taken the pause after it is, at least."""
QUIET = 3600.0
"""Seconds without anything new after which the run counts as ended."""


class Refresher:
    """A thread that does something at once, and again whenever the event files of a run have grown.

    Args:
        folders: Of the run, and perhaps of others.
        work: Returns whether there was anything new.
    """

    def __init__(self, folders: Sequence[str], work: Callable[[], bool]) -> None:
        self._folders, self._work = folders, work
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lightning_cnnviz.Refresher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after what it does at the moment."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        seen, newest = 0, time.monotonic()
        while True:
            start, size = time.monotonic(), size_of(self._folders)
            if (size != seen or not size) and self._work():  # without a size, the run is in a folder below
                newest = start
            seen = size
            if start - newest > QUIET or self._stopped.wait(max(INTERVAL, UNHURRIED * (time.monotonic() - start))):
                return


def size_of(folders: Sequence[str]) -> int:
    """Returns the bytes of all event files in some folders."""
    size = 0
    for folder in folders:
        with suppress(OSError):
            for path in event_files(folder):
                with open_file(path) as file:
                    size += file.seek(0, 2)
    return size
