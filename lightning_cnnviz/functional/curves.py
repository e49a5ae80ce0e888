"""Loss and accuracy over the epochs: which logged metric is which, the best epoch, and the chart."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from lightning_cnnviz.functional.figure import line_chart
from lightning_cnnviz.functional.image import Picture

Quantity: TypeAlias = Literal["loss", "accuracy"]
Stage: TypeAlias = Literal["train", "val"]
WORDS: dict[str, frozenset[str]] = {
    "loss": frozenset({"loss", "nll", "ce", "bce", "xent", "crossentropy"}),
    "accuracy": frozenset({"accuracy", "acc", "acc1", "top1", "multiclassaccuracy", "binaryaccuracy"}),
    "train": frozenset({"train", "training", "tr"}),
    "val": frozenset({"val", "valid", "validate", "validation", "dev", "eval", "evaluation"}),
    "test": frozenset({"test", "testing", "predict"}),
    "summary": frozenset({"epoch", "step", "total", "mean", "avg"}),
}


class Point(NamedTuple):
    """One measured value.

    Attributes:
        epoch: Time in epochs completed, 2.5 is in the middle of the third; NaN where epochs have no known length.
        step: Time in optimizer steps.
        value: The loss or the accuracy.
    """

    epoch: float
    step: int
    value: float


def find_metric(names: Iterable[str], quantity: Quantity, stage: Stage) -> str | None:
    """The logged metric that most plainly is the loss or the accuracy of a stage.

    Names are split into words (`"val_NLLLoss"` is val, nll, loss). A training metric may leave out its stage
    (`"loss"`), a validation metric may not. Among several the epoch's mean comes before a step's value, a name
    without further words before one with (`"val_loss"` before `"val_aux_loss"`), and the shortest first.

    Args:
        names: What the module logs.
        quantity: `"loss"` or `"accuracy"`.
        stage: `"train"` or `"val"`.

    Returns:
        A name, or None if none fits.

    Example:
        >>> find_metric(["val/acc_epoch", "val/acc_step", "val/loss", "loss", "lr"], "accuracy", "val")
        'val/acc_epoch'
        >>> find_metric(["val/acc", "val/loss", "loss", "lr"], "loss", "train")
        'loss'
    """

    def rank(name: str) -> tuple[bool, int, bool, int, str] | None:
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()
        words = re.findall(r"[a-z]+[0-9]*|[0-9]+", re.sub(r"cross[ _/-]?entropy", "crossentropy", spaced))
        stages = {
            word: kind
            for word in words
            for kind in ("train", "val", "test")
            if word.rstrip("0123456789") in WORDS[kind]
        }
        if not WORDS[quantity] & set(words) or set(stages.values() or ["train"]) != {stage}:
            return None
        further = [word for word in words if word not in {*stages, *WORDS[quantity], *WORDS["summary"]}]
        return ("step" in words, len(further), not stages, len(words), name)

    ranked = [found for found in map(rank, names) if found is not None]
    return min(ranked)[-1] if ranked else None


def best_point(points: Sequence[Point], quantity: Quantity) -> Point | None:
    """The lowest loss or the highest accuracy, the first of equals; None if no value is finite.

    Example:
        >>> best_point([Point(1, 60, 0.7), Point(2, 120, 0.9), Point(3, 180, 0.9)], "accuracy")
        Point(epoch=2, step=120, value=0.9)
    """
    finite = [point for point in points if np.isfinite(point.value)]
    sign = 1 if quantity == "loss" else -1
    return min(finite, key=lambda point: sign * point.value, default=None)


def curve_chart(train: Sequence[Point], val: Sequence[Point], *, quantity: Quantity, title: str = "") -> Picture:
    """Training and validation in one chart, the best epoch ringed (of validation where there is one).

    Args:
        train: Training values, times rising. May be empty.
        val: Validation values, times rising. May be empty.
        quantity: `"loss"` (lower is better) or `"accuracy"` (higher is better).
        title: Written above.

    Returns:
        Height × width × 3, uint8.

    Example:
        >>> curve_chart([Point(1, 60, 0.7)], [], quantity="loss").shape
        (400, 700, 3)
    """
    in_epochs = not any(np.isnan(point.epoch) for point in (*train, *val))
    series = {
        name: (
            np.array([point.epoch if in_epochs else point.step for point in points], dtype=float),
            np.array([point.value for point in points]),
        )
        for name, points in (("train", train), ("val", val))
    }
    best = best_point(val or train, quantity)
    mark = None
    if best is not None:
        when = f"after epoch {best.epoch:.4g}" if in_epochs else f"at step {best.step}"
        words = f"best {'val' if val else 'train'}: {best.value:.4g} {when}"
        mark = (best.epoch if in_epochs else best.step, best.value, words)
    x_label = "epochs completed" if in_epochs else "optimizer step"
    return line_chart(series, title=title, x_label=x_label, y_label=quantity, mark=mark)
