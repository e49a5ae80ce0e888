"""Conversion of tensors to pixels: colour maps, enlarging, tiling."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from lightning_cnnviz.functional.drawing.colours import DIVERGING, NON_FINITE, SEQUENTIAL

if TYPE_CHECKING:  # pictures are drawn in a process without PyTorch, which takes seconds to import
    import torch

ArrayLike: TypeAlias = "torch.Tensor | npt.NDArray[np.generic]"
Labels: TypeAlias = "torch.Tensor | npt.NDArray[np.integer] | Sequence[int]"
"""Class indices, shape (samples,)."""
Array: TypeAlias = npt.NDArray[np.float32]
FloatArray: TypeAlias = npt.NDArray[np.floating]
Picture: TypeAlias = npt.NDArray[np.uint8]
"""Height × width × 3, RGB, 0…255."""

MIN_CELL_HEIGHT = 8
"""Minimum height of a cell that is still visible, in pixels."""
OUTLINE = 120
"""Grey level of the outline around tiles. Darker than the colour of zero, so that all-zero tiles stay visible."""


def to_array(values: ArrayLike) -> Array:
    """Copies a tensor of any dtype, on any device, to a float32 NumPy array.

    Example:
        >>> import torch
        >>> to_array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
        array([1., 1.], dtype=float32)
    """
    if isinstance(values, np.ndarray):
        return np.array(values, dtype=np.float32)
    # Copied before NumPy sees it: what an array shares cannot be freed when a parameter is sharded again.
    array: Array = values.detach().float().to("cpu", copy=True).numpy()
    return array


def to_labels(labels: Labels) -> npt.NDArray[np.intp]:
    """Converts class indices from a tensor on any device, an array or a list to a NumPy array.

    Example:
        >>> import torch
        >>> to_labels(torch.tensor([1, 0]))
        array([1, 0])
    """
    return np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels, dtype=np.intp)


def finite_limit(values: Array, axis: tuple[int, ...] | None = None) -> Array:
    """Returns the largest finite magnitude, 0 if there is none; with `axis`, one per slice (dimensions kept)."""
    magnitude = np.where(np.isfinite(values), np.abs(values), np.float32(0))
    return np.asarray(magnitude.max(axis=axis, keepdims=axis is not None, initial=0), dtype=np.float32)


def diverging(values: Array, limit: Array | float) -> Picture:
    """Maps signed values to colours: blue below zero, red above, neutral at zero.

    Args:
        values: Any shape.
        limit: Magnitude of the strongest colours, ≥ 0; broadcasts against `values`.

    Returns:
        RGB of shape `values.shape + (3,)`. Non-finite values are magenta; a limit of zero gives the neutral colour.

    Example:
        >>> diverging(np.float32([-1, 0, 1]), 1.0).tolist()
        [[5, 48, 97], [247, 247, 247], [103, 0, 31]]
    """
    middle = len(DIVERGING) // 2
    share = values / np.where(np.asarray(limit) > 0, limit, 1)
    index = np.round(np.clip(np.nan_to_num(share), -1, 1) * middle).astype(np.intp) + middle
    return mark_non_finite(DIVERGING[index], ~np.isfinite(values))


def sequential(values: Array, low: Array | float, high: Array | float) -> Picture:
    """Maps values to colours from dark (`low`) to bright (`high`).

    Args:
        values: Any shape.
        low: Value of the darkest colour; broadcasts against `values`.
        high: Value of the brightest colour; broadcasts against `values`. Where it is not above `low`, the colour is
            the darkest.

    Returns:
        RGB of shape `values.shape + (3,)`. Non-finite values are magenta.

    Example:
        >>> sequential(np.float32([0, 2]), 0.0, 2.0).tolist()
        [[68, 1, 84], [253, 231, 37]]
    """
    span = np.asarray(high) - np.asarray(low)
    share = (values - low) / np.where(span > 0, span, 1)
    index = np.round(np.clip(np.nan_to_num(share), 0, 1) * (len(SEQUENTIAL) - 1)).astype(np.intp)
    return mark_non_finite(SEQUENTIAL[index], ~np.isfinite(values))


def signed_rgb(values: Array, limit: Array | float) -> Picture:
    """Maps three signed channels to red, green and blue around a neutral mid-grey (zero).

    Args:
        values: Shape (..., 3).
        limit: Magnitude that is mapped to 0 or 255, ≥ 0; broadcasts against `values`.

    Returns:
        RGB of the shape of `values`.

    Example:
        >>> signed_rgb(np.float32([[-1, 0, 1]]), 1.0).tolist()
        [[0, 128, 255]]
    """
    share = np.clip(np.nan_to_num(values / np.where(np.asarray(limit) > 0, limit, 1)), -1, 1)
    colours = np.round((share + 1) * 127.5).astype(np.uint8)
    return mark_non_finite(colours, np.asarray(~np.isfinite(values).all(axis=-1)))


def finite_range(values: FloatArray) -> tuple[float, float]:
    """Returns the smallest and the largest finite value; zeros if there is none."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if np.isfinite(low) and np.isfinite(high):  # NaN would be the smallest and the largest
        return low, high
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def reduced(values: Array, size: int) -> Array:
    """Averages values (..., height, width) over areas, so that the longer side is at most `size`; smaller ones stay.

    Values, not colours, are averaged: between the blue of a negative and the red of a positive number lies the colour
    of zero, and no purple. Where a value is not finite, neither is the mean.

    Example:
        >>> reduced(np.float32([[[-1, 1, 2, 4]]]), 2).tolist()
        [[[0.0, 3.0]]]
    """
    longer = max(values.shape[-2:])
    if longer <= size:
        return values
    height, width = (max(1, round(side * size / longer)) for side in values.shape[-2:])
    result = np.empty((*values.shape[:-2], height, width), dtype=np.float32)
    for place in np.ndindex(values.shape[:-2]):
        plane = Image.fromarray(values[place].astype(np.float32))
        result[place] = np.asarray(plane.resize((width, height), Image.Resampling.BOX))
    return result


