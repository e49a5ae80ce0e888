"""Which operation computed the values that a tensor holds now, through views and operations in place."""

from collections.abc import MutableMapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary, WeakTensorKeyDictionary

MAX_MASK_BYTES = 2**27
"""Memory beyond which parts that overlap in an irregular way are not told apart."""


class Region(NamedTuple):
    """The memory of a tensor; all lengths in bytes.

    Example:
        >>> import torch
        >>> Region.of(torch.zeros(2, 3)[:, 1])
        Region(start=4, shape=(2,), stride=(12,), item=4)
    """

    start: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    item: int

    @classmethod
    def of(cls, tensor: Tensor) -> "Region":
        """Returns the region of a tensor within its storage."""
        item = tensor.element_size()
        lengths = [(size, item * step) for size, step in zip(tensor.shape, tensor.stride(), strict=True) if size != 1]
        return cls(
            item * int(tensor.storage_offset()), tuple(s for s, _ in lengths), tuple(s for _, s in lengths), item
        )

    @property
    def end(self) -> int:
        """The first byte behind the region."""
        if 0 in self.shape:
            return self.start
        return self.start + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True)) + self.item

    @property
    def dense(self) -> bool:
        """Whether every byte between start and end belongs to the region."""
        width = self.item
        for size, stride in sorted(zip(self.shape, self.stride, strict=True), key=lambda pair: pair[1]):
            if stride != width:
                return False
            width *= size
        return True

    def mask(self, start: int, end: int) -> npt.NDArray[np.bool_]:
        """Returns which bytes from `start` to `end` belong to the region, which lies within them."""
        mask = np.zeros(end - start, dtype=bool)
        inside = mask[self.start - start :]
        if inside.size and 0 not in self.shape:
            view = np.lib.stride_tricks.as_strided(inside, (*self.shape, self.item), (*self.stride, 1))
            view[...] = True
        return mask


class Sources(NamedTuple):
    """Where a tensor's values come from.

    Attributes:
        writers: Numbers of the operations that computed them; empty for weights and constants.
        certain: False if they may come from an operation that was not seen.
    """

    writers: tuple[int, ...]
    certain: bool


class _Write(NamedTuple):
    region: Region | None  # None for all
    writer: int | None  # None: memory that was only allocated


class _View(NamedTuple):
    writer: int
    writes: int  # to the memory before the view was made


class MemoryHistory:
    """Follows values in memory, of which operations tell by their numbers; keeps no tensor alive.

    Example:
        >>> import torch
        >>> history, x = MemoryHistory(), torch.zeros(2, 3)
        >>> history.allocated(x, 1)
        >>> history.wrote(x[0], 2)
        >>> history.sources(x).writers, history.sources(x[1]).writers, history.sources(x[:1]).writers
        ((2, 1), (1,), (2,))
    """

    def __init__(self) -> None:
        self._writes: MutableMapping[object, list[_Write]] = WeakIdKeyDictionary()
        self._views: MutableMapping[Tensor, _View] = WeakTensorKeyDictionary()

    def allocated(self, tensor: Tensor, writer: int | None) -> None:
        """Records that a tensor is new; without a writer it has no values yet."""
        self._writes_to(tensor)[:] = [_Write(None, writer)]

    def wrote(self, tensor: Tensor, writer: int) -> None:
        """Records that all values of a tensor were overwritten in place."""
        writes = self._writes_to(tensor)
        writes.append(_Write(_region(tensor), writer))

    def viewed(self, tensor: Tensor, writer: int) -> None:
        """Records that a tensor was made as a view of another."""
        self._views[tensor] = _View(writer, len(self._writes_to(tensor)))

    def passed_on(self, tensor: Tensor, before: Tensor) -> None:
        """Records that a tensor is the same as one before, under another name."""
        if tensor is not before and (view := self._views.get(before)) is not None:
            self._views[tensor] = view

    def known(self, tensor: Tensor) -> bool:
        """Whether anything has been recorded of a tensor's memory."""
        return memory_of(tensor) in self._writes

    def sources(self, tensor: Tensor, part: Tensor | None = None) -> Sources:
        """Returns what computed the present values of a tensor, or of a part of its memory, the last first."""
        writes = self._writes.get(memory_of(tensor), [])
        view = self._views.get(tensor)
        later = writes[view.writes :] if view else writes
        found, certain = list[int](), True
        rest = _Rest(_region(tensor if part is None else part))
        for write in reversed(later):
            taken = rest.take(write.region)
            if taken is None or (taken and write.writer is None):
                certain = False
            elif taken and write.writer is not None and write.writer not in found:
                found.append(write.writer)
            if rest.empty:
                break
        if view and not rest.empty and view.writer not in found:
            found.append(view.writer)
        return Sources(tuple(found), certain)

    def _writes_to(self, tensor: Tensor) -> list[_Write]:
        key = memory_of(tensor)
        if key not in self._writes:
            self._writes[key] = []
        return self._writes[key]


class _Rest:
    """The part of a region whose origin is still open."""

    def __init__(self, region: Region | None) -> None:
        self.region, self.empty = region, region is not None and 0 in region.shape
        self._open: npt.NDArray[np.bool_] | None = None

    def take(self, written: Region | None) -> bool | None:
        """Takes away what was written; returns whether that was something, or None where that cannot be told."""
        region = self.region
        if self.empty:
            return False
        if region is None or written is None or written == region:
            return self._take_all()
        start, end = region.start, region.end
        if written.end <= start or end <= written.start:
            return False
        if written.dense and written.start <= start and end <= written.end:
            return self._take_all()
        low, high = min(start, written.start), max(end, written.end)
        if high - low > MAX_MASK_BYTES:
            return None
        if self._open is None:
            self._open = region.mask(start, end)
        overwritten = written.mask(low, high)[start - low : end - low]
        taken = bool((self._open & overwritten).any())
        self._open &= ~overwritten
        self.empty = not self._open.any()
        return taken

    def _take_all(self) -> bool:
        self.empty = True
        return True


def memory_of(tensor: Tensor) -> object:
    """Returns what stands for the memory of a tensor, and is the same object for its views.

    Example:
        >>> import torch
        >>> x = torch.zeros(2, 3)
        >>> memory_of(x) is memory_of(x[0]), memory_of(x) is memory_of(x.clone())
        (True, False)
    """
    try:
        return tensor.untyped_storage()
    except RuntimeError:  # no memory of its own, as of sparse tensors
        return tensor


def _region(tensor: Tensor) -> Region | None:
    try:
        return Region.of(tensor)
    except RuntimeError:
        return None
