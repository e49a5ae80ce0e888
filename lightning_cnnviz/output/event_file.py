"""TensorBoard's event file, the one that the logger has open: a second one in the same folder would lose data."""

import os
import struct
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import google_crc32c
from lightning_fabric.utilities.cloud_io import get_filesystem
from torch.utils.tensorboard import SummaryWriter

from lightning_cnnviz.functional.activations.histogram import Histogram
from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.functional.escaping import file_name
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.functional.tab.schema import PLUGIN_NAME
from lightning_cnnviz.output.paths import absolute_path
from lightning_cnnviz.output.run_history import event_files, layout_in, look_back, merged, replacing, with_layout
from lightning_cnnviz.output.tensorboard_internals import (
    DATA_CLASS_BLOB_SEQUENCE,
    DT_STRING,
    Event,
    HistogramProto,
    Layout,
    Summary,
    SummaryMetadata,
    TensorProto,
    TensorShapeProto,
    event_path,
    file_writer,
    make_absolute,
    record_queue,
    record_writer,
)

MIN_REMOTE_INTERVAL, MAX_FLUSHING = 5.0, 20
"""Of a remote file: seconds between flushes of ours, at least, and how many times as long as a flush has taken."""
MAX_KEPT_BYTES = 64 * 2**20
"""Bytes that wait for a remote folder that cannot be written to; more are given up."""


class _Records(bytes):
    """Records that are framed already and stand together in the file."""


class _OwnLayout(bytes):
    """A serialised event with a layout of ours."""


class EventFile:
    """The event file of a `SummaryWriter`, with faster and fail-safe writes.

    TensorBoard's writer computes the checksum of every record in Python, which takes 22 ms for 77 KB and blocks all
    other threads. On a full disk its thread ends, after which every logged scalar raises. For this file only, not for
    others of the process, the write function is replaced: the checksum is fast, and a record that does not fit on the
    disk is dropped as a whole, so that the file stays readable and the run continues. A layout of Custom Scalars that
    the user writes, at any time, gets ours beside it, since TensorBoard keeps the last one only.

    In a remote folder TensorBoard opens the file for each record, and where it cannot append it writes the whole file
    at each flush. There, records are kept until the next flush, and flushes that are not the user's are far between.

    Args:
        board: The `experiment` of a `TensorBoardLogger`.
    """

    def __init__(self, board: SummaryWriter) -> None:
        self._file = file_writer(board)
        self._losses: deque[tuple[str, int, Exception]] = deque()
        self._replaces_after: int | None = None
        self._written: set[str] = set()
        self._looked_back = False
        self._layout = Layout()
        self._their_layout: Layout | None = None
        self.earlier_training = False
        """Whether the folder has data of an earlier training; known after the first record."""
        self.folder = absolute_path(board.log_dir)
        self._path = absolute_path(event_path(self._file))
        self._is_remote = "://" in self.folder and not self.folder.startswith("file:")
        self._kept: list[bytes] = []
        self._newest = "records", 0
        self._away = False
        self._next_flush = 0.0
        self._queue: Any | None = None
        records = record_writer(self._file)
        if records is not None:  # as in TensorBoard 2.21; otherwise its own write works, but slower
            make_absolute(records._writer)
            self._queue = record_queue(self._file)
            self._sink, self._original_write = records._writer, partial(type(records).write, records)
            records.write = self._append
            if self._is_remote:
                self._original_flush = partial(type(records).flush, records)
                records.flush = self._write_kept

    def write(self, summary: Summary, step: int) -> None:
        """Adds a record, which is written later; may block until there is room for it."""
        self._look_back()
        new = {value.tag for value in summary.value} - self._written
        if new and self._queue is not None and self._replaces_after is not None:
            self._written |= new
            records = replacing(sorted(new), self._replaces_after)
            self._queue.write(_Records(b"".join(map(framed, records))))  # with no record of the user's in between
        self._file.add_summary(summary, step)

    def write_layout(self, summary: Summary) -> None:
        """Adds a layout of the Custom Scalars tab to the user's."""
        self._look_back()
        if self._queue is not None:
            self._queue.write(_OwnLayout(Event(wall_time=time.time(), summary=summary).SerializeToString()))
        else:
            self._file.add_summary(summary, 0)

    def begin(self, step: int) -> None:
        """Says at which step this training begins: what the folder has of our tags after it will be written again."""
        if step or len(event_files(self.folder)) > 1:
            self._replaces_after = step or -1

    def keep(self, name: str, data: bytes) -> None:
        """Writes a file next to the event file, in the folder `cnnviz`."""
        folder, files = self.folder.rstrip("/") + "/cnnviz", get_filesystem(self.folder)
        files.makedirs(folder, exist_ok=True)
        files.pipe_file(f"{folder}/{file_name(name)}", data)

    def flush(self, now: bool = False) -> None:
        """Blocks until everything is in the file, so that it survives the process.

        In a remote folder this is left to a later call if the last one was a short time ago, unless `now`.
        """
        start = time.monotonic()
        if self._is_remote and start < self._next_flush and not now:
            return
        self._file.flush()
        self._next_flush = start + max(MIN_REMOTE_INTERVAL, MAX_FLUSHING * (time.monotonic() - start))

    def losses(self) -> list[tuple[str, int, Exception]]:
        """Returns tag, step and error of each record that could not be written since the last call."""
        return [self._losses.popleft() for _ in range(len(self._losses))]

    def _look_back(self) -> None:
        if not self._looked_back:
            self._looked_back = True
            self._file.flush()
            self.earlier_training, layout = look_back(self.folder)
            self._their_layout = self._their_layout or layout

    def _append(self, data: bytes) -> None:
        # An exception here would end TensorBoard's thread, and every scalar logged afterwards would raise it again.
        try:
            self._newest = _name(data)
            self._append_whole(data if isinstance(data, _Records) else framed(self._with_layouts(data)))
        except OSError as error:
            self._losses.append((*self._newest, error))
        except Exception as error:
            self._losses.append((*self._newest, error))
            with suppress(OSError):
                self._original_write(data)

    def _with_layouts(self, data: bytes) -> bytes:
        layout = layout_in(data)
        if layout is None:
            return data
        if isinstance(data, _OwnLayout):
            self._layout = merged(self._layout, layout)
        else:
            self._their_layout = layout
        return with_layout(data, merged(self._their_layout or Layout(), self._layout))

    def _write_kept(self) -> None:
        kept, self._kept = b"".join(self._kept), []
        try:
            if kept:
                self._sink.write(kept)
            self._original_flush()
            self._away = False
        except Exception as error:  # as in `_append`; the next flush tries again
            if not self._away:
                self._losses.append((*self._newest, error))
            self._away = True
            self._kept = [kept] if len(kept) <= MAX_KEPT_BYTES else []

    def _append_whole(self, records: bytes) -> None:
        if self._is_remote:
            self._kept.append(records)
            return
        before = os.path.getsize(self._path) if os.path.isfile(self._path) else None
        try:
            self._sink.write(records)
        except Exception:
            if before is not None:  # a partial record would end the file for every reader
                with suppress(OSError):  # if not even this is permitted, nothing was written
                    os.truncate(self._path, before)
            raise


