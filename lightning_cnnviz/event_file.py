"""TensorBoard's event file, as the logger has it open: a second one in the same folder would lose data."""

import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import google_crc32c
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_BLOB_SEQUENCE, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from torch.utils.tensorboard import FileWriter, SummaryWriter

from lightning_cnnviz.functional.encode import Encoded
from lightning_cnnviz.functional.names import file_name
from lightning_cnnviz.functional.record import Record

PLUGIN = "cnnviz"
"""The tab's name in TensorBoard."""


class EventFile:
    """The event file of a `SummaryWriter`, written to without harm.

    TensorBoard's writer computes a checksum of every record in Python, 22 ms for 77 KB in which no other thread
    runs, and where the disk is full it ends, after which every scalar that anybody logs raises. This file's writer,
    and no other of the process, gets another way to write: with a fast checksum, and a record that finds no room is
    left out as a whole, so that the file stays readable and the run goes on.

    Args:
        board: What `TensorBoardLogger.experiment` gives.
    """

    def __init__(self, board: SummaryWriter) -> None:
        self._file: FileWriter = board._get_file_writer()  # type: ignore[no-untyped-call]
        self._error: Exception | None = None
        self.folder: str = board.log_dir
        self._path = getattr(self._file.event_writer, "_file_name", "")
        records: Any = getattr(getattr(self._file.event_writer, "_async_writer", None), "_writer", None)
        if hasattr(records, "_writer"):  # as TensorBoard 2.21 has it; its own way is slower and as good
            self._sink, self._own_way = records._writer, partial(type(records).write, records)
            records.write = self._append

    def write(self, summary: Summary, step: int) -> None:
        """Adds a record; may wait for the file.

        Raises:
            Exception: What went wrong with an earlier record, mostly an OSError.
        """
        self._raise_error()
        self._file.add_summary(summary, step)

    def resume(self, step: int) -> None:
        """Says that what the folder holds of later steps was lost with a crash and comes again."""
        self._file.add_event(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def keep(self, name: str, data: bytes) -> None:
        """Writes a file beside the event file, in a folder of this package's own."""
        folder = Path(self.folder, "cnnviz")
        folder.mkdir(exist_ok=True)
        Path(folder, file_name(name)).write_bytes(data)

    def flush(self) -> None:
        """Waits until everything is in the file, so that it survives the process; raises as `write` does."""
        self._file.flush()
        self._raise_error()

    def _append(self, data: bytes) -> None:
        # With whatever is raised here TensorBoard's thread ends, and every number that anybody logs raises it again.
        try:
            self._append_whole(data)
        except OSError as error:
            self._error = error
        except Exception as error:
            self._error = error
            with suppress(OSError):
                self._own_way(data)

    def _append_whole(self, data: bytes) -> None:
        before = os.path.getsize(self._path) if os.path.isfile(self._path) else None
        try:
            self._sink.write(framed(data))
        except Exception:
            if before is not None:  # half a record would end the file for every reader
                with suppress(OSError):  # where not even that is allowed, nothing was written
                    os.truncate(self._path, before)
            raise

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error


def framed(data: bytes) -> bytes:
    """A record of the TFRecord format: length, its checksum, data, its checksum.

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


def image_summary(tag: str, picture: Encoded) -> Summary:
    """A picture as TensorBoard's image summary."""
    image = Summary.Image(height=picture.height, width=picture.width, colorspace=3, encoded_image_string=picture.data)
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def record_summary(record: Record) -> Summary:
    """Data of the CNN Viz tab: a blob sequence of header and payload, as TensorBoard's data provider reads it."""
    plugin = SummaryMetadata.PluginData(plugin_name=PLUGIN, content=record.metadata())
    metadata = SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_BLOB_SEQUENCE)
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=2)])
    tensor = TensorProto(dtype=DT_STRING, string_val=record.packed(), tensor_shape=shape)
    return Summary(value=[Summary.Value(tag=record.tag, metadata=metadata, tensor=tensor)])


def scalar_summary(values: Mapping[str, float]) -> Summary:
    """Numbers, tag → value, in one record."""
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
