"""What stands above the page: model, data, settings, metrics, best epoch, findings and cost, as far as recorded."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from lightning_cnnviz.report.scalars import Scalar, scalars
from lightning_cnnviz.report.settings import Row, settings
from lightning_cnnviz.tensorboard_plugin.frames import Frame
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex

OURS = (
    *("cnnviz/", "curves/", "gradient_flow/", "activations/", "class_report/", "projection/", "diagnosis/"),
    *("filter_response/", "partition/", "sample_history/", "saliency/", "activating_patches/"),
)
"""What callbacks of this package log: it is in the pictures."""
COUNTERS = ("epoch", "hp_metric")
COST = "cnnviz/cost/"
MAX_METRICS = 40

Points = dict[str, dict[int, tuple[float, float]]]
"""Curve → step → epoch and value."""


def summary(folder: str, index: RunIndex) -> dict[str, Any]:
    """Returns one line about a run, and what stands behind it: `{"line": text, "parts": [[headline, rows], …]}`.

    Args:
        folder: Of the run.
        index: Of the run.
    """
    model, samples, found = _last(index, "model"), _last(index, "samples"), _last(index, "findings")
    findings = (found.get("findings") if found else None) or []
    points, logged, chosen = _curves(index), scalars(folder), settings(folder)
    of_model, of_data = (_under(chosen, name) for name in ("model", "data"))
    best = list(_best(points))
    epochs = max((epoch for curve in points.values() for epoch, _ in curve.values()), default=None)
    parts = {
        "Model": [*_model(model), *of_model],
        "Data": [*_data(model, samples), *of_data],
        "Settings": [row for row in chosen if row not in of_model and row not in of_data],
        "Final metrics": _metrics(logged),
        "Best epoch": best,
        "Findings": [(str(one.get("title", "")), _finding(one)) for one in findings],
        "Recorded": _recorded(index),
        "Cost of the pictures, on the training thread": _cost(logged),
    }
    known = dict(_model(model))
    line = [
        known.get("class", ""),
        f"{known['parameters']} parameters" if "parameters" in known else "",
        f"{_number(epochs)} epochs" if epochs is not None else "",
        *(f"{name}: {value}" for name, value in best),
        f"{len(findings)} findings" if len(findings) > 1 else "1 finding" if findings else "",
    ]
    return {
        "line": " · ".join(part for part in line if part),
        "parts": [[k, rows] for k, rows in parts.items() if rows],
    }


def _frames(index: RunIndex, kind: str, last: bool = False) -> Iterable[Frame]:
    """The frames of the only series of a kind that can be read."""
    for tag, series in index.series().items():
        if series.identity.get("kind") == kind:
            steps = series.steps.tolist()
            for _, _, frame in index.frames(tag, steps[-1:] if last else steps):
                if isinstance(frame, Frame):
                    yield frame


def _last(index: RunIndex, kind: str) -> dict[str, Any]:
    return next((frame.info for frame in _frames(index, kind, last=True)), {})


def _curves(index: RunIndex) -> Points:
    found: Points = {}
    for frame in _frames(index, "curves"):
        for name, points in (frame.info.get("points") or {}).items():
            for epoch, step, value in points:
                if epoch is not None and value is not None:
                    found.setdefault(name, {})[step] = epoch, value
    return found


def _best(points: Points) -> Iterable[Row]:
    """The epoch of the lowest loss and of the highest accuracy of the validation; of equals the first."""
    for name, curve in sorted(points.items()):
        quantity, _, split = name.partition("/")
        if split == "val" and quantity in ("loss", "accuracy"):
            sign, word = (-1, "highest") if quantity == "accuracy" else (1, "lowest")
            epoch, value = min(curve.values(), key=lambda point: (sign * point[1], point[0]))
            yield f"{word} {quantity} of the validation", f"{_number(value)} in epoch {_number(epoch)}"


def _model(model: Mapping[str, Any]) -> list[Row]:
    layers = model.get("layers") or []
    counted = [(one.get("parameters") or 0, int(one.get("trainable") or 0)) for one in layers]
    total = sum(number for number, _ in counted)
    rows = [
        ("class", str(model.get("name") or "")),
        ("input", " × ".join(map(str, model.get("input_shape") or []))),
        ("layers", str(len(layers) or "")),
        ("parameters", f"{total:,}" if total else ""),
    ]
    return [(name, value) for name, value in rows if value]


def _data(model: Mapping[str, Any], samples: Mapping[str, Any]) -> list[Row]:
    classes = samples.get("classes") or model.get("classes") or []
    return [(f"{len(classes)} classes", ", ".join(map(str, classes)))] if classes else []


def _under(rows: Iterable[Row], name: str) -> list[Row]:
    return [row for row in rows if row[0] == name or row[0].startswith(f"{name}.")]


def _metrics(logged: Mapping[str, Scalar]) -> list[Row]:
    rows = [
        (tag, _number(scalar.last))
        for tag, scalar in logged.items()
        if not tag.startswith(OURS) and tag not in COUNTERS
    ]
    more = [("and", f"{len(rows) - MAX_METRICS} more")] if len(rows) > MAX_METRICS else []
    return rows[:MAX_METRICS] + more


def _finding(one: Mapping[str, Any]) -> str:
    layers = ", ".join(map(str, one.get("layers") or []))
    since = f"since step {one['first_step']:,}" if isinstance(one.get("first_step"), int) else ""
    return " · ".join(part for part in (layers, since, str(one.get("evidence") or "")) if part)


def _cost(logged: Mapping[str, Scalar]) -> list[Row]:
    taken = {tag.removeprefix(COST): scalar.total / 1000 for tag, scalar in logged.items() if tag.startswith(COST)}
    rows = sorted(taken.items(), key=lambda row: -row[1])
    return [(name, f"{seconds:.2f} s") for name, seconds in [("all", sum(taken.values())), *rows]] if rows else []


def _recorded(index: RunIndex) -> list[Row]:
    """From when to when, and up to which step: a run that still trains has more by now."""
    written = [one.written for one in index.series().values() if len(one.written)]
    ends = (
        [("from", min(times[0] for times in written)), ("to", max(times[-1] for times in written))] if written else []
    )
    steps = max((one.steps[-1] for one in index.series().values() if len(one.steps)), default=0)
    times = [(name, f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%d %H:%M} UTC") for name, at in ends]
    return [*times, ("last step", f"{steps:,}")]


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "not finite"
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.4g}"
