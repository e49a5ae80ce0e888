"""Which frames of a run go into a page: of some layers, between some steps, thinned evenly over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from lightning_cnnviz.functional.tab.schema import SCHEMA
from lightning_cnnviz.report.folders import ReportError
from lightning_cnnviz.tensorboard_plugin.series import Series

WHOLE = ("model", "samples", "curves", "gradients", "findings")
"""Kinds that are small and shown in full: they are not thinned."""
ONCE = ("model", "samples")
"""Kinds that tell of the whole run, at whatever step they were written."""


@dataclass(frozen=True)
class Selection:
    """What is asked for.

    Attributes:
        layers: Names or globs such as `"features.*"`; all if empty.
        first: The first optimizer step, or None.
        last: The last one, or None.

    Raises:
        ReportError: If the first step is later than the last one.
    """

    layers: Sequence[str] = ()
    first: int | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ReportError(f"expected steps from a first to a later one, got {self.first} to {self.last}")

    @property
    def of_steps(self) -> bool:
        """Whether steps are selected at all."""
        return self.first is not None or self.last is not None

    @property
    def words(self) -> str:
        """What is left out by it, in a sentence; empty if nothing is."""
        layers = f"of the layers {', '.join(self.layers)}" if self.layers else ""
        span = [f"from step {self.first}" if self.first is not None else "",
                f"up to step {self.last}" if self.last is not None else ""]  # fmt: skip
        parts = " ".join(part for part in (layers, *span) if part)
        return f"This page has a part of the run: what is {parts}." if parts else ""

    def of(self, found: Mapping[str, Series]) -> dict[str, Series]:
        """Returns what is selected of the series of a run.

        Args:
            found: Tag → series.

        Raises:
            ReportError: If a pattern matches no layer, or nothing is between the steps.
        """
        self.check(layers_of(found))
        chosen = {}
        for tag, series in found.items():
            layer = series.identity.get("layer")
            if layer and not self.has_layer(str(layer)):
                continue
            kept = series if series.identity.get("kind") in ONCE else series.at(filter(self.has_step, series.steps))
            if len(kept.steps) or series.identity.get("schema") != SCHEMA:
                chosen[tag] = kept
        if self.of_steps and not any(
            len(one.steps) and one.identity.get("kind") not in ONCE for one in chosen.values()
        ):
            raise ReportError("nothing was recorded between these steps")
        return chosen

    def check(self, layers: Sequence[str]) -> None:
        """Raises a `ReportError` if a pattern matches none of the layers of a run."""
        for pattern in self.layers:
            if not any(_matches(layer, pattern) for layer in layers):
                raise ReportError(f"expected one of the layers {', '.join(layers)}, or a glob, got {pattern!r}")

    def has_layer(self, layer: str) -> bool:
        """Whether a layer is selected."""
        return not self.layers or any(_matches(layer, pattern) for pattern in self.layers)

    def has_step(self, step: int) -> bool:
        """Whether a step is selected."""
        return (self.first is None or step >= self.first) and (self.last is None or step <= self.last)


def layers_of(found: Mapping[str, Series]) -> list[str]:
    """Returns the names of the layers of which a run has data, sorted."""
    return sorted({str(series.identity["layer"]) for series in found.values() if series.identity.get("layer")})


def thinned(found: Mapping[str, Series], share: float) -> dict[str, Series]:
    """Returns series with a share of their steps, at least the first and the last; what is small stays whole.

    Args:
        found: Tag → series.
        share: 0…1.
    """
    return {
        tag: series
        if series.identity.get("kind") in WHOLE
        else series.at(evenly(series.steps, round(share * len(series.steps))))
        for tag, series in found.items()
    }


def evenly(steps: Sequence[int], count: int) -> list[int]:
    """Returns about `count` of some steps in increasing order, evenly over time, the first and the last among them.

    Example:
        >>> evenly([0, 10, 20, 30, 40, 50, 60], 3), evenly([0, 1, 2, 3, 100], 3)
        ([0, 30, 60], [0, 3, 100])
        >>> evenly([7], 3)
        [7]
    """
    known = np.asarray(steps, dtype=np.int64)
    if count >= len(known):
        return [int(step) for step in known]
    targets = np.linspace(known[0], known[-1], max(count, 2))
    after = np.searchsorted(known, targets).clip(1, len(known) - 1)
    nearest = np.where(targets - known[after - 1] <= known[after] - targets, after - 1, after)
    return [int(step) for step in known[np.unique(nearest)]]


def _matches(layer: str, pattern: str) -> bool:
    return layer == pattern or fnmatchcase(layer, pattern)
