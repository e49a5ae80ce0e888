"""The numbers of a run as tables: scalars, the points of the curves, and the counts of the confusion matrix."""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np

from lightning_cnnviz.export.curves import curve_points
from lightning_cnnviz.export.source import Source, class_names
from lightning_cnnviz.export.tables import Columns, write_table

MAX_WIDE_CELLS = 5_000_000
"""Of the table with a column for each tag; a larger one is not written."""
LONG = {"tag": "text", "step": "int", "wall_time": "float", "value": "float"}
CURVES = {
    **{"quantity": "text", "split": "text", "metric": "text"},
    **{"epoch": "float", "step": "int", "value": "float"},
}
CONFUSION = {"step": "int", "true": "text", "predicted": "text", "count": "int"}


def write_numbers(source: Source, folder: Path, *, parquet: bool) -> None:
    """Writes the tables of which the run has rows.

    `scalars` has a row for each value, `scalars_by_step` a row for each step and a column for each tag, with the last
    value of a step that has several.

    Args:
        source: The run.
        folder: For the files.
        parquet: Whether to write Parquet files beside the CSV files.
    """
    if source.scalars:
        write_table(folder / "scalars", _long(source), LONG, parquet=parquet)
        steps = sorted({step for values in source.scalars.values() for step in values.steps})
        if len(steps) * len(source.scalars) <= MAX_WIDE_CELLS:
            types = {"step": "int", **dict.fromkeys(_columns(source).values(), "float")}
            write_table(folder / "scalars_by_step", _wide(source, steps), types, parquet=parquet)
        else:
            source.notes.append(
                f"scalars_by_step is not written: {len(source.scalars):,} tags at {len(steps):,} steps are too many "
                "cells; scalars has them all"
            )
    if points := curve_points(source):
        columns = dict(zip(CURVES, zip(*points, strict=True), strict=True))
        write_table(folder / "curves", [columns], CURVES, parquet=parquet)
    if source.series("confusion"):
        write_table(folder / "confusion", _confusion(source), CONFUSION, parquet=parquet)


def _long(source: Source) -> Iterator[Columns]:
    for tag, one in source.scalars.items():
        yield {"tag": [tag] * len(one.steps), "step": one.steps, "wall_time": one.written, "value": one.values}


def _columns(source: Source) -> dict[str, str]:
    """Tag → the name of its column, which is not that of the steps."""
    return {tag: tag if tag != "step" else "step (logged)" for tag in source.scalars}


def _wide(source: Source, steps: list[int]) -> Iterator[Columns]:
    names = _columns(source)
    last = {names[tag]: dict(zip(one.steps, one.values, strict=True)) for tag, one in source.scalars.items()}
    for step in steps:
        yield {"step": [step], **{name: [values.get(step)] for name, values in last.items()}}


def _confusion(source: Source) -> Iterator[Columns]:
    for step, frame in source.of_kind("confusion"):
        counts, names = frame.arrays["counts"], np.array(class_names(frame.info), dtype=object)
        yield {
            "step": list(repeat(step, counts.size)),
            "true": np.repeat(names, len(names)).tolist(),
            "predicted": np.tile(names, len(names)).tolist(),
            "count": counts.ravel().tolist(),
        }
