"""Loss and accuracy curves: finding the logged metrics, the best epoch, and the chart."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, overload

import numpy as np

from lightning_cnnviz.functional.drawing.image import Picture
from lightning_cnnviz.functional.drawing.line_chart import line_chart

if TYPE_CHECKING:  # imported where a figure is asked for: it takes three tenths of a second
    from matplotlib.figure import Figure

Quantity: TypeAlias = Literal["loss", "accuracy"]
Stage: TypeAlias = Literal["train", "val"]
METRIC_WORDS: dict[str, frozenset[str]] = {
    "loss": frozenset({"loss", "nll", "ce", "bce", "xent", "crossentropy"}),
    "accuracy": frozenset({"accuracy", "acc", "acc1", "top1", "multiclassaccuracy", "binaryaccuracy"}),
    "train": frozenset({"train", "training", "tr"}),
    "val": frozenset({"val", "valid", "validate", "validation", "dev", "eval", "evaluation"}),
    "test": frozenset({"test", "testing", "predict"}),
    "summary": frozenset({"epoch", "step", "total", "mean", "avg", "multiclass", "binary"}),
    "other": frozenset({"best", "max", "min", "topk", "ema"}),
}
"""Words in the names of metrics. Whatever has one of the last kind is something else than the loss or the accuracy."""


class Point(NamedTuple):
    """One value of a metric.

    Attributes:
        epoch: Completed epochs, e.g. 2.5 in the middle of the third; NaN if the length of an epoch is unknown.
        step: Completed optimizer steps.
        value: Loss or accuracy.
    """

    epoch: float
    step: int
    value: float


class _Reading(NamedTuple):
    """How a metric's name was read."""

    rank: tuple[bool, int, bool, bool, int, str]
    variant: tuple[str, ...]


def find_metric(
    names: Iterable[str], quantity: Quantity, stage: Stage, variant: tuple[str, ...] | None = None
) -> str | None:
    """Finds the metric that most likely is the loss or the accuracy, among those that a stage has logged.

    Names are split into words (`"val_NLLLoss"` is val, nll, loss). A name may omit its stage, but not name another.
    If several match, the mean over the epoch is preferred to the value of a step, a name without other words to one
    with them (`"val_loss"` to `"val_aux_loss"`), and a shorter name to a longer one. A top-5 accuracy or the best
    accuracy so far is no accuracy.

    Args:
        names: Names of the metrics that the stage has logged.
        quantity: `"loss"` or `"accuracy"`.
        stage: `"train"` or `"val"`.
        variant: Only a metric of this kind, as from `metric_variant`. Default: any.

    Returns:
        The name, or None if no metric matches.

    Example:
        >>> find_metric(["val/acc_epoch", "val/acc_step", "val/loss", "lr"], "accuracy", "val")
        'val/acc_epoch'
        >>> find_metric(["loss", "top5_acc", "balanced_acc", "lr"], "accuracy", "train")
        'balanced_acc'
    """
    readings = [_read(name, quantity, stage) for name in names]
    fitting = [found for found in readings if found is not None and variant in (None, found.variant)]
    return min(fitting)[0][-1] if fitting else None


def metric_variant(name: str, quantity: Quantity) -> tuple[str, ...]:
    """The words of a metric's name beyond quantity and stage, which say what kind of it this is.

    Only metrics of one variant can be compared: a macro average with a macro average.

    Example:
        >>> metric_variant("val/balanced_acc_epoch", "accuracy"), metric_variant("val_acc", "accuracy")
        (('balanced',), ())
    """
    found = _read(name, quantity, None)
    return () if found is None else found.variant


