"""Feature maps as pictures: the channels of one layer, or the mean map of each of several layers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lightning_cnnviz.functional.drawing.caption import (
    beside,
    check_captions,
    colour_scale,
    labelled,
    non_finite_note,
    stack,
    titled,
)
from lightning_cnnviz.functional.drawing.colours import DIVERGING, SEQUENTIAL
from lightning_cnnviz.functional.drawing.image import (
    Array,
    ArrayLike,
    Picture,
    channel_mean,
    diverging,
    finite_range,
    planes,
    reduced,
    sequential,
    thicken,
    tile,
    to_array,
)
from lightning_cnnviz.functional.drawing.samples import INPUT_SIZE, centred, enlarged, reduction_note, sample_picture

MAX_MAP_SIZE, MIN_MAP_SIZE = 220, 24
MAPS_WIDTH = 880
"""In pixels: the maximum and minimum size of a map, and the width of a row of maps."""


class MapFacts(NamedTuple):
    """What a layer's maps were, where only some channels of them, or averages, are at hand.

    Attributes:
        channels: Number of channels of the layer.
        size: Height and width of a map.
        low: Smallest finite value of the channels that are drawn.
        high: Largest finite value of these.
    """

    channels: int
    size: tuple[int, int]
    low: float
    high: float


def map_facts(activations: ArrayLike, max_channels: int) -> MapFacts:
    """Returns the facts on a layer's maps that `feature_maps` writes on the picture.

    Args:
        activations: As for `feature_maps`.
        max_channels: As for `feature_maps`.

    Example:
        >>> map_facts(np.arange(24.0).reshape(1, 6, 2, 2), max_channels=4)
        MapFacts(channels=6, size=(2, 2), low=0.0, high=15.0)
    """
    maps = planes(to_array(activations))
    return MapFacts(maps.shape[1], maps.shape[2:], *finite_range(maps[:, :max_channels]))


def feature_maps(
    activations: ArrayLike,
    images: ArrayLike,
    captions: Sequence[Sequence[str]],
    *,
    max_channels: int = 32,
    facts: MapFacts | None = None,
    title: str = "",
    note: str = "",
) -> Picture:
    """Draws the channels of one layer as a grid beside each input.

    Args:
        activations: Shape (samples, channels, *size) with zero to three spatial dimensions. 1-D maps are drawn as
            strips, 3-D maps as their middle slice, and single values as squares.
        images: The inputs, shape (samples, channels, *size) or (samples, features). Signals of at least 32 values,
            such as raw audio, are drawn as waveforms.
        captions: Lines of text under each sample, e.g. true and predicted class.
        max_channels: Maximum number of channels drawn, starting from the first; the picture states how many are
            left out.
        facts: What the maps were, if `activations` are averages or the first channels of them (see `map_facts`).
        title: Written above the grid, e.g. layer and step.
        note: An additional line of text.

    Returns:
        Height × width × 3, uint8, with one colour scale for all maps. If the values have both signs, negative is
        blue, zero white and positive red; otherwise they range from dark (smallest) to bright (largest). Maps larger
        than they are drawn are averaged, which the picture says. Non-finite values are magenta and counted.

    Raises:
        TypeError: If a caption is a string instead of a list of lines.
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
    channels, whole_size, low, high = facts or map_facts(maps, max_channels)
    shown = maps[:, :max_channels]
    columns = _columns(shown.shape[1])
    size = map_size(shown.shape[1], images)
    values = reduced(shown, size)
    if low < 0 < high:
        low, high = min(low, -high), max(high, -low)
        colours, coloured = DIVERGING, diverging(values, high)
    else:
        colours, coloured = SEQUENTIAL, sequential(values, low, high)
    rows = [
        beside(sample_picture(image, lines, max(size, INPUT_SIZE)), tile(thicken(enlarged(sample, size)), columns))
        for image, sample, lines in zip(images, coloured, captions, strict=True)
    ]
    left_out = channels - shown.shape[1]
    return titled(
        stack(*rows),
        title,
        f"{shown.shape[1]} of {channels} channels, {left_out} left out" if left_out else f"{channels} channels",
        reduction_note([whole_size], size),
        non_finite_note(shown, "values"),
        note,
        scale=colour_scale(colours, f"{low:.3g}", f"{high:.3g}"),
    )


def mean_maps(
    activations: Mapping[str, ArrayLike],
    images: ArrayLike,
    captions: Sequence[Sequence[str]],
    *,
    title: str = "",
    note: str = "",
) -> Picture:
    """Draws the mean over the channels of each layer for each input, following it through the network.

    Args:
        activations: Layer name → activations of shape (samples, channels, *size), in network order.
        images: The inputs, as for `feature_maps`.
        captions: Lines of text under each sample.
        title: Written above the maps.
        note: An additional line of text.

    Returns:
        Height × width × 3, uint8. Each map has its own colour scale from dark (smallest value) to bright (largest),
        because activations of different layers differ by orders of magnitude. Larger maps are averaged, as the picture
        says; the scale is that of the values before.

    Raises:
        TypeError: If a caption is a string instead of a list of lines.
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
    size, columns = _mean_map_size(len(means), images), 8 if len(means) <= 16 else 15
    rows = []
    for index, (image, lines) in enumerate(zip(images, captions, strict=True)):
        cells = [_named_map(name, values[index], size) for name, values in means.items()]
        map_rows = [beside(*cells[start : start + columns]) for start in range(0, len(cells), columns)]
        rows.append(beside(sample_picture(image, lines, max(size, INPUT_SIZE)), stack(*map_rows)))
    all_values = np.concatenate([values.ravel() for values in means.values()])
    return titled(
        stack(*rows),
        title,
        "mean over channels; each map from its smallest (dark) to its largest value (bright)",
        reduction_note([values.shape[-2:] for values in means.values()], size),
        non_finite_note(all_values, "values"),
        note,
    )


def map_size(channels: int, images: ArrayLike) -> int:
    """Returns the size at most, in pixels, of a map that is one of so many channels beside an input."""
    return int(np.clip(MAPS_WIDTH // _columns(channels), MIN_MAP_SIZE, _max_map_size(images)))


def _mean_map_size(layers: int, images: ArrayLike) -> int:
    """Returns the size at most, in pixels, of a mean map that is one of so many layers beside an input."""
    size = INPUT_SIZE if layers <= 16 else INPUT_SIZE // 2
    return int(np.clip(MAPS_WIDTH // layers, size, _max_map_size(images)))


def _columns(channels: int) -> int:
    return channels if channels <= 8 else min(16, -(-channels // 2))


def _named_map(name: str, values: Array, size: int) -> Picture:
    colours = sequential(reduced(values, size), *finite_range(values))
    cell = thicken(enlarged(colours[None], size))
    return labelled(centred(tile(cell, columns=1)[None], size + 2)[0], name, text_size=12 if size > 60 else 9)


def _max_map_size(images: ArrayLike) -> int:
    """Returns the maximum size of a map: large for large images; enlarging small ones would add no detail."""
    return int(np.clip(max(images.shape[2:], default=1), INPUT_SIZE, MAX_MAP_SIZE))


def _check_samples(count: int, images: ArrayLike, captions: Sequence[Sequence[str]]) -> None:
    check_captions(captions)
    if not count == len(images) == len(captions):
        raise ValueError(
            f"expected as many images and captions as activations, got {len(images)} images, "
            f"{len(captions)} captions and {count} activations"
        )
