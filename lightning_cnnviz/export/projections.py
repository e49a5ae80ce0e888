"""Layouts of the samples as tables: a file for each layer and method, with all steps."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightning_cnnviz.export.names import file_names
from lightning_cnnviz.export.source import Source, class_names
from lightning_cnnviz.export.tables import Columns, write_table

SPLITS = {"train": "training", "val": "validation", "test": "test"}
AXES = ("x", "y", "z")
TYPES = {
    **{"step": "int", "sample": "int", "x": "float", "y": "float"},
    **{"class": "int", "class_name": "text", "predicted": "int", "predicted_name": "text"},
}


class Samples:
    """The classes of the samples that the tab shows.

    Args:
        source: The run.

    Attributes:
        names: A name for each class index; empty if none were recorded.
        targets: Class indices, shape (samples,), negative if unknown; None if none were recorded.
        words: What they are: `"validation samples"`; empty if that was not recorded.
    """

    def __init__(self, source: Source) -> None:
        frame = source.whole_run("samples")
        self.names = class_names(None if frame is None else frame.info)
        split = SPLITS.get("" if frame is None else str(frame.info.get("split")))
        self.words = f"{split} samples" if split else ""
        self.targets = None if frame is None else frame.arrays.get("targets")

    def classes(self, count: int) -> np.ndarray[Any, Any]:
        """Returns the class indices of the first samples; all unknown if there are fewer samples than that."""
        if self.targets is None or len(self.targets) < count:
            return np.full(count, -1)
        return self.targets[:count]

    def named(self, classes: Sequence[int]) -> list[str | None]:
        """Returns the names of class indices, None where there is none."""
        return [self.names[one] if 0 <= one < len(self.names) else None for one in classes]


def write_projections(source: Source, folder: Path, *, parquet: bool) -> None:
    """Writes the layouts: step, number of the sample, coordinates, class and predicted class with their names.

    Args:
        source: The run.
        folder: For the files.
        parquet: Whether to write Parquet files beside the CSV files.
    """
    found = source.series("projection")
    titles = {tag: f"{one.identity.get('layer')}/{one.identity.get('method')}" for tag, one in found.items()}
    names, samples = file_names(titles.values()), Samples(source)
    for tag, one in found.items():
        rows = _rows(source, tag, one.steps.tolist(), samples)
        write_table(folder / names[titles[tag]], rows, TYPES, parquet=parquet)


def _rows(source: Source, tag: str, steps: Sequence[int], samples: Samples) -> Iterator[Columns]:
    for step, frame in source.frames(tag, steps):
        points, predicted = frame.arrays["points"], frame.arrays["predicted"].tolist()
        classes = samples.classes(len(points)).tolist()
        yield {
            "step": [step] * len(points),
            "sample": range(len(points)),
            **{name: points[:, axis].tolist() for axis, name in enumerate(AXES[: points.shape[1]])},
            "class": [None if one < 0 else one for one in classes],
            "class_name": samples.named(classes),
            "predicted": [None if one < 0 else one for one in predicted],
            "predicted_name": samples.named(predicted),
        }
