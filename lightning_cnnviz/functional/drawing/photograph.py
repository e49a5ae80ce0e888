"""Input samples as ordinary images."""

import numpy as np

from lightning_cnnviz.functional.drawing.image import (
    ArrayLike,
    Picture,
    channel_mean,
    mark_non_finite,
    planes,
    reduced,
    to_array,
)


def photograph(image: ArrayLike, max_size: int | None = None) -> Picture:
    """Renders an input sample as an ordinary image; uint8 as it is, other values whatever their normalisation.

    Args:
        image: Shape (channels, height, width), (channels, length) or (channels, depth, height, width);
            three channels are RGB, any other number is averaged to grey. For a volume, the middle slice is shown.
        max_size: Longer side in pixels to which larger images are reduced. Default: none are.

    Returns:
        Height × width × 3: uint8 from 0, black, to 255, white, unless none is above 1; other values scaled so that
        the minimum of the sample is black and its maximum white.

    Example:
        >>> photograph(np.array([[[-1.0, 1.0]]])).tolist()
        [[[0, 0, 0], [255, 255, 255]]]
    """
    return np.asarray(photographs(image[None], max_size)[0])


def photographs(images: ArrayLike, max_size: int | None = None) -> Picture:
    """Renders samples of the same size, each as `photograph` does.

    Args:
        images: Shape (samples, channels, *size).
        max_size: As for `photograph`.

    Returns:
        Shape (samples, height, width, 3).

    Example:
        >>> photographs(np.random.rand(5, 1, 28, 28)).shape
        (5, 28, 28, 3)
    """
    values = planes(to_array(images))
    values = values if values.shape[1] == 3 else channel_mean(values, axis=1)[:, None]
    finite = np.isfinite(values)
    axes = (1, 2, 3)
    low = np.min(values, axis=axes, keepdims=True, where=finite, initial=np.inf).astype(np.float64)
    high = np.max(values, axis=axes, keepdims=True, where=finite, initial=-np.inf).astype(np.float64)
    low, high = np.where(low <= high, low, 0), np.where(low <= high, high, 0)
    if "uint8" in str(images.dtype):
        low, high = np.where(high > 1, 0, low), np.where(high > 1, 255, high)
    if max_size is not None:
        values = reduced(values, max_size)
        finite = np.isfinite(values)
    span = high - low
    share = np.clip((values - low) / np.where(span > 0, span, 1), 0, 1)
    pixels = np.round((share if finite.all() else np.nan_to_num(share)) * 255).astype(np.uint8)
    coloured = np.array(np.broadcast_to(np.moveaxis(pixels, 1, -1), (*pixels[:, 0].shape, 3)), order="C")
    return coloured if finite.all() else mark_non_finite(coloured, np.asarray(~finite.all(axis=1)))