def planes(values: Array) -> Array:
    """Converts activations of any rank to (samples, channels, height, width).

    Features (samples, features) become maps of 1×1, signals (samples, channels, length) become strips of height 1,
    and volumes (samples, channels, depth, height, width) are reduced to their middle slice.

    Raises:
        ValueError: If there are fewer than two or more than five dimensions.

    Example:
        >>> planes(np.zeros((2, 3, 5, 7, 7), dtype=np.float32)).shape
        (2, 3, 7, 7)
    """
    if not 2 <= values.ndim <= 5:
        raise ValueError(f"expected 2 to 5 dimensions (samples, channels, ...), got shape {values.shape}")
    if values.ndim == 5:
        return values[:, :, values.shape[2] // 2]
    if values.ndim == 3:
        return values[:, :, None]
    return values.reshape(*values.shape, *[1] * (4 - values.ndim))


def enlarge(cells: Picture, factor: int) -> Picture:
    """Repeats every pixel of (..., height, width, 3) `factor` times in both directions."""
    return cells.repeat(factor, axis=-2).repeat(factor, axis=-3)  # rows last: they are copied as contiguous blocks


def thicken(cells: Picture) -> Picture:
    """Repeats the rows of cells (..., height, width, 3) that are too flat to be visible, such as long strips."""
    return cells.repeat(-(-MIN_CELL_HEIGHT // cells.shape[-3]), axis=-3)


def tile(cells: Picture, columns: int, gap: int = 4) -> Picture:
    """Arranges cells of equal size in a grid, with a thin grey outline around each and white in between.

    Args:
        cells: Shape (count, height, width, 3).
        columns: Cells per row, at least 1. The rest of an incomplete last row is white.
        gap: White pixels between the outlines; if 0, neighbouring cells share an outline.

    Returns:
        One image; rows are `height + 1 + (1 + gap if gap else 0)` pixels apart.

    Example:
        >>> tile(np.zeros((3, 4, 4, 3), dtype=np.uint8), columns=2, gap=1).shape
        (13, 13, 3)
    """
    count, height, width, _ = cells.shape
    step_down, step_right = height + 1 + (1 + gap if gap else 0), width + 1 + (1 + gap if gap else 0)
    rows, overlap = -(-count // columns), gap or -1
    shape = (rows * step_down - overlap, columns * step_right - overlap, 3)
    picture = np.full(shape, 255, dtype=np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * step_down, index % columns * step_right
        picture[top : top + height + 2, left : left + width + 2] = OUTLINE
        picture[top + 1 : top + height + 1, left + 1 : left + width + 1] = cell
    return picture


def channel_mean(values: Array, axis: int) -> Array:
    """Returns the mean over channels; non-finite wherever one of them is."""
    with np.errstate(invalid="ignore"):  # the mean of opposite infinities is NaN, as intended
        return np.asarray(values.mean(axis=axis), dtype=np.float32)


def mark_non_finite(colours: Picture, non_finite: npt.NDArray[np.bool_]) -> Picture:
    """Makes pixels magenta, in place, and returns the picture."""
    colours[non_finite] = NON_FINITE
    return colours
