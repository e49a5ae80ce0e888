"""The points of the loss and accuracy curves, as the run has recorded them."""

from typing import NamedTuple

from lightning_cnnviz.export.source import Source


class CurvePoint(NamedTuple):
    """A point of a curve.

    Attributes:
        quantity: `"loss"` or `"accuracy"`.
        split: `"train"` or `"val"`.
        metric: The metric it shows; None if that was not recorded.
        epoch: Completed epochs; None if the length of an epoch is unknown.
        step: Completed optimizer steps.
        value: None if it was not finite.
    """

    quantity: str
    split: str
    metric: str | None
    epoch: float | None
    step: int
    value: float | None


def curve_points(source: Source) -> list[CurvePoint]:
    """Returns the points at the selected steps, curve by curve."""
    found: dict[str, dict[int, CurvePoint]] = {}
    for _, frame in source.of_kind("curves"):
        metrics = frame.info.get("metrics") or {}
        for name, points in (frame.info.get("points") or {}).items():
            quantity, _, split = name.partition("/")
            for epoch, step, value in points:
                if source.has_step(step):
                    point = CurvePoint(quantity, split, metrics.get(name), _float(epoch), step, _float(value))
                    found.setdefault(name, {})[step] = point
    return [curve[step] for curve in found.values() for step in sorted(curve)]


def _float(number: float | None) -> float | None:
    return None if number is None else float(number)


def in_percent(source: Source) -> bool:
    """Whether the accuracies are in percent, as far as that was recorded."""
    return any(frame.info.get("percent") for _, frame in source.of_kind("curves"))
