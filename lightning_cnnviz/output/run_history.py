"""What event files of earlier trainings in a run's folder hold, and the records with which this one follows them."""

import struct
from collections.abc import Iterable, Iterator
from typing import Any

from lightning_fabric.utilities.cloud_io import get_filesystem

from lightning_cnnviz.functional.tab.schema import PLUGIN_NAME
from lightning_cnnviz.output.tensorboard_internals import Event, Layout, Summary

LAYOUT_TAG = "custom_scalars__config__"
"""TensorBoard's tag of the layout of its Custom Scalars tab; a run has one layout, the last."""
TAG_WITHIN = 200
"""Bytes at the start of a record in which the first tag is found."""

MAX_RECORD = 2**31
"""Bytes; the limit of a protocol buffer."""


def event_files(folder: str) -> list[str]:
    """Returns the paths of a folder's event files in the order in which TensorBoard reads them."""
    return sorted(str(path) for path in get_filesystem(folder).glob(folder.rstrip("/") + "/*tfevents*"))


def look_back(folder: str) -> tuple[bool, Layout | None]:
    """Returns whether the event files of a folder hold data for the tab, and the last layout of Custom Scalars."""
    trained, layout = False, None
    for path in event_files(folder):
        for start, whole in _records(folder, path):
            trained = trained or f"{PLUGIN_NAME}/".encode() in start
            layout = layout_in(whole) or layout if whole else layout
    return trained, layout


def _records(folder: str, path: str) -> Iterator[tuple[bytes, bytes]]:
    """Yields the start of each record and, of those with a layout, the whole."""
    with get_filesystem(folder).open(path, "rb") as file:
        while len(head := file.read(12)) == 12:
            (length,) = struct.unpack_from("<Q", head)
            if length > MAX_RECORD:  # damaged; TensorBoard, too, reads no further
                break
            start = file.read(min(length, TAG_WITHIN))
            rest = length - len(start)
            whole = start + file.read(rest) if LAYOUT_TAG.encode() in start else b""
            file.seek(4 if whole else rest + 4, 1)
            yield start, whole


def layout_in(record: bytes) -> Layout | None:
    """Returns the layout of Custom Scalars that a serialised event holds; None if it holds none."""
    if LAYOUT_TAG.encode() not in record[:TAG_WITHIN]:
        return None
    values = [value for value in Event.FromString(record).summary.value if value.tag == LAYOUT_TAG]
    return Layout.FromString(values[-1].tensor.string_val[0]) if values else None


def with_layout(record: bytes, layout: Layout) -> bytes:
    """Returns a serialised event that holds a layout with another in its place."""
    event = Event.FromString(record)
    for value in event.summary.value:
        if value.tag == LAYOUT_TAG:
            value.tensor.string_val[:] = [layout.SerializeToString()]
    return bytes(event.SerializeToString())


def merged(*layouts: Layout) -> Layout:
    """Merges layouts by the titles of categories and charts; of two charts with the same title, the later one stays.

    Example:
        >>> first, second = Layout(), Layout()
        >>> first.category.add(title="mine").chart.add(title="loss")
        title: "loss"
        <BLANKLINE>
        >>> second.category.add(title="cnnviz").chart.add(title="curves/loss")
        title: "curves/loss"
        <BLANKLINE>
        >>> [category.title for category in merged(first, second, first).category]
        ['mine', 'cnnviz']
    """
    charts: dict[str, dict[str, Any]] = {}
    for layout in layouts:
        for category in layout.category:
            charts.setdefault(category.title, {}).update({chart.title: chart for chart in category.chart})
    found = Layout(version=max((layout.version for layout in layouts), default=0))
    for title, parts in charts.items():
        found.category.add(title=title).chart.extend(parts.values())
    return found


def replacing(tags: Iterable[str], after: int) -> list[bytes]:
    """Returns events that make TensorBoard's Python loader forget what tags have after a step, as its fast one does.

    The fast loader drops, of a tag, what is at a step or after it when another record of that step comes. The Python
    loader does so only in files of an old version; otherwise it asks for a `SessionLog.START`, which would take the
    later steps of all tags, those of the user's own scalars among them, and it ignores the first one of a run.

    Example:
        >>> [Event.FromString(data).step for data in replacing(["kernels/conv1"], 6)]
        [0, 9223372036854775807, 7, 0]
    """
    events = (
        Event(file_version="brain.Event:1"),
        Event(step=2**63 - 1, summary=Summary()),  # the step of the next one is below that of the last
        Event(step=after + 1, summary=Summary(value=[Summary.Value(tag=tag) for tag in tags])),
        Event(file_version="brain.Event:2"),
    )
    return [bytes(event.SerializeToString()) for event in events]
