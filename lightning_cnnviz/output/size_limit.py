"""What bounds the event file: pictures are thinned as it grows, the same for all tags."""

import math
from collections import Counter

from pytorch_lightning.utilities import rank_zero_info

MAX_EVENT_BYTES = 10**9
"""Bytes that the event file stays below unless another limit is set; pictures are thinned as it approaches them."""


class SizeLimit:
    """Leaves out pictures of a file that grows large.

    Of each tag one of two is left out beyond half of the limit, three of four beyond three quarters, and so on.

    Attributes:
        max_bytes: Bytes beyond which no picture is written at all; None to thin them before `MAX_EVENT_BYTES`.
    """

    def __init__(self) -> None:
        self.max_bytes: int | None = None
        self._offered: Counter[str] = Counter()
        self._stride = -1, 1  # step, and of how many pictures of a tag one is written from then on
        self._reported = False

    def leaves_out(self, tag: str, step: int, written: int) -> bool:
        """Whether a picture is left out, before it is drawn; `written` are the bytes in the file."""
        if self.max_bytes is not None:
            return False
        if step > self._stride[0]:  # the same for all tags of a step
            self._stride = step, 1 << int(-math.log2(max(1 - written / MAX_EVENT_BYTES, 2**-20)))
        place, stride = self._offered[tag], self._stride[1]
        self._offered[tag] += 1
        if stride > 1:
            self._report(
                f"the event file has {written / 1e6:.3g} MB; from now on fewer pictures of each tag are written, so "
                f"that it stays below {MAX_EVENT_BYTES / 1e6:g} MB; CostLimit(max_event_mb=...) sets another limit, "
                "every_n_epochs=... draws less often"
            )
        return place % stride > 0

    def exceeded(self, size: int, written: int) -> bool:
        """Whether so many bytes do not fit any more."""
        if self.max_bytes is None or written + size <= self.max_bytes:
            return False
        self._report(f"the event file has reached its limit of {self.max_bytes / 1e6:g} MB; no more pictures")
        return True

    def _report(self, message: str) -> None:
        if not self._reported:
            self._reported = True
            rank_zero_info(f"lightning_cnnviz: {message}")
