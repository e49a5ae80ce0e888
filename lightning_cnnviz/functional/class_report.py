"""Per-class accuracy and confusion matrix of a classifier."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.errors import ClassNames, class_names_list
from lightning_cnnviz.functional.drawing.caption import (
    beside,
    colour_scale,
    shorten,
    stack,
    text_line,
    text_width,
    titled,
    write,
)
from lightning_cnnviz.functional.drawing.colours import DIVERGING
from lightning_cnnviz.functional.drawing.image import OUTLINE, Picture, diverging, enlarge, tile
from lightning_cnnviz.functional.tab.data import TabData

if TYPE_CHECKING:  # imported where a figure is asked for: it takes three tenths of a second
    from matplotlib.figure import Figure

Counts = npt.NDArray[np.integer]
MAX_ANNOTATED_CLASSES, MAX_ROWS = 20, 1000
"""Maximum number of classes with counts in the cells, and of matrix rows; with more, adjacent classes share a row."""
MAX_STORED_CLASSES = 200
"""Classes of which the counts are kept as numbers at every interval, in 160 kB at most; more are only drawn."""
MATRIX_SIZE, MAX_CLASS_NAME_WIDTH = 800, 160
"""In pixels: the side of a matrix without counts, and the maximum width of a class name."""
LABEL_HEIGHT, HALF_LABEL_HEIGHT = 16, 8
"""In pixels, of one line of text."""
_RAMP = np.round(100 * np.sqrt(np.linspace(0, 1, 101))).astype(np.intp)
"""Shares of 0, 1, …, 100 % as steps from the neutral colour: by the square root, so that rare mistakes are seen."""


def class_accuracies(counts: Counts) -> npt.NDArray[np.float64]:
    """Computes the accuracy of each class: the share of its samples that are classified correctly (its recall).

    Args:
        counts: Confusion matrix of shape (classes, classes): number of samples per true class (row) and predicted
            class (column).

    Returns:
        Shape (classes,), 0…1; NaN for classes without samples.

    Example:
        >>> class_accuracies(np.array([[3, 1], [0, 0]]))
        array([0.75,  nan])
    """
    samples = counts.sum(axis=1)
    return np.asarray(np.where(samples > 0, counts.diagonal() / np.maximum(samples, 1), np.nan))


def confusion_tab_data(counts: Counts, class_names: Sequence[str], note: str = "") -> TabData | None:
    """Returns the counts of a validation as data, from which `python -m lightning_cnnviz export` draws and tabulates.

    Args:
        counts: As for `confusion_matrix_chart`.
        class_names: A name for each class index.
        note: What is not counted, in words.

    Returns:
        None for more than `MAX_STORED_CLASSES`.

    Example:
        >>> confusion_tab_data(np.array([[9, 1], [2, 8]]), ["cat", "dog"]).arrays["counts"].tolist()
        [[9, 1], [2, 8]]
    """
    if len(counts) > MAX_STORED_CLASSES:
        return None
    info = {"classes": list(class_names), "split": "val", **({"note": note} if note else {})}
    return TabData("confusion", {}, info, {"counts": np.asarray(counts, dtype=np.int32)})


@overload
def confusion_matrix_chart(
    counts: Counts, class_names: ClassNames, *, title: str = "", note: str = "", as_figure: Literal[False] = False
) -> Picture: ...
@overload
def confusion_matrix_chart(
    counts: Counts, class_names: ClassNames, *, title: str = "", note: str = "", as_figure: Literal[True]
) -> "Figure": ...
def confusion_matrix_chart(
    counts: Counts, class_names: ClassNames, *, title: str = "", note: str = "", as_figure: bool = False
) -> "Picture | Figure":
    """Draws a confusion matrix: rows are true classes, columns predicted classes.

    A cell's colour shows its share of its row: blue on the diagonal (correct predictions), red off the diagonal. It
    grows with the square root of the share, and the same share has the same colour at every step and in every run.
    With up to 20 classes the counts are written into the cells. With more, only some rows are named, and two lines
    of text list the classes with the lowest accuracy and the most frequent mistakes: at most five each, fewer if
    they do not fit. With more than 1,000 classes, adjacent classes share a row.

    Args:
        counts: Shape (classes, classes), at least two classes.
        class_names: A name for each class index: list, tuple, array or dict.
        title: Written above the matrix, e.g. epoch and step.
        note: An additional line of text.
        as_figure: Return a matplotlib figure, e.g. to restyle it for a paper; of up to 1,000 classes.

    Returns:
        Height × width × 3, uint8; or the figure if `as_figure` is set. The overall accuracy is shown above the
        matrix, in the picture also accuracy and number of samples of each class, on its right.

    Raises:
        ValueError: If `counts` is not a square matrix or does not match the number of names, or is too large for a
            figure.

    Example:
        >>> confusion_matrix_chart(np.array([[9, 1], [2, 8]]), ["cat", "dog"], title="epoch 3").shape
        (312, 434, 3)
    """
    counts, names_of_classes = np.asarray(counts), class_names_list(class_names)
    classes = len(names_of_classes)
    if counts.shape != (classes, classes) or classes < 2:
        raise ValueError(
            "expected counts of shape (classes, classes) and as many names, "
            f"got shape {counts.shape} and {classes} names"
        )
    if as_figure:
        return _figure(counts, names_of_classes, title, note)
    block = -(-classes // MAX_ROWS)
    shown = _in_blocks(counts, block)
    samples = shown.sum(axis=1)
    share = shown / np.maximum(samples, 1)[:, None]
    right = np.eye(len(shown), dtype=bool)
    annotated = classes <= MAX_ANNOTATED_CLASSES
    colours = diverging((np.where(right, -1, 1) * np.sqrt(share)).astype(np.float32), 1.0)
    if annotated:
        matrix, step = _annotated(colours, shown)
    else:
        step = max(1, MATRIX_SIZE // len(shown))
        matrix = np.pad(enlarge(colours, step), ((1, 1), (1, 1), (0, 0)), constant_values=OUTLINE)

    every = next(interval for interval in (1, 2, 5, 10, 20) if interval * step >= LABEL_HEIGHT)
    named = range(0, len(shown), every)
    centres = [HALF_LABEL_HEIGHT + 1 + index * step + step // 2 for index in named]
    names = [shorten(names_of_classes[index * block], MAX_CLASS_NAME_WIDTH) for index in named]
    hits = np.add.reduceat(counts.diagonal(), np.arange(0, classes, block))
    rates = [f"{_percent(hits[i] / samples[i])} of {samples[i]}" if samples[i] else "no samples" for i in named]
    # Labels extend beyond the first and last row: pad by half a line on every side and by one more line above.
    matrix = np.pad(
        matrix,
        ((LABEL_HEIGHT + HALF_LABEL_HEIGHT, HALF_LABEL_HEIGHT), (HALF_LABEL_HEIGHT, HALF_LABEL_HEIGHT), (0, 0)),
        constant_values=255,
    )
    height, width = matrix.shape[:2]
    rows = [HALF_LABEL_HEIGHT, *(LABEL_HEIGHT + centre for centre in centres)]
    left = _labels(["true", *names], rows, height, "rm")
    middle = beside(left, matrix, _labels(["accuracy", *rates], rows, height, "lm"), gap=0)
    below = stack(_labels_below(names, centres, width, every * step), text_line("predicted", width), gap=0)
    indent = np.full((1, left.shape[1], 3), 255, dtype=np.uint8)
    chart = stack(middle, beside(indent, below, gap=0), gap=0)
    return titled(
        chart,
        title,
        f"accuracy {_percent(hits.sum() / max(samples.sum(), 1), 2)} of {samples.sum()} samples",
        note,
        f"{block} × {block} classes in a cell" if block > 1 else "",
        *(() if annotated else _worst(counts, names_of_classes, chart.shape[1])),
        scale=beside(
            text_line("right"),
            colour_scale(DIVERGING[100 - _RAMP], "0", "100 %"),
            text_line("wrong"),
            colour_scale(DIVERGING[100 + _RAMP], "0", "100 % of the true class"),
        ),
    )


def _figure(counts: Counts, names: Sequence[str], title: str, note: str) -> "Figure":
    from lightning_cnnviz.functional.drawing.matrix_figure import matrix_figure

    if len(names) > MAX_ROWS:
        raise ValueError(f"expected at most {MAX_ROWS} classes for a figure, got {len(names)}")
    samples = counts.sum()
    accuracy = f"accuracy {_percent(counts.trace() / max(samples, 1), 2)} of {samples} samples"
    heading = "\n".join(filter(None, [title, accuracy, note]))
    return matrix_figure(counts, names, title=heading, annotated=len(names) <= MAX_ANNOTATED_CLASSES)


def _in_blocks(counts: Counts, block: int) -> Counts:
    padded = np.pad(counts, (0, -len(counts) % block))
    rows = len(padded) // block
    return np.asarray(padded.reshape(rows, block, rows, block).sum(axis=(1, 3)))


def _annotated(colours: Picture, counts: Counts) -> tuple[Picture, int]:
    """Draws the matrix with a count in each cell; returns it with the distance between cells in pixels."""
    texts = [str(count) for count in counts.ravel()]
    side = max(max(map(text_width, texts)) + 10, min(80, 480 // len(counts)))
    matrix = tile(enlarge(colours.reshape(-1, 1, 1, 3), side), columns=len(counts), gap=0)
    places = (np.arange(len(counts)) * (side + 1) + 1 + side // 2).tolist()
    middles = [(row, column) for row in places for column in places]
    return write(matrix, [(*middle, text) for middle, text in zip(middles, texts, strict=True)]), side + 1


def _labels(texts: Sequence[str], rows: Sequence[int], height: int, anchor: Literal["lm", "rm"]) -> Picture:
    width = max(map(text_width, texts)) + LABEL_HEIGHT
    column = width - HALF_LABEL_HEIGHT if anchor == "rm" else HALF_LABEL_HEIGHT
    placed = [(row, column, text) for row, text in zip(rows, texts, strict=True)]
    return write(np.full((height, width, 3), 255, dtype=np.uint8), placed, anchor)


def _labels_below(texts: Sequence[str], columns: Sequence[int], width: int, spacing: int) -> Picture:
    if max(map(text_width, texts)) > spacing - 4:
        return np.rot90(_labels(texts, columns, width, "rm"))
    placed = [(HALF_LABEL_HEIGHT, column, text) for column, text in zip(columns, texts, strict=True)]
    return write(np.full((LABEL_HEIGHT, width, 3), 255, dtype=np.uint8), placed)


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _worst(counts: Counts, names: Sequence[str], width: int, at_most: int = 5) -> tuple[str, str]:
    """Lists the classes with the lowest accuracy and the most frequent mistakes, one line of text each."""
    accuracies = class_accuracies(counts)
    lowest = [index for index in np.argsort(accuracies, kind="stable")[:at_most] if accuracies[index] < 1]
    mistakes = counts - np.diag(counts.diagonal())
    largest = np.argsort(-mistakes, axis=None, kind="stable")[:at_most]
    pairs = [divmod(int(index), len(counts)) for index in largest]
    short = [shorten(name, MAX_CLASS_NAME_WIDTH) for name in names]
    worst = [f"{short[i]} {_percent(accuracies[i])}" for i in lowest]
    frequent = [f"{short[i]} → {short[j]} ({mistakes[i, j]})" for i, j in pairs if mistakes[i, j]]
    return (
        _listed("lowest accuracy: ", worst or ["none below 100 %"], width),
        _listed("most frequent mistakes: ", frequent or ["none"], width),
    )


def _listed(prefix: str, items: Sequence[str], width: int) -> str:
    """Joins as many leading items as fit into `width` pixels, at least one."""
    lines = [prefix + ", ".join(items[:count]) for count in range(len(items), 0, -1)]
    return next((line for line in lines if text_width(line) <= width), lines[-1])
