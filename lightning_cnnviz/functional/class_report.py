"""What a classifier takes for what: the accuracy of each class and the confusion matrix."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.caption import (
    beside,
    colour_scale,
    shorten,
    stack,
    text_line,
    text_width,
    titled,
    write,
)
from lightning_cnnviz.functional.image import (
    DIVERGING,
    OUTLINE,
    Picture,
    diverging,
    enlarge,
    tile,
)

Counts = npt.NDArray[np.integer]
MOST_NUMBERED, MOST_ROWS = 20, 1000
"""Classes whose counts are written, and rows of the matrix; beyond, neighbouring classes share one."""
MATRIX_SIZE, LABEL_SIZE = 800, 160
LINE, HALF = 16, 8
"""Pixels: the side of a large matrix, a class name at most, the height of a line of text."""
FAINTEST = 0.1
"""Share of a class that the strongest red stands for at least where counts are written: few mistakes look few."""


def class_accuracies(counts: Counts) -> npt.NDArray[np.float64]:
    """The share of each class that was recognised (its recall).

    Args:
        counts: Shape (classes, classes): samples of a class (row) that were taken for another (column).

    Returns:
        Shape (classes,), 0…1; NaN for classes without samples.

    Example:
        >>> class_accuracies(np.array([[3, 1], [0, 0]]))
        array([0.75,  nan])
    """
    samples = counts.sum(axis=1)
    return np.asarray(np.where(samples > 0, counts.diagonal() / np.maximum(samples, 1), np.nan))


def confusion_matrix_chart(counts: Counts, class_names: Sequence[str], *, title: str = "", note: str = "") -> Picture:
    """Draws which classes are taken for which: true classes are rows, predicted ones columns.

    A cell's colour is its share of its row: blue on the diagonal, where the model is right, red beside it. Up
    to 20 classes the counts are written; beyond, some rows are named and two lines of text say which classes do
    worst and which mistakes are most frequent, five or as many as there is room for. Beyond 1,000 classes
    neighbouring ones share a row.

    Args:
        counts: Shape (classes, classes), at least two classes.
        class_names: A name for each class number.
        title: Written above, e.g. epoch and step.
        note: A further line.

    Returns:
        Height × width × 3, uint8. At the right each class's accuracy and number of samples, above the matrix
        the accuracy over all samples.

    Raises:
        ValueError: If `counts` is no square matrix or the number of names differs.

    Example:
        >>> confusion_matrix_chart(np.array([[9, 1], [2, 8]]), ["cat", "dog"], title="epoch 3").shape
        (312, 437, 3)
    """
    classes = len(class_names)
    if counts.shape != (classes, classes) or classes < 2:
        raise ValueError(
            f"expected counts of shape (classes, classes) and as many names, got {counts.shape}, {classes}"
        )
    block = -(-classes // MOST_ROWS)
    shown = _in_blocks(counts, block)
    samples = shown.sum(axis=1)
    share = shown / np.maximum(samples, 1)[:, None]
    right = np.eye(len(shown), dtype=bool)
    numbered = classes <= MOST_NUMBERED
    largest = float(share[~right].max(initial=0))
    strongest = max(largest, FAINTEST) if numbered else largest or FAINTEST
    colours = diverging(np.where(right, -share, share / strongest).astype(np.float32), 1.0)
    if numbered:
        matrix, step = _numbered(colours, shown)
    else:
        step = max(1, MATRIX_SIZE // len(shown))
        matrix = np.pad(enlarge(colours, step), ((1, 1), (1, 1), (0, 0)), constant_values=OUTLINE)

    every = next(number for number in (1, 2, 5, 10, 20) if number * step >= LINE)
    named = range(0, len(shown), every)
    places = [HALF + 1 + index * step + step // 2 for index in named]
    names = [shorten(class_names[index * block], LABEL_SIZE) for index in named]
    hits = np.add.reduceat(counts.diagonal(), np.arange(0, classes, block))
    rates = [f"{_percent(hits[i] / samples[i])} of {samples[i]}" if samples[i] else "no samples" for i in named]
    # Labels reach beyond the first and last row: there is half a line of room on every side, and one line above.
    matrix = np.pad(matrix, ((LINE + HALF, HALF), (HALF, HALF), (0, 0)), constant_values=255)
    height, width = matrix.shape[:2]
    heads = [HALF, *(LINE + place for place in places)]
    left = _labels(["true", *names], heads, height, "rm")
    middle = beside(left, matrix, _labels(["accuracy", *rates], heads, height, "lm"), gap=0)
    below = stack(_labels_below(names, places, width, every * step), text_line("predicted", width), gap=0)
    indent = np.full((1, left.shape[1], 3), 255, dtype=np.uint8)
    chart = stack(middle, beside(indent, below, gap=0), gap=0)
    return titled(
        chart,
        title,
        f"accuracy {_percent(hits.sum() / max(samples.sum(), 1), 2)} of {samples.sum()} samples",
        note,
        f"{block} × {block} classes in a cell" if block > 1 else "",
        *(() if numbered else _worst(counts, class_names, chart.shape[1])),
        scale=beside(
            text_line("right"),
            colour_scale(DIVERGING[100::-1], "0", "100 %"),
            text_line("wrong"),
            colour_scale(DIVERGING[100:], "0", f"{_percent(strongest)} of the true class"),
        ),
    )


def _in_blocks(counts: Counts, block: int) -> Counts:
    padded = np.pad(counts, (0, -len(counts) % block))
    rows = len(padded) // block
    return np.asarray(padded.reshape(rows, block, rows, block).sum(axis=(1, 3)))


def _numbered(colours: Picture, counts: Counts) -> tuple[Picture, int]:
    """The matrix with a count in each cell, and the pixels from one cell to the next."""
    words = [str(count) for count in counts.ravel()]
    side = max(max(map(text_width, words)) + 10, min(80, 480 // len(counts)))
    cells = enlarge(colours.reshape(-1, 1, 1, 3), side)
    filled = [write(cell, [(side // 2, side // 2, word)]) for cell, word in zip(cells, words, strict=True)]
    return tile(np.stack(filled), columns=len(counts), gap=0), side + 1


def _labels(words: Sequence[str], places: Sequence[int], height: int, anchor: Literal["lm", "rm"]) -> Picture:
    width = max(map(text_width, words)) + LINE
    column = width - HALF if anchor == "rm" else HALF
    marks = [(place, column, word) for place, word in zip(places, words, strict=True)]
    return write(np.full((height, width, 3), 255, dtype=np.uint8), marks, anchor)


def _labels_below(words: Sequence[str], places: Sequence[int], width: int, room: int) -> Picture:
    if max(map(text_width, words)) > room - 4:
        return np.rot90(_labels(words, places, width, "rm"))
    marks = [(HALF, place, word) for place, word in zip(places, words, strict=True)]
    return write(np.full((LINE, width, 3), 255, dtype=np.uint8), marks)


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _worst(counts: Counts, names: Sequence[str], width: int, at_most: int = 5) -> tuple[str, str]:
    """The classes with the lowest accuracy and the most frequent mistakes, in words."""
    accuracies = class_accuracies(counts)
    lowest = [index for index in np.argsort(accuracies, kind="stable")[:at_most] if accuracies[index] < 1]
    mistakes = counts - np.diag(counts.diagonal())
    largest = np.argsort(-mistakes, axis=None, kind="stable")[:at_most]
    pairs = [divmod(int(index), len(counts)) for index in largest]
    short = [shorten(name, LABEL_SIZE) for name in names]
    worst = [f"{short[i]} {_percent(accuracies[i])}" for i in lowest]
    frequent = [f"{short[i]} → {short[j]} ({mistakes[i, j]})" for i, j in pairs if mistakes[i, j]]
    return (
        _listed("lowest accuracy: ", worst or ["none below 100 %"], width),
        _listed("most frequent mistakes: ", frequent or ["none"], width),
    )


def _listed(what: str, words: Sequence[str], width: int) -> str:
    """A line of as many of the first words as fit into the width in pixels, at least one."""
    lines = [what + ", ".join(words[:count]) for count in range(len(words), 0, -1)]
    return next((line for line in lines if text_width(line) <= width), lines[-1])
