"""Where the scalars and pictures of a run stand in its event files: any of them, whoever has logged them."""

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import PurePath
from typing import Any, BinaryIO

from tensorboard.util.tensor_util import make_ndarray

from lightning_cnnviz.tensorboard_plugin.event_files import (
    DamagedRecordError,
    Record,
    cannot_be_read,
    event_files,
    glimpse,
    open_file,
    read_event,
    undamaged_records,
)
from lightning_cnnviz.tensorboard_plugin.run_index import FILE_SHIFT
from lightning_cnnviz.tensorboard_plugin.series import Series

SIZES = 2
"""Texts before the pictures of a tensor: their width and height."""

Reader = Callable[[str, int], list[bytes]]
"""Returns the encoded pictures of a tag at a step, as they were logged: one, of some loggers several."""


class Scalars:
    """The values of one tag.

    Attributes:
        steps: In increasing order; a step that was logged twice in a row is there twice.
        written: Wall time of each, in seconds since 1970.
        values: What was logged, 32-bit numbers.
    """

    def __init__(self) -> None:
        self.steps, self.written, self.values = array("q"), array("d"), array("d")

    def add(self, step: int, wall_time: float, value: float) -> None:
        """Adds a value; of a training that went back, what it had there and at later steps is dropped."""
        if self.steps and self.steps[-1] > step:
            self.forget(step)
        self.steps.append(step)
        self.written.append(wall_time)
        self.values.append(value)

    def forget(self, step: int) -> None:
        """Drops what is at a step and later ones."""
        if self.steps and self.steps[-1] >= step:
            first = bisect_left(self.steps, step)
            del self.steps[first:], self.written[first:], self.values[first:]


class Logged:
    """The scalars and pictures of a run, read once, as far as its event files are whole by now.

    Args:
        folder: Of the run, a local path or an address.

    Attributes:
        scalars: Tag → values.
        pictures: Tag → where they stand.
        problems: What is damaged or cannot be read, in a sentence for each file, and which tags have other values than
            their kind.
    """

    def __init__(self, folder: str) -> None:
        self.scalars: dict[str, Scalars] = {}
        self.pictures: dict[str, Series] = {}
        self._others: set[str] = set()
        self._paths: list[str] = []
        self._damaged: Counter[str] = Counter()
        self._unreadable: list[str] = []
        self._odd: dict[str, None] = {}
        for path in event_files(folder):
            try:
                with open_file(path) as file:
                    self._paths.append(path)
                    self._read(path, file)
            except FileNotFoundError:  # deleted in the meantime
                continue
            except OSError as error:
                self._unreadable.append(f"{PurePath(path).name}: {cannot_be_read(error)}")

    @property
    def problems(self) -> list[str]:
        """What is damaged, cannot be read, or is not of its kind, in sentences."""
        damaged = [
            f"{PurePath(path).name}: {count} damaged {'records are' if count > 1 else 'record is'} left out"
            for path, count in self._damaged.items()
        ]
        odd = [f"{tag}: what is neither one number nor a picture is left out" for tag in self._odd]
        return [*self._unreadable, *damaged, *odd]

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Gives a function that reads pictures, one at a time; it raises `DamagedRecordError`."""
        with ExitStack() as stack:
            files: dict[int, BinaryIO] = {}

            def read(tag: str, step: int) -> list[bytes]:
                place = self.pictures[tag].place(step)
                assert place is not None
                number, offset = place >> FILE_SHIFT, place & (1 << FILE_SHIFT) - 1
                try:
                    if number not in files:
                        files[number] = stack.enter_context(open_file(self._paths[number]))
                    event = read_event(files[number], offset)
                except OSError as error:
                    raise DamagedRecordError(cannot_be_read(error)) from None
                found = next((value for value in reversed(event.summary.value) if value.tag == tag), None)
                if found is None or event.step != step:
                    raise DamagedRecordError("another one is in its place")
                return encoded(found)

            yield read

    def _read(self, path: str, file: BinaryIO) -> None:
        place = (len(self._paths) - 1) << FILE_SHIFT
        for record in undamaged_records(file, lambda: self._damaged.update([path])):
            self._take(path, file, record, place | record.offset)

    def _take(self, path: str, file: BinaryIO, record: Record, place: int) -> None:
        seen = glimpse(record)
        if seen is not None and seen.tag in self._others:
            return
        try:
            event = read_event(file, record.offset)
        except DamagedRecordError:
            self._damaged[path] += 1
            return
        if event.session_log.status == event.session_log.START:
            for tag in (*self.scalars, *self.pictures):
                self._forget(tag, event.step, event.wall_time, place)
        for value in event.summary.value:
            self._add(value, event.step, event.wall_time, place)

    def _add(self, value: Any, step: int, wall_time: float, place: int) -> None:
        tag, kind = value.tag, value.WhichOneof("value")
        plugin = value.metadata.plugin_data.plugin_name
        if kind == "simple_value":
            self.scalars.setdefault(tag, Scalars()).add(step, wall_time, value.simple_value)
        elif kind == "tensor" and (plugin == "scalars" or (not plugin and tag in self.scalars)):
            number = number_in(value.tensor)
            if number is None:
                self._odd[tag] = None
            else:
                self.scalars.setdefault(tag, Scalars()).add(step, wall_time, number)
        elif kind == "image" or (kind == "tensor" and (plugin == "images" or (not plugin and tag in self.pictures))):
            if kind == "tensor" and len(value.tensor.string_val) <= SIZES:
                self._odd[tag] = None
            else:
                self.pictures.setdefault(tag, Series({})).add(step, wall_time, place)
        elif kind is None:
            self._forget(tag, step, wall_time, place)
        else:
            self._others.add(tag)

    def _forget(self, tag: str, step: int, wall_time: float, place: int) -> None:
        if tag in self.scalars:
            self.scalars[tag].forget(step)
        if tag in self.pictures:
            self.pictures[tag].forget(step, wall_time, place)


def encoded(value: Any) -> list[bytes]:
    """Returns the pictures in a summary's value, encoded as they were logged."""
    if value.WhichOneof("value") == "image":
        return [value.image.encoded_image_string]
    return list(value.tensor.string_val[SIZES:])


def number_in(tensor: Any) -> float | None:
    """Returns the number in a tensor; None if it has none, or several.

    Example:
        >>> from tensorboard.util.tensor_util import make_tensor_proto
        >>> [number_in(make_tensor_proto(value)) for value in (0.5, [7], [1.0, 2.0], "a")]
        [0.5, 7.0, None, None]
    """
    if math.prod(size.size for size in tensor.tensor_shape.dim) != 1:
        return None
    try:
        return float(make_ndarray(tensor).item())
    except (TypeError, ValueError):
        return None
