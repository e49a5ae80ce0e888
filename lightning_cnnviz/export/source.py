"""What is exported: a run, and what is selected of it."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from lightning_cnnviz.export.logged import Logged, Scalars
from lightning_cnnviz.report.folders import ReportError, reading
from lightning_cnnviz.report.selection import Selection, layers_of
from lightning_cnnviz.tensorboard_plugin.frames import Frame, Info
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex
from lightning_cnnviz.tensorboard_plugin.series import Series

BATCH = 100
"""Frames that are looked up at a time."""


class Source:
    """A run with a selection.

    Args:
        folder: Of the run.
        index: Of the data of the tab.
        selection: Of layers and steps.

    Attributes:
        notes: What is left out, in sentences.

    Raises:
        ReportError: If a pattern matches no layer, there is nothing between the steps, or the run cannot be read.
    """

    def __init__(self, folder: str, index: RunIndex, selection: Selection) -> None:
        self.index = index
        self.notes: list[str] = []
        found = index.series()
        layers = layers_of(found)
        selection.check(layers)
        self._selection, self._layers = selection, layers
        self._found = found
        with reading(folder):
            self.logged = Logged(folder)
        self.notes += dict.fromkeys([*index.problems, *self.logged.problems])
        anything: list[Series | Scalars] = [
            *self._found.values(),
            *self.logged.pictures.values(),
            *self.logged.scalars.values(),
        ]
        if selection.of_steps and not any(selection.has_step(step) for one in anything for step in one.steps):
            raise ReportError("nothing was recorded between these steps")

    @cached_property
    def pictures(self) -> dict[str, list[int]]:
        """Tag → steps of the pictures that are selected."""
        chosen = {
            tag: [step for step in series.steps if self._selection.has_step(step)]
            for tag, series in sorted(self.logged.pictures.items())
            if self._has_tag(tag)
        }
        return {tag: steps for tag, steps in chosen.items() if steps}

    @cached_property
    def scalars(self) -> dict[str, Scalars]:
        """Tag → values that are selected, in the order in which tags were first logged."""
        chosen = {tag: self._between(values) for tag, values in self.logged.scalars.items() if self._has_tag(tag)}
        return {tag: values for tag, values in chosen.items() if values.steps}

    def series(self, kind: str) -> dict[str, Series]:
        """Returns the data of the tab of a kind, of selected layers: tag → series with the selected steps."""
        chosen = {}
        for tag, one in self._found.items():
            layer = one.identity.get("layer")
            if one.identity.get("kind") == kind and (not layer or self._selection.has_layer(str(layer))):
                kept = one.at(filter(self._selection.has_step, one.steps))
                if len(kept.steps):
                    chosen[tag] = kept
        return chosen

    def frames(self, tag: str, steps: Sequence[int]) -> Iterator[tuple[int, Frame]]:
        """Yields step and frame; of a frame that is damaged, a note says so."""
        for start in range(0, len(steps), BATCH):
            for step, _, frame in self.index.frames(tag, steps[start : start + BATCH]):
                if isinstance(frame, Frame):
                    yield step, frame
                elif frame not in self.notes:
                    self.notes.append(frame)

    def of_kind(self, kind: str) -> Iterator[tuple[int, Frame]]:
        """Yields step and frame of each series of a kind, at the selected steps."""
        for tag, one in self.series(kind).items():
            yield from self.frames(tag, one.steps.tolist())

    def whole_run(self, kind: str) -> Frame | None:
        """Returns the last frame of a kind that tells of the whole run, at whatever step it was written."""
        for tag, one in self._found.items():
            if one.identity.get("kind") == kind and len(one.steps):
                for _, frame in self.frames(tag, one.steps.tolist()[-1:]):
                    return frame
        return None

    def has_step(self, step: int) -> bool:
        """Whether a step is selected."""
        return self._selection.has_step(step)

    def _has_tag(self, tag: str) -> bool:
        """Whether the layer that a tag names, if it names one, is selected; the longest if it names several."""
        named = [layer for layer in self._layers if f"/{layer}/" in f"/{tag}/"]
        return not named or self._selection.has_layer(max(named, key=len))

    def _between(self, values: Scalars) -> Scalars:
        chosen = Scalars()
        for step, written, value in zip(values.steps, values.written, values.values, strict=True):
            if self._selection.has_step(step):
                chosen.add(step, written, value)
        return chosen


def class_names(info: Info | None) -> list[str]:
    """Returns the names of the classes that a frame tells, empty if it tells none."""
    return [str(name) for name in (info or {}).get("classes") or []]
