"""Receptive fields along one axis: which pixels each place of a map depends on, operation by operation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
NOTHING = np.iinfo(np.int64).max
"""First pixel of a place that depends on none, such as one that sees only padding."""


class Axis(NamedTuple):
    """The pixels that each place of a map depends on, along one axis.

    Attributes:
        low: First pixel of each place, shape (places,).
        high: Last pixel of each place, shape (places,); -1 if it depends on none.
        start: First pixel of the first place if padding were a part of the image; below zero where it is in it.
        step: Pixels from one place to the next, likewise.
        size: Pixels of a place, likewise; 0 if places differ in it, so that these three mean nothing.
        pixels: Number of pixels of the image.
    """

    low: Indices
    high: Indices
    start: int
    step: int
    size: int
    pixels: int

    @classmethod
    def of_image(cls, pixels: int) -> "Axis":
        """The axis of the image itself: each pixel depends on itself."""
        places = np.arange(pixels, dtype=np.int64)
        return cls(places, places, 0, 1, 1, pixels)

    @classmethod
    def whole(cls, places: int, pixels: int) -> "Axis":
        """An axis of which each place depends on the whole image."""
        low = np.zeros(places, dtype=np.int64)
        return cls(low, low + pixels - 1, 0, 0, 0, pixels)

    @property
    def extent(self) -> int:
        """Pixels of a patch that shows what a place sees, at most those of the image."""
        if 0 < self.size <= self.pixels:
            return self.size
        return int(min(self.pixels, max(1, (self.high - np.minimum(self.low, self.high + 1) + 1).max())))

    def first(self) -> Indices:
        """First pixel of the patch of each place, shape (places,); outside the image where padding is seen."""
        if 0 < self.size <= self.pixels:
            return self.start + self.step * np.arange(len(self.low), dtype=np.int64)
        return np.minimum(np.minimum(self.low, self.pixels), self.pixels - self.extent)

    def windows(self, kernel: int, stride: int, padding: int, dilation: int, places: int) -> "Axis":
        """The axis of a convolution or pooling.

        Args:
            kernel: Size of its window.
            stride: Places of this axis from one window to the next.
            padding: Places before the first one.
            dilation: Places from one tap of the window to the next.
            places: Number of windows.

        Example:
            >>> axis = Axis.of_image(6).windows(kernel=3, stride=2, padding=1, dilation=1, places=3)
            >>> axis.low.tolist(), axis.high.tolist(), axis.first().tolist(), axis.extent
            ([0, 1, 3], [1, 3, 5], [-1, 1, 3], 3)
        """
        corners = np.arange(places, dtype=np.int64) * stride - padding
        taken = self._taken([corners + tap * dilation for tap in range(kernel)])
        reach = (kernel - 1) * dilation * self.step
        size = self.size + reach if self.size else 0
        return taken._replace(start=self.start - padding * self.step, step=self.step * stride, size=size)

    def transposed(self, kernel: int, stride: int, padding: int, dilation: int, places: int) -> "Axis":
        """The axis of a transposed convolution; the arguments are its own, as in `windows`.

        Example:
            >>> Axis.of_image(3).transposed(kernel=2, stride=2, padding=0, dilation=1, places=6).low.tolist()
            [0, 0, 1, 1, 2, 2]
        """
        made = np.arange(places, dtype=np.int64) + padding
        sources = []
        for tap in range(kernel):
            source, rest = np.divmod(made - tap * dilation, stride)
            sources.append(np.where(rest == 0, source, -1))
        return self._taken(sources)

    def pooled_to(self, places: int) -> "Axis":
        """The axis of an adaptive pooling to so many places.

        Example:
            >>> Axis.of_image(5).pooled_to(2).high.tolist()
            [2, 4]
        """
        number = len(self.low)
        index = np.arange(places, dtype=np.int64)
        begin, end = index * number // places, -(-(index + 1) * number // places)
        taken = self._taken([np.minimum(begin + tap, end - 1) for tap in range(int((end - begin).max()))])
        if places and number % places == 0 and self.size:
            every = number // places
            size = self.size + (every - 1) * self.step
            return taken._replace(start=self.start, step=self.step * every, size=size)
        return taken

    def interpolated(self, places: int, *, linear: bool) -> "Axis":
        """The axis of an upsampling by a whole factor, to the nearest place or linearly without aligned corners."""
        number = len(self.low)
        index = np.arange(places)
        if not linear:
            return self._taken([index * number // places])
        left = np.maximum((index + 0.5) * number / places - 0.5, 0)
        exact = left == np.floor(left)
        before = np.floor(left).astype(np.int64)
        return self._taken([before, np.where(exact, before, np.minimum(before + 1, number - 1))])

    def padded(self, left: int, right: int, mode: str) -> "Axis":
        """The axis of a map that was padded on both sides, or cropped where an argument is below zero."""
        names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
        wide = max(left, 0), max(right, 0)
        fill = {"constant_values": NOTHING} if mode == "constant" else {}
        empty = {"constant_values": -1} if mode == "constant" else {}
        low = np.pad(self.low, wide, mode=names[mode], **fill)  # type: ignore[call-overload]
        high = np.pad(self.high, wide, mode=names[mode], **empty)  # type: ignore[call-overload]
        kept = slice(max(-left, 0), len(low) - max(-right, 0))
        size = self.size if mode == "constant" else 0
        return self._replace(low=low[kept], high=high[kept], start=self.start - left * self.step, size=size)

    def _taken(self, sources: Sequence[Indices]) -> "Axis":
        """The axis whose places depend on those places of this axis, a row of indices for each; others are outside."""
        low = np.full(len(sources[0]), NOTHING, dtype=np.int64)
        high = np.full(len(sources[0]), -1, dtype=np.int64)
        for source in sources:
            inside = (source >= 0) & (source < len(self.low))
            at = np.clip(source, 0, len(self.low) - 1)
            low = np.where(inside, np.minimum(low, self.low[at]), low)
            high = np.where(inside, np.maximum(high, self.high[at]), high)
        return Axis(low, high, 0, 0, 0, self.pixels)


def union(axes: Sequence[Axis]) -> Axis:
    """The axis of what is computed, place by place, from several maps of one size.

    Example:
        >>> image = Axis.of_image(4)
        >>> both = union([image, image.windows(kernel=3, stride=1, padding=1, dilation=1, places=4)])
        >>> both.low.tolist(), both.start, both.size
        ([0, 0, 1, 2], -1, 3)
    """
    low = np.min([axis.low for axis in axes], axis=0)
    high = np.max([axis.high for axis in axes], axis=0)
    start, step = min(axis.start for axis in axes), axes[0].step
    size = max(axis.start + axis.size for axis in axes) - start
    alike = all(axis.size and axis.step == step for axis in axes)
    return Axis(low, high, start, step, size if alike else 0, axes[0].pixels)
