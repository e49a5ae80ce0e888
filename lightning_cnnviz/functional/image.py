"""The only place where a tensor becomes pixels: colour, tile, scale."""

from typing import TYPE_CHECKING, TypeAlias

import matplotlib
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # pictures are drawn in a process that does without, since it takes seconds to import
    import torch

ArrayLike: TypeAlias = "torch.Tensor | npt.NDArray[np.generic]"
Array: TypeAlias = npt.NDArray[np.float32]
Picture: TypeAlias = npt.NDArray[np.uint8]
"""Height × width × 3, RGB, 0…255."""

NON_FINITE = (255, 0, 255)
"""Magenta, in neither colour map: what is NaN or infinite looks like nothing else."""
SHORTEST_SIDE = 8
"""Pixels that are still seen: the least height of a cell."""
OUTLINE = 120
"""The grey around tiles. Darker than zero weight, so that an all-zero tile keeps its shape."""


def _colours(name: str, count: int) -> Picture:
    sampled = matplotlib.colormaps[name](np.linspace(0, 1, count))
    return np.asarray(np.round(sampled[:, :3] * 255), dtype=np.uint8)


# Both maps are safe for colour-blind readers. An odd number of entries puts zero exactly in the middle. Together with
# the shades of words and outlines they stay below the 256 colours of a palette, which halves a picture's bytes.
DIVERGING = _colours("RdBu_r", 201)
DIVERGING[100] = 247  # from (247, 246, 246), so that zero has no hue at all
SEQUENTIAL = _colours("viridis", 201)


def to_array(values: ArrayLike) -> Array:
    """A float32 NumPy copy of a tensor of any dtype on any device.

    Example:
        >>> import torch
        >>> to_array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
        array([1., 1.], dtype=float32)
    """
    if not isinstance(values, np.ndarray):
        values = values.detach().float().cpu().numpy()
    return np.array(values, dtype=np.float32)


def finite_limit(values: Array, axis: tuple[int, ...] | None = None) -> Array:
    """The largest finite magnitude, 0 where there is none; with `axis`, one per slice (dimensions kept)."""
    magnitude = np.where(np.isfinite(values), np.abs(values), np.float32(0))
    return np.asarray(magnitude.max(axis=axis, keepdims=axis is not None, initial=0), dtype=np.float32)


def diverging(values: Array, limit: Array | float) -> Picture:
    """Colours signed values: blue below zero, red above, zero neutral.

    Args:
        values: Any shape.
        limit: The magnitude of the strongest colours, ≥ 0; broadcasts against `values`.

    Returns:
        RGB of shape `values.shape + (3,)`. Non-finite values are magenta; a limit of zero gives neutral.

    Example:
        >>> diverging(np.float32([-1, 0, 1]), 1.0).tolist()
        [[5, 48, 97], [247, 247, 247], [103, 0, 31]]
    """
    middle = len(DIVERGING) // 2
    share = values / np.where(np.asarray(limit) > 0, limit, 1)
    index = np.round(np.clip(np.nan_to_num(share), -1, 1) * middle).astype(np.intp) + middle
    return _mark(DIVERGING[index], ~np.isfinite(values))


def sequential(values: Array, low: Array | float, high: Array | float) -> Picture:
    """Colours values from dark (`low`) to bright (`high`).

    Args:
        values: Any shape.
        low: Value of the darkest colour; broadcasts.
        high: Value of the brightest colour; broadcasts. Where it is not above `low`, all is darkest.

    Returns:
        RGB of shape `values.shape + (3,)`. Non-finite values are magenta.

    Example:
        >>> sequential(np.float32([0, 2]), 0.0, 2.0).tolist()
        [[68, 1, 84], [253, 231, 37]]
    """
    span = np.asarray(high) - np.asarray(low)
    share = (values - low) / np.where(span > 0, span, 1)
    index = np.round(np.clip(np.nan_to_num(share), 0, 1) * (len(SEQUENTIAL) - 1)).astype(np.intp)
    return _mark(SEQUENTIAL[index], ~np.isfinite(values))


def signed_rgb(values: Array, limit: Array | float) -> Picture:
    """Three signed planes as red, green and blue around a neutral mid-grey (zero).

    Args:
        values: Shape (..., 3).
        limit: The magnitude that becomes 0 or 255, ≥ 0; broadcasts against `values`.

    Returns:
        RGB of the shape of `values`.

    Example:
        >>> signed_rgb(np.float32([[-1, 0, 1]]), 1.0).tolist()
        [[0, 128, 255]]
    """
    share = np.clip(np.nan_to_num(values / np.where(np.asarray(limit) > 0, limit, 1)), -1, 1)
    colours = np.round((share + 1) * 127.5).astype(np.uint8)
    return _mark(colours, np.asarray(~np.isfinite(values).all(axis=-1)))


def photograph(image: ArrayLike) -> Picture:
    """An input sample as people would see it, whatever normalisation it went through.

    Args:
        image: Shape (channels, height, width), (channels, length) or (channels, depth, height, width);
            three channels are RGB, any other number is averaged to grey. Of a volume, the middle slice.

    Returns:
        Height × width × 3; the sample's own minimum is black, its maximum white.

    Example:
        >>> photograph(np.array([[[-1.0, 1.0]]])).tolist()
        [[[0, 0, 0], [255, 255, 255]]]
    """
    values = planes(to_array(image)[None])[0]
    values = values if len(values) == 3 else channel_mean(values, axis=0)[None].repeat(3, axis=0)
    values = np.moveaxis(values, 0, -1)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    share = (values - low) / ((high - low) or 1)
    pixels = np.round(np.clip(np.nan_to_num(share), 0, 1) * 255).astype(np.uint8)
    return _mark(pixels, np.asarray(~np.isfinite(values).all(axis=-1)))


def planes(values: Array) -> Array:
    """Activations of any rank as (samples, channels, height, width).

    (samples, features) become features of 1×1, (samples, channels, length) strips of height 1; of volumes
    (samples, channels, depth, height, width) the middle slice is taken.

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
    return cells.repeat(factor, axis=-2).repeat(factor, axis=-3)  # whole rows last, as they are copied at one go


def thicken(cells: Picture) -> Picture:
    """Repeats the rows of cells (..., height, width, 3) that are too flat to be seen, such as long strips."""
    return cells.repeat(-(-SHORTEST_SIDE // cells.shape[-3]), axis=-3)


def tile(cells: Picture, columns: int, gap: int = 4) -> Picture:
    """Lays equal cells out in rows, a thin grey outline around each, white between them.

    Args:
        cells: Shape (count, height, width, 3).
        columns: Cells in a row, at least 1. The last row may be shorter; its rest is white.
        gap: White pixels between the outlines; at 0 neighbours share one outline.

    Returns:
        One image; a row takes `height + 1 + (1 + gap if gap else 0)` pixels.

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
    """The mean over channels; where they are not all finite, neither is it."""
    with np.errstate(invalid="ignore"):  # opposite infinities have no mean, which is what NaN says
        return np.asarray(values.mean(axis=axis), dtype=np.float32)


def _mark(colours: Picture, broken: npt.NDArray[np.bool_]) -> Picture:
    colours[broken] = NON_FINITE
    return colours
