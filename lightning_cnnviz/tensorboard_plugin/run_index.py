"""The index of a run: where its frames stand in its event files, kept up with what is appended to them."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import PurePath
from typing import BinaryIO

from lightning_cnnviz.functional.tab.schema import PLUGIN_NAME, SCHEMA
from lightning_cnnviz.tensorboard_plugin.event_files import (
    DamagedRecordError,
    Record,
    cannot_be_read,
    event_files,
    glimpse,
    next_record,
    open_file,
    read_event,
    records,
)
from lightning_cnnviz.tensorboard_plugin.frames import BrokenFrameError, Frame, decode
from lightning_cnnviz.tensorboard_plugin.series import Series, identity

FILE_SHIFT = 48
"""A place is the number of a file and the offset of a record in it, in one integer."""
BYTES_PER_RECORD = 24


class RunIndex:
    """The series of one run. Thread-safe.

    As in TensorBoard, a record replaces those of its tag at its step and later ones, and a `SessionLog.START`, as a
    `SummaryWriter` with `purge_step` writes it, those of all tags. A record that is damaged costs itself only.

    Args:
        folder: Path of the run's folder.

    Attributes:
        version: Increases whenever something has changed.
        bytes_read: Total bytes read from the event files to keep up with them.
    """

    def __init__(self, folder: str) -> None:
        self.version = self.bytes_read = 0
        self._folder = folder
        self._lock = threading.Lock()
        self._begin_anew()

    @property
    def nbytes(self) -> int:
        """Bytes of memory, about."""
        return 10_000 + BYTES_PER_RECORD * sum(len(series.steps) for series in self._series().values())

    @property
    def problems(self) -> list[str]:
        """What is damaged, in a sentence for each file."""
        return [f"{PurePath(path).name}: {problem}" for path, problem in sorted(self._problems.items())]

    def series(self) -> dict[str, Series]:
        """Reads what has been appended and returns all series of the run, tag → series; they are not to be changed."""
        with self._lock:
            self._keep_up()
            return self._series()

    def frames(self, tag: str, steps: Sequence[int]) -> Iterator[tuple[int, float, Frame | str]]:
        """Yields step, wall time and frame, or an error message in its place, of each of the steps that a series has.

        Frames are read one at a time, when they are asked for.
        """
        with self._lock:
            if not self._ends:
                self._keep_up()
            series = self._tags.get(tag)
            found = [] if series is None else [(step, series.place(step)) for step in steps]
            paths = list(self._paths)
        with ExitStack() as stack:
            files: dict[int, BinaryIO] = {}
            for step, place in found:
                if place is None:
                    continue
                number, offset = place >> FILE_SHIFT, place & (1 << FILE_SHIFT) - 1
                try:
                    if number not in files:
                        files[number] = stack.enter_context(open_file(paths[number]))
                    event = read_event(files[number], offset)
                    value = next((value for value in event.summary.value if value.tag == tag), None)
                    if value is None or event.step != step:
                        raise DamagedRecordError("another one is in its place")
                    yield step, event.wall_time, decode(value.tensor.string_val)
                except (BrokenFrameError, DamagedRecordError) as error:
                    yield step, 0.0, f"{tag} at step {step} is damaged: {error}"
                except OSError:
                    yield step, 0.0, f"{tag} at step {step} no longer exists"

    def _series(self) -> dict[str, Series]:
        return {tag: series for tag, series in sorted(self._tags.items()) if series is not None}

    def _begin_anew(self) -> None:
        self.version += 1
        self._tags: dict[str, Series | None] = {}
        """Tag → its series; None for the tags of others."""
        self._ends: dict[str, int] = {}
        """Path → the end of the last record that was read."""
        self._paths: list[str] = []
        self._problems: dict[str, str] = {}

    def _keep_up(self) -> None:
        with ExitStack() as stack:
            files, unreadable = {}, {}
            for path in event_files(self._folder):
                try:
                    files[path] = stack.enter_context(open_file(path))
                except FileNotFoundError:  # deleted in the meantime
                    continue
                except OSError as error:
                    unreadable[path] = cannot_be_read(error)
            if any(path not in files or files[path].seek(0, 2) < end for path, end in self._ends.items()):
                self._begin_anew()  # the run was deleted, or trained anew
            for path, problem in unreadable.items():
                self._has_problem(path, problem)
            for path, file in files.items():
                self._read_new(path, file)

    def _read_new(self, path: str, file: BinaryIO) -> None:
        if path not in self._ends:
            self._problems.pop(path, None)
            self._ends[path] = 0
            self._paths.append(path)
        number = self._paths.index(path)
        at: int | None = self._ends[path]
        while at is not None:
            try:
                for record in records(file, at):
                    with suppress(DamagedRecordError):  # of whatever tag it was
                        self._take(record, number << FILE_SHIFT | record.offset, file)
                    self._ends[path] = record.end
                return
            except DamagedRecordError as error:
                at = next_record(file, self._ends[path] + 1)
                self._has_problem(path, f"{error}; {'some records are' if at else 'what follows is'} missing here.")

    def _has_problem(self, path: str, problem: str) -> None:
        self.version += self._problems.get(path) != problem
        self._problems[path] = problem

    def _take(self, record: Record, place: int, file: BinaryIO) -> None:
        self.bytes_read += len(record.start)
        seen = glimpse(record)
        if seen is not None and seen.tag in self._tags:
            series = self._tags[seen.tag]
            if series is None:
                return
            if not series.steps or seen.step > series.steps[-1]:
                self._add(series, seen.step, seen.wall_time, place)
                return
        event = read_event(file, record.offset)  # with its checksum, as it may drop others
        self.bytes_read += record.length
        if event.session_log.status == event.session_log.START:
            self._forget(self._series().values(), event.step, event.wall_time, place)
        for value in event.summary.value:
            if value.tag not in self._tags and value.HasField("metadata"):
                own = value.metadata.plugin_data.plugin_name == PLUGIN_NAME
                self._tags[value.tag] = Series(identity(value.metadata.plugin_data.content)) if own else None
            series = self._tags.get(value.tag)
            if series is not None and value.HasField("tensor"):
                self._add(series, event.step, event.wall_time, place)
            elif series is not None:
                self._forget([series], event.step, event.wall_time, place)
            elif value.WhichOneof("value"):
                self._tags[value.tag] = None

    def _add(self, series: Series, step: int, wall_time: float, place: int) -> None:
        if series.identity.get("schema") == SCHEMA:  # the format of others is not known
            series.add(step, wall_time, place)
            self.version += 1

    def _forget(self, series: Iterable[Series], step: int, wall_time: float, place: int) -> None:
        for each in series:
            each.forget(step, wall_time, place)
        self.version += 1
