"""The interface to a logger, with a default implementation that works with any."""

import re
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from lightning_cnnviz.functional.activations.histogram import Histogram
from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.functional.tab.data import TabData


class Sink:
    """Adapter to a logger; this class works with any logger and logs only scalars.

    Methods are called on the writer's thread, in the order of the callbacks' calls, except `begin` and, if
    `defers_numbers`, `numbers`, which are called on the training thread. Other work for the training thread is put
    into `deferred`: a logger that is not thread-safe would lose data that both threads log at the same time.

    Args:
        logger: A logger of a `Trainer` of either Lightning package.
    """

    takes_pictures: ClassVar[bool] = False
    defers_numbers: ClassVar[bool] = True

    def __init__(self, logger: Any) -> None:
        self.logger = logger
        self.deferred: deque[Callable[[], object]] = deque()
        """Work that the training thread does at its next call, in this order."""

    def numbers(self, values: Mapping[str, float], step: int) -> int:
        """Logs scalars, tag → value; returns the bytes written to the event file, 0 without one."""
        self.logger.log_metrics(dict(values), step=step)
        return 0

    def picture(self, tag: str, picture: Encoded, step: int) -> int:
        """Logs a picture; returns the bytes written."""
        return 0

    def tab_data(self, data: TabData, step: int) -> int:
        """Logs data for the tab; returns the bytes written."""
        return 0

    def text(self, tag: str, text: str, step: int) -> int:
        """Logs Markdown; returns the bytes written."""
        return 0

    def histogram(self, tag: str, histogram: Histogram, step: int) -> int:
        """Logs a distribution; returns the bytes written."""
        return 0

    def chart_layout(self, layout: Mapping[str, Mapping[str, list[Any]]]) -> int:
        """Sets which scalars share a chart: category → chart → [kind, tags]; returns the bytes written."""
        return 0

    def begin(self, step: int) -> None:
        """Says at which step training begins, so that records of later ones are replaced; on the training thread."""

    def close(self) -> None:
        """Logs what was put off, as the last callback ends. Called on the training thread."""

    @property
    def folder(self) -> str:
        """The folder of the run's event file; empty where there is none."""
        return ""

    def invitation(self) -> str:
        """Returns a line that says where the run is seen in the tab, or nothing where it is not."""
        return ""

    def file(self, path: Path) -> None:
        """Keeps a file as an artifact of the run, where the logger has such. Called on the training thread."""

    def losses(self) -> list[tuple[str, int, Exception]]:
        """Returns tag, step and error of each record that could not be written since the last call."""
        return []

    def flush(self, now: bool = False) -> None:
        """Makes sure that everything logged so far survives the process; a slow logger may put it off unless `now`."""


def safe_path(tag: str) -> str:
    """Returns a tag as a relative path without `..` that is valid on every operating system.

    Example:
        >>> safe_path("kernels/features.0")
        'kernels/features.0'
        >>> safe_path("../a:b//é")
        '_/a_b/_/_'
    """
    parts = (re.sub(r"[^A-Za-z0-9_. -]", "_", part).strip(" ") for part in tag.split("/"))
    return "/".join(part if part.strip(".") else "_" for part in parts)
