"""Saliency as a picture: each input with its maps laid over it, and the maps themselves."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from lightning_cnnviz.functional.drawing.caption import (
    beside,
    check_captions,
    colour_scale,
    non_finite_note,
    pad,
    stack,
    text_line,
    titled,
)
from lightning_cnnviz.functional.drawing.colours import DIVERGING, SEQUENTIAL
from lightning_cnnviz.functional.drawing.image import (
    Array,
    ArrayLike,
    Picture,
    diverging,
    finite_limit,
    planes,
    reduced,
    sequential,
    thicken,
    tile,
    to_array,
)
from lightning_cnnviz.functional.drawing.photograph import photograph
from lightning_cnnviz.functional.drawing.samples import centred, enlarged, reduction_note, sample_picture
from lightning_cnnviz.functional.drawing.waveform import is_waveform, waveform

IMAGE_SIZES = (112, 220)
"""In pixels: the range of the longer side of an input and of a map."""
OPACITY = 0.85
"""Of the colour of a map's largest value where it is laid over its input."""
FADED = 80
"""Grey level of the black of an input under a map, so that dark colours stay visible; white loses as much."""


def saliency_sheet(
    images: ArrayLike,
    captions: Sequence[Sequence[str]],
    maps: ArrayLike,
    samples: Sequence[int],
    labels: Sequence[str],
    *,
    signed: bool,
    title: str = "",
    note: str = "",
) -> Picture:
    """Draws each input, and beside it for each of its maps the map laid over the input and the map by itself.

    Args:
        images: The inputs, shape (samples, channels, *size) or (samples, features), as for `feature_maps`.
        captions: Lines of text under each input, e.g. its classes.
        maps: Shape (maps, *size), of any size: 1-D maps are drawn as strips, 3-D maps as their middle slice.
        samples: For each map the index of its input; maps of one input follow one another.
        labels: For each map the class that it explains.
        signed: Whether the maps have both signs. If not, they begin at 0.
        title: Written above, e.g. method and step.
        note: An additional line of text.

    Returns:
        Height × width × 3, uint8. Each map has a scale of its own, whose end is written under it: from dark (0) to
        bright (its largest value) or, if signed, from blue over white (0) to red (its largest magnitude). Laid over a
        faded input it is the more opaque the larger the value, smoothed in between. Larger maps are averaged, which
        the picture says. Non-finite values are magenta and counted.

    Raises:
        TypeError: If a caption is a string instead of a list of lines.
        ValueError: If the numbers of images and captions, or of maps, samples and labels differ, or are zero.

    Example:
        >>> inputs, maps = np.random.rand(2, 1, 28, 28), np.random.rand(3, 7, 7)
        >>> saliency_sheet(inputs, [["true: 3"], ["true: 5"]], maps, [0, 1, 1], ["3", "5", "8"], signed=False).shape
        (193, 1070, 3)
    """
    check_captions(captions)
    values = planes(to_array(maps)[:, None])[:, 0]
    if not len(images) == len(captions) or not len(values) == len(samples) == len(labels) or not len(values):
        raise ValueError(
            f"expected as many captions as images, and as many samples and labels as maps, at least one, got "
            f"{len(images)} images, {len(captions)} captions, {len(values)} maps, {len(samples)} samples and "
            f"{len(labels)} labels"
        )
    size = int(np.clip(max(images.shape[2:], default=1), *IMAGE_SIZES))
    blocks: list[Picture] = []
    for index, (image, lines) in enumerate(zip(images, captions, strict=True)):
        own = [place for place, sample in enumerate(samples) if sample == index]
        if own:
            pairs = [_pair(image, values[place], labels[place], size, signed) for place in own]
            blocks.append(beside(sample_picture(image, lines, size), *pairs))
    per_row = 2 if size == IMAGE_SIZES[0] else 1
    widths = [max((block.shape[1] for block in blocks[column::per_row]), default=0) for column in range(per_row)]
    blocks = [pad(block, 0, widths[place % per_row]) for place, block in enumerate(blocks)]
    rows = [beside(*blocks[start : start + per_row], gap=32) for start in range(0, len(blocks), per_row)]
    ends = ("−largest", "+largest") if signed else ("0", "largest")
    return titled(
        stack(*rows),
        title,
        note,
        "for each class the map over the input, and the map; its largest "
        + ("magnitude" if signed else "value")
        + " is written under it",
        reduction_note([values.shape[-2:]], size),
        non_finite_note(values, "values"),
        scale=colour_scale(DIVERGING if signed else SEQUENTIAL, *ends),
    )


def _pair(image: ArrayLike, values: Array, label: str, size: int, signed: bool) -> Picture:
    """A map over its input and by itself, with the class and the largest value under them."""
    largest = float(finite_limit(values))
    end = f"±{largest:.3g}" if signed else f"max {largest:.3g}"
    small = reduced(values, size)
    own = thicken(enlarged(_coloured(small, largest, signed), size))
    over = thicken(enlarged(overlay(image, small, largest, size, signed=signed), size))
    cells = [
        stack(centred(tile(cell[None], columns=1), size + 8), text_line(text, size + 8), gap=0)
        for cell, text in ((over, label), (own, end if largest else "0 everywhere"))
    ]
    return beside(*cells, gap=2)


def overlay(image: ArrayLike, values: Array, largest: float, size: int, *, signed: bool) -> Picture:
    """Lays a map over its input, which becomes grey and fades.

    Args:
        image: Shape (channels, *size), or (features,).
        values: Shape (height, width), any.
        largest: Magnitude of the strongest colour.
        size: Longer side in pixels at most, of signals exactly.
        signed: As for `saliency_sheet`.

    Returns:
        Height × width × 3; where the map is 0, the faded input.

    Example:
        >>> overlay(np.random.rand(3, 32, 32), np.float32([[0, 0], [0, 1]]), 1.0, 64, signed=False).shape
        (32, 32, 3)
    """
    row = image[None] if image.ndim == 1 else image
    shown = waveform(image, size) if is_waveform(image.shape) else photograph(row, size)
    grey = FADED + (1 - 2 * FADED / 255) * (
        shown.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    )
    smooth = Image.fromarray(values).resize((shown.shape[1], shown.shape[0]), Image.Resampling.BILINEAR)
    stretched = np.asarray(smooth, dtype=np.float32)
    share = np.nan_to_num(np.abs(stretched) / (largest or 1), nan=1, posinf=1).clip(0, 1)
    opacity = OPACITY * share[..., None]
    colours = _coloured(stretched, largest, signed)
    return np.asarray(np.round((1 - opacity) * grey[..., None] + opacity * colours), dtype=np.uint8)


def _coloured(values: Array, largest: float, signed: bool) -> Picture:
    return diverging(values, largest) if signed else sequential(values, 0.0, largest)
