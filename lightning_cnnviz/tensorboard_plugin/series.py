"""A series: where in the event files of a run the records of one tag stand."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from lightning_cnnviz.tensorboard_plugin.frames import parse_json


class Series:
    """The records of one tag.

    Attributes:
        identity: The metadata: kind, layer, method, view and schema.
        steps: In increasing order.
        written: Wall time of writing of each step, in seconds since 1970.
        since: Which trainings the frames are of: a step from which on they are of another one than before, as it was
            resumed or began anew there; and wall time and place of the record that says so, as no other one has both.
            The first is that of the first frame.
    """

    def __init__(self, identity: dict[str, Any]) -> None:
        self.identity = identity
        self.steps = array("q")
        self.written = array("d")
        self.since: list[tuple[int, float, int]] = []
        self._places = array("q")

    def add(self, step: int, wall_time: float, place: int) -> None:
        """Adds a record, which takes the place of all at its step and later ones: the training went back."""
        self.forget(step, wall_time, place)
        self.since = self.since or [(step, wall_time, place)]
        self.steps.append(step)
        self.written.append(wall_time)
        self._places.append(place)

    def forget(self, step: int, wall_time: float, place: int) -> None:
        """Drops all records at a step and later ones, as a record says."""
        first = bisect_left(self.steps, step)
        if first < len(self.steps):
            self.since = [each for each in self.since if each[0] < step] + [(step, wall_time, place)]
            del self.steps[first:], self.written[first:], self._places[first:]

    def place(self, step: int) -> int | None:
        """Returns where the record of a step is; None if there is none."""
        index = bisect_left(self.steps, step)
        return self._places[index] if index < len(self.steps) and self.steps[index] == step else None

    def at(self, steps: Iterable[int]) -> "Series":
        """Returns the same series with some of its steps, which are in increasing order.

        Example:
            >>> series = Series({"kind": "curves"})
            >>> for step in (1, 2, 3):
            ...     series.add(step, 1.7e9, place=step)
            >>> series.at([1, 3]).steps.tolist()
            [1, 3]
        """
        some = Series(self.identity)
        for step in steps:
            index = bisect_left(self.steps, step)
            some.add(step, self.written[index], self._places[index])
        some.since = self.since
        return some


def identity(content: bytes) -> dict[str, Any]:
    """Returns the metadata of a series; empty if they cannot be parsed.

    Example:
        >>> identity(b'{"schema": 1, "kind": "model"}'), identity(b"?")
        ({'schema': 1, 'kind': 'model'}, {})
    """
    try:
        read = parse_json(content)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
