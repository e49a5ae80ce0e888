"""TensorBoard's event files, read record by record; gigabytes are looked through by the starts of their records.

The format is TFRecord: length, its checksum, an `Event` protocol buffer, its checksum.
Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import google_crc32c
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event

HEADER, FOOTER = 12, 4
"""Bytes before and after the data of a record."""
START = 512
"""Bytes at the start of a record that are looked at; the tag is among them."""
WALL_TIME, STEP, SUMMARY, VALUE, TAG, TENSOR = 1 << 3 | 1, 2 << 3, 5 << 3 | 2, 1 << 3 | 2, 1 << 3 | 2, 8 << 3 | 2
"""Keys in the wire format: number of the field and type of its value. TAG and TENSOR are within a VALUE."""

MAX_SEARCH = 64 * 2**20
"""Bytes after a damaged length in which the next record is searched for."""
LENGTH = re.compile(rb"(?=(?!\0{4})[\s\S]{4}\0{4}[\s\S]{4})")
"""Where the length of a record below 4 GB may stand: it is not zero, its upper half is."""


class DamagedRecordError(ValueError):
    """The bytes of a record are not those that were written."""


class Record(NamedTuple):
    """A record as far as it has been read.

    Attributes:
        offset: Its first byte in the file.
        length: Bytes of its data.
        start: The first of them.
    """

    offset: int
    length: int
    start: bytes

    @property
    def end(self) -> int:
        """The first byte after the record."""
        return self.offset + HEADER + self.length + FOOTER


class Glimpse(NamedTuple):
    """What the start of a record tells of a single tensor."""

    wall_time: float
    step: int
    tag: str


def open_file(path: str) -> BinaryIO:
    """Opens a local file, or a remote one if `fsspec` is installed, as it is wherever Lightning can write there."""
    if "://" not in path:
        return open(path, "rb")
    import fsspec

    file: BinaryIO = fsspec.open(path, "rb").open()
    return file


def cannot_be_read(error: OSError) -> str:
    """Returns a sentence about a file that cannot be opened.

    Example:
        >>> cannot_be_read(PermissionError(13, "Permission denied"))
        'it cannot be read: Permission denied.'
    """
    return f"it cannot be read: {error.strerror or error}."


def event_files(folder: str) -> list[str]:
    """Returns the paths of a folder's event files in the order in which TensorBoard reads them; empty without any."""
    if "://" not in folder:
        try:
            return sorted(str(path) for path in Path(folder).iterdir() if "tfevents" in path.name)
        except OSError:
            return []
    import fsspec

    files, root = fsspec.core.url_to_fs(folder)
    return sorted(files.unstrip_protocol(path) for path in files.glob(f"{root.rstrip('/')}/*tfevents*"))


def records(file: BinaryIO, at: int) -> Iterator[Record]:
    """Yields the whole records from an offset on; the last one may still be being written.

    Raises:
        DamagedRecordError: If the length of a record is damaged, so that the next one cannot be found.
    """
    end = file.seek(0, 2)
    while at + HEADER <= end:
        file.seek(at)
        header = file.read(HEADER)
        (length,) = struct.unpack_from("<Q", header)
        if header[8:] != _masked_crc(header[:8]):
            raise DamagedRecordError(f"the length of the record at byte {at} is damaged")
        record = Record(at, length, file.read(min(length, START)))
        if record.end > end:
            return
        yield record
        at = record.end


def read_event(file: BinaryIO, offset: int) -> Any:
    """Reads the event of the record at an offset.

    Raises:
        DamagedRecordError: If there is no such record, or its checksum does not match.
    """
    file.seek(offset)
    header = file.read(HEADER)
    if len(header) < HEADER or header[8:] != _masked_crc(header[:8]):
        raise DamagedRecordError(f"there is no record at byte {offset}")
    (length,) = struct.unpack_from("<Q", header)
    data, checksum = file.read(length), file.read(FOOTER)
    if checksum != _masked_crc(data):
        raise DamagedRecordError("its checksum does not match")
    try:
        return Event.FromString(data)
    except DecodeError as error:
        raise DamagedRecordError(f"it is not an event: {error}") from None


def next_record(file: BinaryIO, at: int) -> int | None:
    """Returns the offset of the first undamaged record from an offset on, which need not be one of a record."""
    file.seek(at)
    data = file.read(MAX_SEARCH)
    for found in LENGTH.finditer(data):
        start = found.start()
        if data[start + 8 : start + HEADER] == _masked_crc(data[start : start + 8]):
            with suppress(DamagedRecordError):
                read_event(file, at + start)
                return at + start
    return None


def undamaged_records(file: BinaryIO, damaged: Callable[[], None] = lambda: None) -> Iterator[Record]:
    """Yields the records of a file from its beginning, and goes on after what is damaged.

    Args:
        file: An event file.
        damaged: Called for each damaged place.
    """
    at: int | None = 0
    while at is not None:
        try:
            for record in records(file, at):
                yield record
                at = record.end
            return
        except DamagedRecordError:
            damaged()
            at = next_record(file, at + 1)


def glimpse(record: Record) -> Glimpse | None:
    """Returns wall time, step and tag of a record with a single tensor; None where its start does not tell.

    Example:
        >>> event = Event(wall_time=7, step=300)
        >>> event.summary.value.add(tag="cnnviz/curves").tensor.string_val.append(b"x" * 1000)
        >>> data = event.SerializeToString()
        >>> glimpse(Record(0, len(data), data[:START]))
        Glimpse(wall_time=7.0, step=300, tag='cnnviz/curves')
    """
    start, at, wall_time, step = record.start, 0, 0.0, 0
    try:
        key, at = _varint(start, at)
        if key == WALL_TIME:
            (wall_time,) = struct.unpack_from("<d", start, at)
            key, at = _varint(start, at + 8)
        if key == STEP:
            step, at = _varint(start, at)
            key, at = _varint(start, at)
        for wanted in (SUMMARY, VALUE):  # each reaches to the end: there is nothing beside it
            size, at = _varint(start, at)
            if key != wanted or at + size != record.length:
                return None
            key, at = _varint(start, at)
        size, at = _varint(start, at)
        if key != TAG or _varint(start, at + size)[0] != TENSOR:
            return None
        return Glimpse(wall_time, step - (step >> 63 << 64), start[at : at + size].decode())
    except (IndexError, struct.error, UnicodeDecodeError):
        return None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            return value, at


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
