"""The one interface to loggers, and what is enough for any of them."""

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from lightning_cnnviz.functional.encode import Encoded
from lightning_cnnviz.functional.record import Record


class Sink:
    """One logger of a run; this class suits any, and gives it numbers only.

    Methods are called on the writer's thread, in the order of the callbacks' calls; `resume`, and with `numbers_late`
    `numbers` too, on the training thread. What else only that may do goes into `late`: a logger that is not made for
    several threads would lose what both log at a time.

    Args:
        logger: Of a `Trainer` of either Lightning package.
    """

    takes_pictures: ClassVar[bool] = False
    numbers_late: ClassVar[bool] = True

    def __init__(self, logger: Any) -> None:
        self.logger = logger
        self.late: deque[Callable[[], object]] = deque()
        """What the training thread does at its next call, in this order."""

    def numbers(self, values: Mapping[str, float], step: int) -> int:
        """Logs numbers, tag → value; returns the bytes of the event file that they take, 0 without one."""
        self.logger.log_metrics(dict(values), step=step)
        return 0

    def picture(self, tag: str, picture: Encoded, step: int) -> int:
        """Logs a picture; returns the bytes that it takes."""
        return 0

    def record(self, record: Record, step: int) -> int:
        """Logs data for the tab; returns the bytes that they take."""
        return 0

    def text(self, tag: str, text: str, step: int) -> int:
        """Logs Markdown; returns the bytes that it takes."""
        return 0

    def chart_layout(self, layout: Mapping[str, Mapping[str, list[Any]]]) -> int:
        """Says which numbers one chart shows: category → chart → [kind, tags]; returns the bytes that it takes."""
        return 0

    def resume(self, step: int) -> None:
        """Is told on the training thread that what was logged of later steps was lost and comes again."""

    def flush(self) -> None:
        """Makes sure that what was logged survives the process."""


def safe_path(tag: str) -> str:
    """A tag as a relative path that leads nowhere else and is valid on every system.

    Example:
        >>> safe_path("kernels/features.0")
        'kernels/features.0'
        >>> safe_path("../a:b//é")
        '_/a_b/_/_'
    """
    parts = (re.sub(r"[^A-Za-z0-9_. -]", "_", part).strip(" ") for part in tag.split("/"))
    return "/".join(part if part.strip(".") else "_" for part in parts)
