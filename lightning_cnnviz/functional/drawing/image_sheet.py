"""Sheets of images with lines of text under them, e.g. true and predicted class."""

from collections.abc import Sequence
from math import isnan

import numpy as np

from lightning_cnnviz.errors import ClassNames, class_names_list
from lightning_cnnviz.functional.drawing.caption import (
    ERROR_INK,
    INK,
    beside,
    check_captions,
    shorten,
    stack,
    text_line,
    text_width,
    titled,
)
from lightning_cnnviz.functional.drawing.image import Array, ArrayLike, Picture, tile, to_array
from lightning_cnnviz.functional.drawing.samples import drawn_sample

SHEET_COLUMNS, COLUMN_WIDTH, TEXT_WIDTH = 5, 168, 160
IMAGE_SIZES = (112, 152)
"""In pixels: the longer side of an image on the sheet, for inputs up to the first size and for larger inputs."""
WRONG_MARK = " ✗"


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
        images: Shape (samples, channels, *size) with one to three spatial dimensions, or (samples, features).
        captions: The lines of text of each image; lines wider than the column are truncated.
        alarming: Whether to draw the frame and text of each image in red.
        title: Written above the images.
        note: An additional line of text.

    Returns:
        Height × width × 3, uint8. Each image is drawn as by `drawn_sample`.

    Raises:
        TypeError: If a caption is a string instead of a list of lines.
        ValueError: If the numbers of images, captions and marks differ.

    Example:
        >>> image_sheet(np.random.rand(3, 1, 8, 8), [["cat"], ["dog"], ["cat"]]).shape
        (152, 520, 3)
    """
    values = np.asarray(images) if "uint8" in str(images.dtype) else to_array(images)
    marks = [False] * len(values) if alarming is None else list(alarming)
    check_captions(captions)
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
    class_names: ClassNames,
    *,
    title: str = "",
    note: str = "",
) -> Picture:
    """Draws images with true class, predicted class and confidence; wrong predictions are red and marked with ✗.

    Args:
        images: As in `image_sheet`.
        true: Class indices, shape (samples,); an index without a name is shown as unknown.
        predicted: Class indices, shape (samples,).
        confidence: Probability of the predicted class, 0…1, shape (samples,); NaN if unknown.
        class_names: Names by class index: list, tuple, array or dict.
        title: Written above the images.
        note: An additional line of text.

    Example:
        >>> true, predicted, confidence = np.array([0, 1]), np.array([0, 0]), np.array([0.9, 0.6])
        >>> prediction_sheet(np.random.rand(2, 1, 8, 8), true, predicted, confidence, ["cat", "dog"]).shape
        (188, 352, 3)
    """
    predictions = zip(*(np.asarray(part).tolist() for part in (true, predicted, confidence)), strict=True)
    captions, wrong, names = [], [], class_names_list(class_names)
    for target, prediction, probability in predictions:
        known = 0 <= target < len(names)
        wrong.append(known and prediction != target)
        mark = WRONG_MARK if wrong[-1] else ""
        captions.append(
            [
                f"true: {names[target]}" if known else "true: unknown",
                shorten(f"pred: {names[prediction]}", TEXT_WIDTH - text_width(mark)) + mark,
                "confidence unknown" if isnan(probability) else f"confidence {100 * probability:.1f} %",
            ]
        )
    return image_sheet(images, captions, alarming=wrong, title=title, note=note)


def _captioned(image: Array, lines: Sequence[str], alarming: bool) -> Picture:
    ink = ERROR_INK if alarming else INK
    shown = drawn_sample(image, IMAGE_SIZES[max(image.shape[1:]) > IMAGE_SIZES[0]])
    framed = tile(shown[None], columns=1)
    thick = np.full((framed.shape[0] + 4, framed.shape[1] + 4, 3), ink if alarming else 255, dtype=np.uint8)
    thick[2:-2, 2:-2] = framed
    spare = COLUMN_WIDTH - thick.shape[1]
    centred = np.pad(thick, ((0, 0), (spare // 2, spare - spare // 2), (0, 0)), constant_values=255)
    return stack(centred, *(text_line(line, TEXT_WIDTH, ink=ink) for line in lines), gap=0)
