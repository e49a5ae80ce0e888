"""Columns of a heat map over the time of a run: one number per layer, for each step at which there was a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.thinning import most_dispensable

MAX_HEAT_MAP_COLUMNS = 1000
"""Maximum number of columns of a heat map; beyond it, one after the other is dropped, evenly over the run."""


class ColumnHistory:
    """The columns so far; goes into checkpoints, so that a resumed run continues them.

    Attributes:
        start: Optimizer step after which the first column begins.
        columns: (step, layer → number) of each.

    Example:
        >>> history = ColumnHistory()
        >>> history.add(10, {"conv1": 0.5})
        >>> history.add(20, {"conv1": 0.25, "fc": 1.0})
        >>> history.steps, history.table(["conv1", "fc"]).tolist()
        ([10, 20], [[0.5, 0.25], [nan, 1.0]])
    """

    def __init__(self) -> None:
        self.start = 0
        self.columns: list[tuple[int, dict[str, float]]] = []

    @property
    def steps(self) -> list[int]:
        """The steps of the columns."""
        return [step for step, _ in self.columns]

    def begin(self, step: int) -> None:
        """Drops columns of later steps, in case a run starts over or from an earlier checkpoint."""
        self.columns = [(one, column) for one, column in self.columns if one <= step]
        if not self.columns:
            self.start = step

    def add(self, step: int, column: Mapping[str, float]) -> None:
        """Adds the newest column."""
        self.columns.append((step, dict(column)))
        if len(self.columns) > MAX_HEAT_MAP_COLUMNS:
            del self.columns[most_dispensable(self.steps)]

    def table(self, layers: Sequence[str]) -> npt.NDArray[np.float64]:
        """Returns the numbers of some layers, shape (layers, columns); NaN where a column has none."""
        return np.array([[column.get(name, np.nan) for _, column in self.columns] for name in layers])

    def state_dict(self) -> dict[str, Any]:
        """Returns the columns for a checkpoint."""
        return {"start": self.start, "history": [(step, dict(column)) for step, column in self.columns]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the columns from a checkpoint."""
        self.columns = [(step, dict(column)) for step, column in state["history"]]
        self.start = state.get("start", 0)  # checkpoints of earlier versions have none
