"""The frame around all work that a callback does on the training thread."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_cnnviz.callbacks.base import VisualCallback


class Duty:
    """Measures the time on the training thread and keeps errors from the run; a class, as every step enters it."""

    __slots__ = ("_callback", "_flexible", "_start")

    def __init__(self, callback: "VisualCallback", flexible: bool) -> None:
        self._callback, self._flexible = callback, flexible

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        callback = self._callback
        kept = isinstance(error, Exception) and callback.keeps(error)
        callback.account.add(time.perf_counter() - self._start, self._flexible)
        if callback.account.failures:
            callback.report_failures()
        return kept