def _read(full: str, quantity: Quantity, stage: Stage | None) -> _Reading | None:
    name = re.sub(r"/dataloader_idx_\d+$", "", full)  # which Lightning appends with several validation loaders
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()
    spaced = re.sub(r"cross[ _/-]?entropy", "crossentropy", spaced)
    spaced = re.sub(r"\b(top|acc|accuracy)[ _/@-]?(?!1\b)[0-9]+", " topk ", re.sub(r"_", " ", spaced))
    words = re.findall(r"[a-z]+[0-9]*|[0-9]+", spaced)
    stages = {
        word: kind
        for word in words
        for kind in ("train", "val", "test")
        if word.rstrip("0123456789") in METRIC_WORDS[kind]
    }
    if not METRIC_WORDS[quantity] & set(words) or METRIC_WORDS["other"] & set(words):
        return None
    if stage is not None and not set(stages.values()) <= {stage}:
        return None
    known = {*stages, *METRIC_WORDS[quantity], *METRIC_WORDS["summary"]}
    variant = tuple(sorted(word for word in words if word not in known))
    macro = bool({"average", "macro", "balanced", "mean"} & set(words))  # rather than the share of all samples
    return _Reading(("step" in words, len(variant), macro, not stages, len(words), full), variant)


def best_point(points: Sequence[Point], quantity: Quantity) -> Point | None:
    """Returns the point with the lowest loss or highest accuracy, the first of ties; None if no value is finite.

    Example:
        >>> best_point([Point(1, 60, 0.7), Point(2, 120, 0.9), Point(3, 180, 0.9)], "accuracy")
        Point(epoch=2, step=120, value=0.9)
    """
    finite = [point for point in points if np.isfinite(point.value)]
    sign = 1 if quantity == "loss" else -1
    return min(finite, key=lambda point: sign * point.value, default=None)


@overload
def curve_chart(
    train: Sequence[Point],
    val: Sequence[Point],
    *,
    quantity: Quantity,
    metrics: Mapping[Stage, str] | None = None,
    title: str = "",
    as_figure: Literal[False] = False,
) -> Picture: ...
@overload
def curve_chart(
    train: Sequence[Point],
    val: Sequence[Point],
    *,
    quantity: Quantity,
    metrics: Mapping[Stage, str] | None = None,
    title: str = "",
    as_figure: Literal[True],
) -> "Figure": ...
def curve_chart(
    train: Sequence[Point],
    val: Sequence[Point],
    *,
    quantity: Quantity,
    metrics: Mapping[Stage, str] | None = None,
    title: str = "",
    as_figure: bool = False,
) -> "Picture | Figure":
    """Draws training and validation curves in one chart and rings the best point (of validation, if available).

    Args:
        train: Training values in chronological order. May be empty.
        val: Validation values in chronological order. May be empty.
        quantity: `"loss"` (lower is better) or `"accuracy"` (higher is better).
        metrics: Stage → the metric it shows, written in the legend. Default: the stage alone.
        title: Written above the chart.
        as_figure: Return a matplotlib figure of the same content, e.g. to restyle it for a paper.

    Returns:
        Height × width × 3, uint8; or the figure if `as_figure` is set.

    Example:
        >>> curve_chart([Point(1, 60, 0.7)], [], quantity="loss").shape
        (400, 700, 3)
    """
    in_epochs = not any(np.isnan(point.epoch) for point in (*train, *val))
    stages: tuple[Stage, Stage] = ("train", "val")
    labels = {stage: f"{stage}: {metrics[stage]}" if metrics and stage in metrics else stage for stage in stages}
    series = {
        labels[stage]: (
            np.array([point.epoch if in_epochs else point.step for point in points], dtype=float),
            np.array([point.value for point in points]),
        )
        for stage, points in zip(stages, (train, val), strict=True)
    }
    best = best_point(val or train, quantity)
    mark = None
    if best is not None:
        when = f"after epoch {best.epoch:.4g}" if in_epochs else f"at step {best.step}"
        label = f"best {'val' if val else 'train'}: {best.value:.4g} {when}"
        mark = (best.epoch if in_epochs else best.step, best.value, label)
    x_label = "epochs completed" if in_epochs else "optimizer step"
    if not as_figure:
        return line_chart(series, title=title, x_label=x_label, y_label=quantity, mark=mark)
    from lightning_cnnviz.functional.drawing.figure import line_figure

    return line_figure(series, title=title, x_label=x_label, y_label=quantity, mark=mark)
