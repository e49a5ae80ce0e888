"""Sheets of the samples that stand out, each with its class, what the network says, and its history in numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lightning_cnnviz.errors import ClassNames, class_names_list
from lightning_cnnviz.functional.drawing.image import ArrayLike, Picture, to_array
from lightning_cnnviz.functional.drawing.image_sheet import image_sheet
from lightning_cnnviz.functional.sample_history.dynamics import Integers, Order, SampleDynamics, rank_samples

IN_WORDS: Mapping[Order, str] = {
    "mislabelled": "whose label may be wrong: another class has the larger logit on average over the passes",
    "forgotten": "forgotten most often: right in one pass, wrong in the next",
    "hardest": "of the lowest mean confidence among those that were learned",
}
"""What a ranking shows."""
_NO_IMAGE = 225
"""Grey level in the place of an image that was not kept."""


def ranking_note(dynamics: SampleDynamics, order: Order, shown: int) -> str:
    """Returns what a sheet shows of a ranking, of which it shows the first samples.

    Example:
        >>> from lightning_cnnviz.functional.sample_history.dynamics import sample_dynamics
        >>> ones = np.ones((1, 2))
        >>> found = sample_dynamics(ones, ones, ones, np.array([0, 1]))
        >>> ranking_note(found, "hardest", shown=1)
        'the first 1 of 1 of the lowest mean confidence among those that were learned'
    """
    return f"the first {shown} of {len(rank_samples(dynamics, order))} {IN_WORDS[order]}" if shown else "none"


def history_sheet(
    images: Mapping[int, ArrayLike],
    numbers: Integers,
    dynamics: SampleDynamics,
    class_names: ClassNames,
    *,
    title: str = "",
    note: str = "",
) -> Picture:
    """Draws samples with their numbers, given class, class predicted last, and what the passes have told.

    Args:
        images: Number of a sample → its image, as in `image_sheet`; those missing are grey.
        numbers: Numbers of the samples, in the order in which they are drawn.
        dynamics: Of these samples, in the same order.
        class_names: Names by class index: list, tuple, array or dict.
        title: Written above the images.
        note: An additional line of text.

    Returns:
        Height × width × 3, uint8. Samples that were wrong in the last pass are red.

    Raises:
        ValueError: If there are not as many samples in `dynamics` as numbers.

    Example:
        >>> from lightning_cnnviz.functional.sample_history.dynamics import sample_dynamics
        >>> margins = np.array([[1.0, -2.0], [3.0, -1.0]])
        >>> found = sample_dynamics(margins, 0.5 + margins / 10, np.array([[1, 0], [1, 0]]), np.array([1, 1]))
        >>> image = np.random.rand(1, 28, 28)
        >>> history_sheet({0: image}, np.array([0, 1]), found, ["cat", "dog"], title="epoch 2").shape
        (254, 376, 3)
    """
    if len(numbers) != len(dynamics.targets):
        raise ValueError(f"expected as many numbers as samples, got {len(numbers)} and {len(dynamics.targets)}")
    names = class_names_list(class_names)
    shown = _uniform({int(number): images[int(number)] for number in numbers if int(number) in images})
    blank = np.full_like(next(iter(shown.values())), _NO_IMAGE) if shown else np.full((1, 28, 28), _NO_IMAGE, np.uint8)
    pictures = [shown.get(int(number), blank) for number in numbers]
    captions = [_caption(number, dynamics.take(row), names) for row, number in enumerate(numbers.tolist())]
    wrong = (dynamics.targets != dynamics.predicted).tolist()
    missing = len(numbers) - len(shown)
    notes = [note, f"{missing} without an image: none has gone by since they rank here" if missing else ""]
    stacked = np.stack(pictures) if pictures else np.zeros((0, 1, 28, 28), np.uint8)
    return image_sheet(stacked, captions, alarming=wrong, title=title, note=" · ".join(filter(None, notes)))


def _values(image: ArrayLike) -> Any:
    return np.asarray(image) if "uint8" in str(image.dtype) else to_array(image)


def _uniform(images: Mapping[int, ArrayLike]) -> dict[int, Any]:
    """The images as arrays of one shape and type; those that differ from the first are left out."""
    arrays = {number: _values(image) for number, image in images.items()}
    first = next(iter(arrays.values()), None)
    return {
        number: array
        for number, array in arrays.items()
        if first is not None and array.shape == first.shape and array.dtype == first.dtype
    }


def _caption(number: int, one: SampleDynamics, names: list[str]) -> list[str]:
    return [
        f"#{number} · {_name(one.targets, names)}",
        f"pred: {_name(one.predicted, names)}",
        f"margin {one.area_under_margin:.2f} · conf. {100 * one.confidence:.0f} %",
        f"learned: {one.first_learned} · forgotten: {one.forgotten}×" if one.first_learned else "never learned",
    ]


def _name(index: Any, names: list[str]) -> str:
    return names[index] if 0 <= index < len(names) else str(index)
