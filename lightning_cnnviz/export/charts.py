"""Charts as vector graphics for a paper: SVG with texts that stay texts, PDF with its fonts embedded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from lightning_cnnviz.export.curves import CurvePoint, curve_points, in_percent
from lightning_cnnviz.export.names import file_names
from lightning_cnnviz.export.projections import Samples
from lightning_cnnviz.export.source import Source, class_names
from lightning_cnnviz.functional.class_report import confusion_matrix_chart
from lightning_cnnviz.functional.curves import Point, Quantity, Stage, curve_chart
from lightning_cnnviz.functional.gradients.gradient_flow import gradient_bars, gradient_heat_map
from lightning_cnnviz.functional.projection.chart import projection_chart
from lightning_cnnviz.functional.projection.layout import Layout
from lightning_cnnviz.functional.projection.quality import LayoutQuality

Draw = Callable[[], Figure]
Chart = tuple[str, Draw]
"""Name of the file, and what draws it."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lightning-cnnviz",
    "pdf.fonttype": 42,
    "path.simplify": False,
}
"""Texts in SVG can be searched and edited, fonts in PDF are TrueType as journals ask for, no point is left out."""
UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""The same run gives the same files."""


def charts(source: Source) -> Iterator[Chart]:
    """Yields the charts for which the run has recorded numbers, at the last of the selected steps."""
    yield from _curves(source)
    yield from _gradients(source)
    yield from _confusion(source)
    yield from _projections(source)


def write_chart(path: Path, draw: Draw) -> None:
    """Writes a chart as SVG and as PDF.

    Args:
        path: Of the files, without ending.
        draw: Returns the chart.

    Raises:
        OSError: If they cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure = draw()
        for ending, metadata in UNDATED.items():
            figure.savefig(path.with_name(f"{path.name}.{ending}"), metadata=metadata)


def _figure(chart: Callable[..., Any], *arguments: Any, **words: Any) -> Draw:
    def draw() -> Figure:
        drawn: Figure = chart(*arguments, **words, as_figure=True)
        return drawn

    return draw


def _curves(source: Source) -> Iterator[Chart]:
    points = curve_points(source)
    percent = " in percent" if in_percent(source) else ""
    quantities: tuple[Quantity, ...] = ("loss", "accuracy")
    for quantity in quantities:
        if found := [point for point in points if point.quantity == quantity]:
            yield quantity, _curve(quantity, found, percent if quantity == "accuracy" else "")


def _curve(quantity: Quantity, points: list[CurvePoint], unit: str) -> Draw:
    stages: tuple[Stage, Stage] = ("train", "val")
    train, val = ([_point(point) for point in points if point.split == stage] for stage in stages)
    metrics = {stage: one.metric for stage in stages for one in points if one.split == stage and one.metric}
    title = f"{quantity}{unit} · up to step {max(point.step for point in points)}"
    return _figure(curve_chart, train, val, quantity=quantity, metrics=metrics, title=title)


def _point(point: CurvePoint) -> Point:
    nan = float("nan")
    epoch, value = (nan if number is None else number for number in (point.epoch, point.value))
    return Point(epoch, point.step, value)


def _gradients(source: Source) -> Iterator[Chart]:
    rows = [
        (step, frame.info["layers"], dict(zip(frame.info["statistics"], frame.arrays["values"].T, strict=True)))
        for step, frame in source.of_kind("gradients")
    ]
    if not rows:
        return
    last, names, values = rows[-1]
    title = f"gradient flow · training · step {last}"
    yield "gradient_flow", _figure(gradient_bars, names, values["mean_abs"], values["max_abs"], title=title)
    steps = [step for step, _, _ in rows]
    table = np.full((len(names), len(rows)), np.nan)
    for column, (_, own, found) in enumerate(rows):
        known = dict(zip(own, found["mean_abs"], strict=True))
        table[:, column] = [known.get(name, np.nan) for name in names]
    start = max(0, 2 * steps[0] - steps[1]) if len(steps) > 1 else 0  # as long before the first as the second after it
    title = f"gradient flow · training · up to step {last}"
    yield "gradient_flow_over_time", _figure(gradient_heat_map, names, steps, table, start=start, title=title)


def _confusion(source: Source) -> Iterator[Chart]:
    found = source.series("confusion")
    if not found and any(tag.endswith("class_report/confusion") for tag in source.pictures):
        source.notes.append(
            "no chart of the confusion matrix: this run has recorded its picture alone, not its counts "
            "(with more than 200 classes, or by an earlier version)"
        )
    for tag, one in found.items():
        for step, frame in source.frames(tag, one.steps.tolist()[-1:]):
            title, note = f"confusion · validation · step {step}", str(frame.info.get("note") or "")
            names = class_names(frame.info)
            yield "confusion", _figure(confusion_matrix_chart, frame.arrays["counts"], names, title=title, note=note)


def _projections(source: Source) -> Iterator[Chart]:
    found, samples = source.series("projection"), Samples(source)
    titles = {tag: f"{one.identity.get('layer')}/{one.identity.get('method')}" for tag, one in found.items()}
    names = file_names(titles.values())
    for tag, one in found.items():
        for step, frame in source.frames(tag, one.steps.tolist()[-1:]):
            layout = Layout(frame.arrays["points"].astype(np.float64), None)
            numbers = LayoutQuality(**{key: frame.info["numbers"].get(key, np.nan) for key in LayoutQuality._fields})
            title = " · ".join(filter(None, [str(one.identity["layer"]), f"step {step}", samples.words]))
            classes, method = samples.classes(len(layout.points)), one.identity["method"]
            draw = _figure(
                projection_chart, layout, classes, samples.names, numbers=numbers, title=title, method=method
            )
            yield f"projection_{names[titles[tag]]}", draw
