"""Weights & Biases."""

import os
from collections.abc import Mapping
from functools import partial
from html import escape
from pathlib import Path
from tempfile import mkstemp
from typing import Any, NamedTuple

from lightning_cnnviz.functional.activations.histogram import Histogram
from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.output.sinks.base import Sink

MOST_BEHIND = 2
"""Optimizer steps of one axis that may wait for the next row before the sink itself closes the one that is open."""


class _Entry(NamedTuple):
    """Values, tag → value, of one step of an axis, and the temporary file of a picture."""

    axis: str
    step: int
    values: Mapping[str, Any]
    file: Path | None = None


class WandbSink(Sink):
    """Logs images and scalars against axes of their own, `cnnviz/step/<numbers or pictures>/<first part of the tag>`.

    A Weights & Biases run counts its own steps, and drops what the user logs with `step=` below that count. Calls with
    `commit=False` leave it as it is: what is logged joins the row that is open, with the optimizer step beside it as
    x-axis. A row has one step of each axis; the next one waits for the next row. Only if the user's code and Lightning
    have opened none for a while is the row closed here, which advances the count by one: less often than there are
    optimizer steps with pictures.

    Only the training thread may make these calls, so pictures are logged with the next scalars.
    """

    takes_pictures = True

    def __init__(self, logger: Any) -> None:
        super().__init__(logger)
        self._waiting: list[_Entry] = []
        self._row: int | None = None
        self._steps_in_row: dict[str, int] = {}
        self._defined: set[str] = set()

    def numbers(self, values: Mapping[str, float], step: int) -> int:
        """Logs scalars."""
        families: dict[str, dict[str, float]] = {}
        for tag, value in values.items():
            families.setdefault(tag.partition("/")[0], {})[tag] = value
        self._wait(*(_Entry(f"cnnviz/step/numbers/{one}", step, part) for one, part in families.items()))
        return 0

    def picture(self, tag: str, picture: Encoded, step: int) -> int:
        """Logs an image as a file, so that animations keep moving."""
        import wandb

        run = self.logger.experiment
        if run.disabled:  # WANDB_MODE=disabled: there is no folder
            return 0
        file, path = mkstemp(suffix=".png", dir=Path(run.dir).parent)
        with os.fdopen(file, "wb") as opened:
            opened.write(picture.data)
        self._later(tag, wandb.Image(path), step, Path(path))
        return len(picture.data)

    def text(self, tag: str, text: str, step: int) -> int:
        """Logs a text as preformatted HTML."""
        import wandb

        self._later(tag, wandb.Html(f"<pre>{escape(text)}</pre>", inject=False), step)
        return len(text.encode())

    def histogram(self, tag: str, histogram: Histogram, step: int) -> int:
        """Logs a distribution."""
        import wandb

        self._later(tag, wandb.Histogram(np_histogram=(histogram.counts, histogram.edges())), step)
        return histogram.counts.nbytes

    def file(self, path: Path) -> None:
        """Logs a file as an artifact named after it and the run; another one of that name is its next version."""
        import wandb

        run = self.logger.experiment
        if not run.disabled:
            artifact = wandb.Artifact(f"{path.stem}-{run.id}", type=path.stem)
            artifact.add_file(str(path))
            run.log_artifact(artifact)

    def close(self) -> None:
        """Logs what still waits for a row."""
        self._log(most_behind=0)

    def _later(self, tag: str, value: Any, step: int, file: Path | None = None) -> None:
        entry = _Entry(f"cnnviz/step/pictures/{tag.partition('/')[0]}", step, {tag: value}, file)
        self.deferred.append(partial(self._wait, entry))

    def _wait(self, *entries: _Entry) -> None:
        self._waiting += entries
        self._log()

    def _log(self, most_behind: int = MOST_BEHIND) -> None:
        run = self.logger.experiment
        if self._waiting and run.step != self._row:  # the user's code or Lightning has closed the last row
            self._row, self._steps_in_row = run.step, {}
        while self._waiting:
            entries, self._waiting = self._waiting, []
            for entry in entries:
                if self._steps_in_row.setdefault(entry.axis, entry.step) == entry.step:
                    self._add(run, entry)
                else:
                    self._waiting.append(entry)
            behind = [axis for axis, _ in {(entry.axis, entry.step) for entry in self._waiting}]
            if max(map(behind.count, behind), default=0) <= most_behind:
                break
            run.log({}, commit=True)
            self._row, self._steps_in_row = run.step, {}

    def _add(self, run: Any, entry: _Entry) -> None:
        try:
            prefix = f"{self.logger._prefix}{self.logger.LOGGER_JOIN_CHAR}" if self.logger._prefix else ""
            values, axis = {prefix + tag: value for tag, value in entry.values.items()}, prefix + entry.axis
            for name in {axis, *values} - self._defined:
                run.define_metric(name, hidden=True) if name == axis else run.define_metric(name, step_metric=axis)
                self._defined.add(name)
            run.log({**values, axis: entry.step}, commit=False)
        finally:
            if entry.file is not None:
                entry.file.unlink()  # W&B has copied it
