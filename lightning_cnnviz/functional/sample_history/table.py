"""What the passes have told of each sample as text: a CSV of all, and a table of those that stand out."""

from collections.abc import Mapping

import numpy as np

from lightning_cnnviz.errors import ClassNames, class_names_list
from lightning_cnnviz.functional.escaping import markdown
from lightning_cnnviz.functional.sample_history.dynamics import Integers, SampleDynamics

COLUMNS = (
    "split,sample,sample_in_source,class,predicted,passes,area_under_margin,margin_rank,confidence,variability,"
    "correctness,first_learned,forgotten"
)
"""Names of the columns of the CSV. `margin_rank` is 1 for the lowest area under the margin of a split."""


def history_csv(splits: Mapping[str, tuple[SampleDynamics, Integers]]) -> str:
    """Writes what is known of each sample that was seen, one line each, with the names of the columns above.

    Args:
        splits: Name of the split → dynamics, and the number of each sample in the dataset of which the split is a
            subset (its own number where it is none).

    Example:
        >>> from lightning_cnnviz.functional.sample_history.dynamics import sample_dynamics
        >>> found = sample_dynamics(np.array([[-1.5]]), np.array([[0.25]]), np.array([[1]]), np.array([0]))
        >>> print(history_csv({"train": (found, np.array([7]))}).splitlines()[1])
        train,0,7,0,1,1,-1.5,1,0.25,0,0,0,0
    """
    lines = [COLUMNS]
    for split, (known, source) in splits.items():
        numbers = np.flatnonzero(known.seen)
        of = known.take(numbers)
        ranks = np.empty(len(numbers), dtype=np.intp)
        ranks[np.argsort(of.area_under_margin, kind="stable")] = np.arange(1, len(numbers) + 1)
        integers = (numbers, source[numbers], of.targets, of.predicted, of.passes, of.area_under_margin, ranks)
        rest = (of.confidence, of.variability, of.correctness, of.first_learned, of.forgotten)
        row = f"{split},%d,%d,%d,%d,%d,%.5g,%d,%.4g,%.4g,%.4g,%d,%d".__mod__
        lines += map(row, zip(*(part.tolist() for part in (*integers, *rest)), strict=True))
    return "\n".join(lines) + "\n"


def history_markdown(numbers: Integers, dynamics: SampleDynamics, class_names: ClassNames) -> str:
    """Writes a table of samples.

    Args:
        numbers: Numbers of the samples, in the order in which they are listed.
        dynamics: Of these samples, in the same order.
        class_names: Names by class index: list, tuple, array or dict.

    Example:
        >>> from lightning_cnnviz.functional.sample_history.dynamics import sample_dynamics
        >>> found = sample_dynamics(np.array([[-1.5]]), np.array([[0.25]]), np.array([[1]]), np.array([0]))
        >>> print(history_markdown(np.array([7]), found, ["cat", "dog"]).splitlines()[-1])
        | 7 | cat | dog | -1.50 | 25 % | never | 0 |
    """
    names = class_names_list(class_names)
    lines = [
        "| sample | class | predicted | area under margin | confidence | learned in epoch | forgotten |",
        "|---:|---|---|---:|---:|---:|---:|",
    ]
    for row, number in enumerate(numbers.tolist()):
        one = SampleDynamics(*(part[row].item() for part in dynamics))
        classes = [names[part] if 0 <= part < len(names) else str(part) for part in (one.targets, one.predicted)]
        cells = [
            *(str(number), *map(markdown, classes), f"{one.area_under_margin:.2f}"),
            *(f"{100 * one.confidence:.0f} %", str(one.first_learned or "never"), str(one.forgotten)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
