"""The part of activations that pictures show, so that no more of them has to be kept until it is drawn."""

from torch import Tensor
from torch.nn.functional import avg_pool1d, avg_pool2d


def shown_maps(activations: Tensor, channels: int, size: int) -> Tensor:
    """Returns the first channels of maps, averaged over whole blocks as far as `size` pixels remain.

    Of volumes the middle slice is taken. Blocks divide a map evenly, so that its mean stays the same. Maps with
    non-finite values are not averaged: a picture counts and marks these.

    Args:
        activations: Shape (samples, channels, *size) with zero to three spatial dimensions, on the CPU.
        channels: Maximum number of channels.
        size: Pixels that the longer side of a map has at least, unless it has fewer already.

    Returns:
        A copy of shape (samples, channels, *size) with zero to two spatial dimensions.

    Example:
        >>> import torch
        >>> shown_maps(torch.rand(2, 64, 256, 128), channels=32, size=55).shape
        torch.Size([2, 32, 64, 32])
    """
    maps = activations[:, :channels] if activations.ndim > 1 else activations
    if maps.ndim == 5:
        maps = maps[:, :, maps.shape[2] // 2]
    sides = maps.shape[2:]
    pool = {1: avg_pool1d, 2: avg_pool2d}.get(len(sides))
    factors = range(max(sides, default=1) // size, 1, -1)
    factor = next((factor for factor in factors if all(side % factor == 0 for side in sides)), 1)
    if pool is None or factor == 1 or not maps.is_floating_point() or not maps.isfinite().all():
        return maps.clone()
    pooled: Tensor = pool(maps.float(), factor)
    return pooled


def block_means(maps: Tensor, size: int) -> Tensor:
    """Returns maps, averaged over blocks until neither side exceeds `size`; incomplete blocks are dropped.

    Args:
        maps: Shape (samples, channels, *size) with zero to three spatial dimensions. Of volumes the middle slice
            is taken.
        size: Pixels that the longer side of a map has at most.

    Returns:
        Shape (samples, channels, *size) with zero to two spatial dimensions; maps that are small enough as they are.

    Example:
        >>> import torch
        >>> block_means(torch.rand(2, 6, 130, 20), size=64).shape
        torch.Size([2, 6, 43, 6])
    """
    if maps.ndim == 5:
        maps = maps[:, :, maps.shape[2] // 2]
    sides = maps.shape[2:]
    factor = -(-max(sides, default=1) // size)
    pool = {1: avg_pool1d, 2: avg_pool2d}.get(len(sides))
    if pool is None or factor <= 1:
        return maps
    pooled: Tensor = pool(maps, [min(factor, side) for side in sides])
    return pooled
