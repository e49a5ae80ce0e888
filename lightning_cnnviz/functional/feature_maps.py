"""Activations as pictures: the channels of one layer, or one mean map for each of many layers."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from lightning_cnnviz.functional.caption import (
    beside,
    colour_scale,
    labelled,
    non_finite_note,
    stack,
    text_line,
    titled,
)
from lightning_cnnviz.functional.image import (
    DIVERGING,
    SEQUENTIAL,
    Array,
    ArrayLike,
    Picture,
    channel_mean,
    diverging,
    enlarge,
    photograph,
    planes,
    sequential,
    thicken,
    tile,
    to_array,
)

INPUT_SIZE = 96
LARGEST_SIZE, SMALLEST_TILE = 220, 24
MAPS_WIDTH = 880
"""Pixels: a small input sample; a large one, or a map of it, at most; a map at least; a row of maps."""


def feature_maps(
    activations: ArrayLike,
    images: ArrayLike,
    captions: Sequence[Sequence[str]],
    *,
    max_channels: int = 32,
    title: str = "",
) -> Picture:
    """Draws the channels of one layer as a grid beside each input.

    Args:
        activations: Shape (samples, channels, *size), with no to three further dimensions. Strips are drawn
            as such, of volumes the middle slice is shown, single numbers become squares.
        images: The inputs, shape (samples, channels, *size).
        captions: For each sample the lines under its picture, e.g. true and predicted class.
        max_channels: How many channels are drawn at most, the first ones; the number left out is written.
        title: Written above, e.g. layer and step.

    Returns:
        Height × width × 3, uint8. One colour scale for all: values of both signs are blue below zero, white at
        zero and red above, others go from dark (smallest) to bright (largest). Non-finite values are magenta
        and counted.

    Raises:
        ValueError: If the numbers of samples differ, a shape does not fit or `max_channels` is below 1.

    Example:
        >>> maps, inputs = np.random.rand(2, 6, 12, 12), np.random.rand(2, 1, 28, 28)
        >>> feature_maps(maps, inputs, [["true: 3"], ["true: 5"]]).shape
        (277, 752, 3)
    """
    if max_channels < 1:
        raise ValueError(f"expected max_channels to be at least 1, got {max_channels}")
    maps = planes(to_array(activations))
    _check_samples(len(maps), images, captions)
    channels = maps.shape[1]
    shown = maps[:, :max_channels]
    low, high = _finite_range(shown)
    if low < 0 < high:
        low, high = min(low, -high), max(high, -low)
        colours, coloured = DIVERGING, diverging(shown, high)
    else:
        colours, coloured = SEQUENTIAL, sequential(shown, low, high)
    columns = shown.shape[1] if shown.shape[1] <= 8 else min(16, -(-shown.shape[1] // 2))
    size = int(np.clip(MAPS_WIDTH // columns, SMALLEST_TILE, _largest(images)))
    rows = [
        beside(sample_picture(image, lines, max(size, INPUT_SIZE)), tile(thicken(fit(sample, size)), columns))
        for image, sample, lines in zip(images, coloured, captions, strict=True)
    ]
    left_out = channels - shown.shape[1]
    return titled(
        stack(*rows),
        title,
        f"{shown.shape[1]} of {channels} channels, {left_out} left out" if left_out else f"{channels} channels",
        non_finite_note(shown, "values"),
        scale=colour_scale(colours, f"{low:.3g}", f"{high:.3g}"),
    )


def mean_maps(
    activations: Mapping[str, ArrayLike],
    images: ArrayLike,
    captions: Sequence[Sequence[str]],
    *,
    title: str = "",
) -> Picture:
    """Draws one map per layer, the mean over its channels, for each input: the way through the network.

    Args:
        activations: Layer name → activations of shape (samples, channels, *size), in the order of the network.
        images: The inputs, shape (samples, channels, *size).
        captions: For each sample the lines under its picture.
        title: Written above.

    Returns:
        Height × width × 3, uint8. Each map has its own colour scale, its smallest value dark and its largest
        bright, since the layers' values differ by orders of magnitude.

    Raises:
        ValueError: If there is no layer, the numbers of samples differ or a shape does not fit.

    Example:
        >>> maps = {"conv1": np.random.rand(1, 6, 24, 24), "conv2": np.random.rand(1, 16, 8, 8)}
        >>> mean_maps(maps, np.random.rand(1, 1, 28, 28), [["true: 3"]]).shape
        (158, 516, 3)
    """
    if not activations:
        raise ValueError("expected at least one layer, got none")
    means = {name: channel_mean(planes(to_array(values)), axis=1) for name, values in activations.items()}
    for values in means.values():
        _check_samples(len(values), images, captions)
    size, columns = (INPUT_SIZE, 8) if len(means) <= 16 else (INPUT_SIZE // 2, 15)
    size = int(np.clip(MAPS_WIDTH // len(means), size, _largest(images)))
    rows = []
    for index, (image, lines) in enumerate(zip(images, captions, strict=True)):
        cells = [_named_map(name, values[index], size) for name, values in means.items()]
        lines_of_cells = [beside(*cells[start : start + columns]) for start in range(0, len(cells), columns)]
        rows.append(beside(sample_picture(image, lines, max(size, INPUT_SIZE)), stack(*lines_of_cells)))
    everything = np.concatenate([values.ravel() for values in means.values()])
    return titled(
        stack(*rows),
        title,
        "mean over channels; each map from its smallest (dark) to its largest value (bright)",
        non_finite_note(everything, "values"),
    )


def fit(cells: Picture, size: int) -> Picture:
    """Brings cells (..., height, width, 3) near a size in pixels: whole factors up, area averages down."""
    longer = max(cells.shape[-3:-1])
    if longer <= size:
        return enlarge(cells, size // longer)
    height, width = (max(1, round(side * size / longer)) for side in cells.shape[-3:-1])
    flat = cells.reshape(-1, *cells.shape[-3:])
    small = [np.asarray(Image.fromarray(cell).resize((width, height), Image.Resampling.BOX)) for cell in flat]
    return np.stack(small).reshape(*cells.shape[:-3], height, width, 3)


def centred(cells: Picture, width: int) -> Picture:
    """White at both sides of cells (..., height, width, 3), up to a width in pixels."""
    spare = max(width - cells.shape[-2], 0)
    sides = ((spare // 2, spare - spare // 2), (0, 0))
    return np.pad(cells, (*[(0, 0)] * (cells.ndim - 2), *sides), constant_values=255)


def _named_map(name: str, values: Array, size: int) -> Picture:
    low, high = _finite_range(values)
    cell = thicken(fit(sequential(values, low, high)[None], size))
    return labelled(centred(tile(cell, columns=1)[None], size + 2)[0], name, text_size=12 if size > 60 else 9)


def sample_picture(image: ArrayLike, lines: Sequence[str], size: int = INPUT_SIZE) -> Picture:
    """An input of shape (channels, *size) near a size in pixels, and lines of text under it.

    Example:
        >>> sample_picture(np.random.rand(1, 28, 28), ["true: 3"]).shape
        (104, 120, 3)
    """
    framed = tile(thicken(fit(photograph(image)[None], size)), columns=1)
    words = [text_line(line, size + 24) for line in lines]
    return stack(centred(framed[None], size + 24)[0], *words, gap=0)


def _largest(images: ArrayLike) -> int:
    """What a tile may grow to: photographs and their maps want room, small images would only get coarse."""
    return int(np.clip(max(images.shape[2:], default=1), INPUT_SIZE, LARGEST_SIZE))


def _finite_range(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _check_samples(count: int, images: ArrayLike, captions: Sequence[Sequence[str]]) -> None:
    if not count == len(images) == len(captions):
        raise ValueError(
            f"expected as many images and captions as activations, got {len(images)} images, "
            f"{len(captions)} captions and {count} activations"
        )
