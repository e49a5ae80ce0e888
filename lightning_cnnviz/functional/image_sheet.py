"""Images with lines of text under them: what they are, and what a model takes them for."""

from collections.abc import Sequence
from math import isnan

import numpy as np

from lightning_cnnviz.functional.caption import ALARM, INK, beside, shorten, stack, text_line, text_width, titled
from lightning_cnnviz.functional.feature_maps import fit
from lightning_cnnviz.functional.image import Array, ArrayLike, Picture, photograph, thicken, tile, to_array

SHEET_COLUMNS, COLUMN_WIDTH, TEXT_WIDTH = 5, 168, 160
IMAGE_SIZES = (112, 152)
"""Pixels: the side of a small image on a sheet, and of one that is larger than that."""
WRONG = " ✗"


def image_sheet(
    images: ArrayLike,
    captions: Sequence[Sequence[str]],
    *,
    alarming: Sequence[bool] | None = None,
    title: str = "",
    note: str = "",
) -> Picture:
    """Draws images in rows, each with lines of text under it.

    Args:
        images: Shape (samples, channels, *size) with one to three further dimensions, or (samples, features).
        captions: For each image its lines; those wider than the image's column are cut.
        alarming: Whether an image's frame and lines are red.
        title: Written above.
        note: A further line.

    Returns:
        Height × width × 3, uint8. Every image from its darkest to its brightest value.

    Raises:
        ValueError: If the numbers of images, captions and marks differ.

    Example:
        >>> image_sheet(np.random.rand(3, 1, 8, 8), [["cat"], ["dog"], ["cat"]]).shape
        (152, 520, 3)
    """
    values = to_array(images)
    marks = [False] * len(values) if alarming is None else list(alarming)
    if not len(values) == len(captions) == len(marks):
        raise ValueError(
            f"expected as many captions and marks as images, got {len(values)} images, {len(captions)} captions "
            f"and {len(marks)} marks"
        )
    values = values[:, None] if values.ndim == 2 else values
    cells = [_captioned(*sample) for sample in zip(values, captions, marks, strict=True)]
    rows = [beside(*cells[start : start + SHEET_COLUMNS], gap=0) for start in range(0, len(cells), SHEET_COLUMNS)]
    return titled(stack(*rows) if rows else text_line(""), title, note)


def prediction_sheet(
    images: ArrayLike,
    true: ArrayLike,
    predicted: ArrayLike,
    confidence: ArrayLike,
    class_names: Sequence[str],
    *,
    title: str = "",
    note: str = "",
) -> Picture:
    """Draws images with true and predicted class and the model's confidence; what is wrong is red and has a ✗.

    Args:
        images: As in `image_sheet`.
        true: Class numbers, shape (samples,); one without a name is unknown.
        predicted: Class numbers, shape (samples,).
        confidence: Probability of the predicted class, 0…1, shape (samples,); unknown where it is NaN.
        class_names: Names by class number.
        title: Written above.
        note: A further line.

    Example:
        >>> true, predicted, confidence = np.array([0, 1]), np.array([0, 0]), np.array([0.9, 0.6])
        >>> prediction_sheet(np.random.rand(2, 1, 8, 8), true, predicted, confidence, ["cat", "dog"]).shape
        (188, 352, 3)
    """
    numbers = zip(*(np.asarray(part).tolist() for part in (true, predicted, confidence)), strict=True)
    captions, wrong = [], []
    for target, guess, probability in numbers:
        known = 0 <= target < len(class_names)
        wrong.append(known and guess != target)
        mark = WRONG if wrong[-1] else ""
        captions.append(
            [
                f"true: {class_names[target]}" if known else "true: unknown",
                shorten(f"pred: {class_names[guess]}", TEXT_WIDTH - text_width(mark)) + mark,
                "confidence unknown" if isnan(probability) else f"confidence {100 * probability:.1f} %",
            ]
        )
    return image_sheet(images, captions, alarming=wrong, title=title, note=note)


def _captioned(image: Array, lines: Sequence[str], alarming: bool) -> Picture:
    ink = ALARM if alarming else INK
    photo = thicken(fit(photograph(image)[None], IMAGE_SIZES[max(image.shape[1:]) > IMAGE_SIZES[0]]))
    framed = tile(photo, columns=1)
    thick = np.full((framed.shape[0] + 4, framed.shape[1] + 4, 3), ink if alarming else 255, dtype=np.uint8)
    thick[2:-2, 2:-2] = framed
    spare = COLUMN_WIDTH - thick.shape[1]
    centred = np.pad(thick, ((0, 0), (spare // 2, spare - spare // 2), (0, 0)), constant_values=255)
    return stack(centred, *(text_line(line, TEXT_WIDTH, ink=ink) for line in lines), gap=0)
