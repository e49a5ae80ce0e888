"""The scalars of a run, read from its event files."""

from contextlib import suppress
from dataclasses import dataclass

from lightning_cnnviz.tensorboard_plugin.event_files import (
    START,
    DamagedRecordError,
    event_files,
    open_file,
    read_event,
    undamaged_records,
)


@dataclass
class Scalar:
    """What was logged under one tag.

    Attributes:
        last: The value that was logged last.
        total: The sum of all values.
    """

    last: float
    total: float = 0.0


def scalars(folder: str) -> dict[str, Scalar]:
    """Returns tag → scalar, in the order in which tags were first logged; damaged records are left out.

    Args:
        folder: Of the run.
    """
    found: dict[str, Scalar] = {}
    for path in event_files(folder):
        with suppress(OSError), open_file(path) as file:  # deleted in the meantime
            for record in undamaged_records(file):
                if record.length > START:  # pictures and the data of the tab
                    continue
                with suppress(DamagedRecordError):
                    for value in read_event(file, record.offset).summary.value:
                        if value.WhichOneof("value") == "simple_value":
                            scalar = found.setdefault(value.tag, Scalar(0.0))
                            scalar.last = value.simple_value
                            scalar.total += value.simple_value
    return found
