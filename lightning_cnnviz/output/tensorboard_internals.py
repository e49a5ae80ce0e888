"""The private APIs of TensorBoard and PyTorch's writer in use, each with the reason; none are used elsewhere.

`tests/output/test_tensorboard_internals.py` tests each separately, so that a failing test names the API that a release
has changed.
"""

import os
from typing import Any

# TensorBoard's protocol buffers, which PyTorch's writer, the one that Lightning's logger has open, accepts. The public
# API would choose the format of each summary and the thread on which it is encoded.
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_BLOB_SEQUENCE, HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING

# The message in which the layout of the Custom Scalars tab is stored.
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from torch.utils.tensorboard import FileWriter, SummaryWriter

from lightning_cnnviz.output.paths import absolute_path

__all__ = [
    "DATA_CLASS_BLOB_SEQUENCE",
    "DT_STRING",
    "Event",
    "HistogramProto",
    "Layout",
    "Summary",
    "SummaryMetadata",
    "TensorProto",
    "TensorShapeProto",
    "event_path",
    "file_writer",
    "make_absolute",
    "record_queue",
    "record_writer",
]


def file_writer(board: SummaryWriter) -> FileWriter:
    """Returns the open event file of a `SummaryWriter`, reopened after a `close`: a second file would lose data."""
    opened: FileWriter = board._get_file_writer()  # type: ignore[no-untyped-call]
    return opened


def event_path(file: FileWriter) -> str:
    """Returns the path of an event file, needed to truncate a partial record; empty if unknown."""
    return str(getattr(file.event_writer, "_file_name", ""))


def record_queue(file: FileWriter) -> Any | None:
    """Returns the queue of TensorBoard's thread, whose `write` takes a serialised event; None if there is none."""
    return getattr(file.event_writer, "_async_writer", None)


def record_writer(file: FileWriter) -> Any | None:
    """Returns the record writer of TensorBoard's thread, with its file as `_writer`; None if a release has none.

    Its `write` is replaced because of its pure-Python checksum and its behaviour on a full disk, see `EventFile`.
    """
    records = getattr(record_queue(file), "_writer", None)
    return records if hasattr(records, "_writer") else None


def make_absolute(file: Any) -> None:
    """Makes the path of a record writer's file absolute.

    It is opened by its name at every flush, in whatever directory the script then is.
    """
    name = os.fsdecode(getattr(file, "filename", ""))
    if name:
        file.filename = os.fsencode(absolute_path(name))
