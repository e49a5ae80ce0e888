"""Every input channel and slice of a convolution's kernels as data for the tab, in one byte per weight."""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.image import Array, to_array
from lightning_cnnviz.functional.tab.data import TabData

if TYPE_CHECKING:
    import torch

MAX_LAYER_BYTES, MAX_STEP_BYTES = 60 * 2**10, 768 * 2**10
"""Maximum bytes of a layer's weights at one step, so that the whole record stays within 64 KB, and of all layers'."""
PLANE_BYTES = 16
"""What the range and the number of a plane of kernels take."""
STEPS, NOT_FINITE = 127, -128
"""Levels above and below zero, of which the last is the largest magnitude, and the level of weights that are not
finite."""


class ChannelSelection(NamedTuple):
    """What is kept of a convolution's kernels, input channel by input channel and slice by slice.

    Attributes:
        levels: Shape (inputs kept, slices kept, kernels kept, height, width), int8. A level of ±127 is the largest
            finite magnitude among the kernels of its input channel and slice, so that a weight is off by at most
            1/254 of it; -128 is a weight that is not finite.
        low: Smallest finite weight, shape (inputs kept, slices kept).
        high: Largest finite weight, likewise.
        inputs: Input channels kept, of each kernel; `"mean"` is the mean over all of them, kept or not.
        slices: Slices kept; `[0]` of kernels that have no depth.
        shape: Kernels, input channels of each, and slices of the layer, kept or not.
        picture: The input channel that the picture of the kernels shows, `"mean"` or `"rgb"`.
    """

    levels: npt.NDArray[np.int8]
    low: Array
    high: Array
    inputs: list[int | str]
    slices: list[int]
    shape: tuple[int, int, int]
    picture: int | str


def select_channels(
    weight: "torch.Tensor", channel: int | str = 0, max_kernels: int = 512, layers: int = 1
) -> ChannelSelection | None:
    """Reduces the weight of a convolution to what the tab shows of its input channels and slices, at most 64 KB.

    Where not all weights fit, all kernels are kept rather than all input channels, and these are chosen evenly; slices
    are left out only where not even one input channel fits. The mean over the input channels is always kept.

    Args:
        weight: Shape (kernels, inputs, *kernel_size) with one to three kernel dimensions, real; `inputs` are the
            input channels of one group.
        channel: The input channel that `select_kernels` shows, which is kept in any case; `"mean"` or `"rgb"`.
        max_kernels: Maximum number of kernels kept, starting from the first.
        layers: Number of layers that are kept at a step: more than twelve share 768 KB.

    Returns:
        None where `kernel_tab_data` keeps everything (kernels of one input channel without depth), and where not even
        one kernel of one slice fits.

    Example:
        >>> import torch
        >>> selection = select_channels(torch.ones(512, 256, 3, 3))
        >>> selection.levels.shape, selection.inputs[:4], selection.inputs[-1]
        ((13, 1, 512, 3, 3), [0, 23, 46, 70], 'mean')
    """
    import torch  # imported here because drawing itself does not need PyTorch

    size, most = weight.shape[2:], min(MAX_LAYER_BYTES, MAX_STEP_BYTES // layers)
    depth, area = (size[0] if len(size) == 3 else 1), math.prod(size[-2:])
    (kernels, inputs), room = weight.shape[:2], max(most - PLANE_BYTES, 0) // area
    if inputs * depth == 1 or not room:
        return None
    some = weight.detach()[: min(max_kernels, room)]
    planes_kept = most // (len(some) * area + PLANE_BYTES)
    slices = _evenly(depth, planes_kept, depth // 2)
    rows = planes_kept // len(slices)
    kept = _evenly(inputs, rows - (inputs > 1), channel)
    volumes = some.reshape(len(some), inputs, depth, *(1, *size)[-2:])  # a view, as the weight may be large
    planes = volumes[:, kept].float().transpose(0, 1)
    if inputs > 1:
        planes = torch.cat([planes, volumes.mean(1, dtype=torch.float32)[None]])
    planes = planes[:, :, slices].transpose(1, 2)
    finite = planes.isfinite()
    known = planes.where(finite, 0)
    low, high = known.amin((2, 3, 4)), known.amax((2, 3, 4))
    limit = torch.maximum(-low, high)[:, :, None, None, None]
    levels = (known / limit.where(limit > 0, 1) * STEPS).round().where(finite, NOT_FINITE)
    return ChannelSelection(
        levels.to(torch.int8).cpu().numpy(),
        to_array(low),
        to_array(high),
        [*kept, *(["mean"] if inputs > 1 else [])],
        slices,
        (kernels, inputs, depth),
        channel,
    )


def _evenly(count: int, most: int, wanted: int | str) -> list[int]:
    """At most so many of the numbers below `count`, evenly; `wanted` takes the place of that which is closest."""
    from lightning_cnnviz.model.layers import spread

    numbers = spread(range(count), max(most, 0))
    if numbers and isinstance(wanted, int) and wanted not in numbers:
        numbers[int(np.abs(np.array(numbers) - wanted).argmin())] = wanted
    return numbers


def channel_tab_data(selection: ChannelSelection, layer: str, *, groups: int = 1) -> TabData:
    """Returns the input channels and slices of a layer's kernels.

    Args:
        selection: What is kept.
        layer: Name of the layer.
        groups: Groups of the convolution, each with input channels of its own.

    Example:
        >>> import torch
        >>> info = channel_tab_data(select_channels(torch.ones(2, 3, 5)), "conv1").info
        >>> info["inputs"], info["slices"], info["shape"]
        ([0, 1, 2, 'mean'], [0], [2, 3, 1])
    """
    info: dict[str, Any] = {
        "channels": list(range(selection.levels.shape[2])),
        "inputs": selection.inputs,
        "slices": selection.slices,
        "shape": list(selection.shape),
        "picture": selection.picture,
        "groups": groups,
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "values": selection.levels,
        "low": selection.low,
        "high": selection.high,
    }
    return TabData("kernel_channels", {"layer": layer}, info, arrays)
