"""Maps as they are stored for the tab: so small that all maps of a layer fit into a bounded number of bytes."""

import numpy as np

from lightning_cnnviz.functional.drawing.image import Array, ArrayLike, planes, to_array

MAX_STORED_MAP_SIZE, MAX_STORED_MAP_BYTES = 64, 2**17
"""Maximum side of a map in pixels, and maximum bytes of all maps of a layer; larger maps are downsampled."""
MAX_STEP_BYTES = 768 * 2**10
"""Maximum bytes of maps that are stored beside others at a step, of all layers together."""


def stored_side(maps: int, most_bytes: int = MAX_STORED_MAP_BYTES) -> int:
    """Returns the maximum side, in pixels, of each of so many maps that are stored together.

    Args:
        maps: Number of maps.
        most_bytes: Maximum bytes of all of them, one for each pixel.

    Example:
        >>> stored_side(4 * 6), stored_side(4 * 32)
        (64, 32)
    """
    side = int((most_bytes / max(maps, 1)) ** 0.5)
    return min(MAX_STORED_MAP_SIZE, max(side, 1))


def stored_maps(activations: ArrayLike, max_channels: int) -> Array:
    """Returns the first channels of maps, downsampled as they are stored.

    Args:
        activations: Shape (samples, channels, *size), as for `feature_maps`.
        max_channels: Maximum number of channels.

    Returns:
        float32 of shape (samples, channels, height, width).

    Example:
        >>> stored_maps(np.zeros((1, 3, 130, 130)), max_channels=2).shape
        (1, 2, 43, 43)
    """
    maps = planes(to_array(activations))[:, :max_channels]
    return downsampled(maps, stored_side(maps.shape[0] * maps.shape[1]))


def downsampled(maps: Array, max_size: int) -> Array:
    """Downsamples by block averaging until neither side exceeds `max_size`; incomplete blocks are dropped.

    Args:
        maps: Shape (samples, channels, height, width).
        max_size: In pixels.

    Example:
        >>> downsampled(np.zeros((1, 1, 9, 2), dtype=np.float32), max_size=4).shape
        (1, 1, 3, 1)
    """
    height, width = maps.shape[2:]
    factor = -(-max(height, width) // max_size)
    if factor == 1:
        return maps
    down, across = min(factor, height), min(factor, width)
    squares = maps[:, :, : height // down * down, : width // across * across]
    shape = (*maps.shape[:2], height // down, down, width // across, across)
    return np.asarray(squares.reshape(shape).mean(axis=(3, 5)), dtype=np.float32)