def framed(data: bytes) -> bytes:
    """Returns a record in the TFRecord format: length, its checksum, data, its checksum.

    Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details

    Example:
        >>> len(framed(b"abc"))
        19
    """
    length = struct.pack("<Q", len(data))
    return b"".join([length, _masked_crc(length), data, _masked_crc(data)])


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _name(data: bytes) -> tuple[str, int]:
    """Returns the first tag of a record, and its step."""
    if isinstance(data, _Records):
        return "the beginning of this training", 0
    event = Event.FromString(data)
    return next((value.tag for value in event.summary.value), "a mark"), event.step


def image_summary(tag: str, picture: Encoded) -> Summary:
    """Returns a picture as a TensorBoard image summary."""
    image = Summary.Image(height=picture.height, width=picture.width, colorspace=3, encoded_image_string=picture.data)
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def tab_data_summary(data: TabData) -> Summary:
    """Returns data of the CNN Viz tab as a blob sequence of header and payload, for TensorBoard's data provider."""
    plugin = SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=data.metadata())
    metadata = SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_BLOB_SEQUENCE)
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=2)])
    tensor = TensorProto(dtype=DT_STRING, string_val=data.packed(), tensor_shape=shape)
    return Summary(value=[Summary.Value(tag=data.tag, metadata=metadata, tensor=tensor)])


def histogram_summary(tag: str, histogram: Histogram) -> Summary:
    """Returns a distribution as a TensorBoard histogram, whose first bin begins at the smallest value."""
    low, high, number, total, squares = histogram[1:]
    proto = HistogramProto(min=low, max=high, num=number, sum=total, sum_squares=squares)
    proto.bucket_limit.extend(histogram.edges()[1:].tolist())
    proto.bucket.extend(histogram.counts.tolist())
    return Summary(value=[Summary.Value(tag=tag, histo=proto)])


def scalar_summary(values: Mapping[str, float]) -> Summary:
    """Returns scalars, tag → value, as a single record."""
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
