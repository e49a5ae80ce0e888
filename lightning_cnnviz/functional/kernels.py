"""Convolution kernels as a grid of small signed pictures."""

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from lightning_cnnviz.functional.caption import colour_scale, non_finite_note, text_width, titled, write
from lightning_cnnviz.functional.image import (
    DIVERGING,
    Array,
    ArrayLike,
    Picture,
    channel_mean,
    diverging,
    enlarge,
    finite_limit,
    signed_rgb,
    thicken,
    tile,
    to_array,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

Channel: TypeAlias = int | Literal["auto", "mean", "rgb"]
Scale: TypeAlias = Literal["layer", "kernel"]

GRID_WIDTH = 960
SMALLEST_KERNEL, LARGEST_WEIGHT = 24, 24
"""Pixels: a kernel's longer side is at least this, a single weight at most that."""
MOST_NUMBERS, NUMBERS_WIDTH = 1024, 1600
"""Weights that are written as numbers at most, and the pixels that a row of their kernels takes."""


def conv_weight(module: "nn.Module") -> "torch.Tensor":
    """The weight of a convolution as (out_channels, in_channels / groups, *kernel_size).

    Transposed convolutions store it as (in_channels, out_channels / groups, *kernel_size); their kernels
    are brought into the same order, so that kernel i makes output channel i.

    Args:
        module: A 1-D, 2-D or 3-D convolution, transposed and grouped ones included.

    Raises:
        TypeError: If it is no convolution.

    Example:
        >>> from torch import nn
        >>> conv_weight(nn.ConvTranspose2d(4, 6, 3, groups=2)).shape
        torch.Size([6, 2, 3, 3])
    """
    from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd  # here, as drawing needs no PyTorch

    if not isinstance(module, _ConvNd):
        raise TypeError(f"expected a convolution (torch.nn.Conv1d ... ConvTranspose3d), got {type(module).__name__}")
    weight = module.weight
    if not isinstance(module, _ConvTransposeNd):
        return weight
    kernel = weight.shape[2:]
    grouped = weight.reshape(module.groups, -1, *weight.shape[1:]).transpose(1, 2)
    return grouped.reshape(module.out_channels, module.in_channels // module.groups, *kernel)


def kernel_grid(
    weight: ArrayLike,
    *,
    channel: Channel = "auto",
    scale: Scale = "layer",
    max_kernels: int = 512,
    numbers: bool = False,
    title: str = "",
) -> Picture:
    """Draws each kernel as a small picture: blue is negative, red positive, white zero.

    Args:
        weight: Shape (out_channels, in_channels / groups, *kernel_size) with one to three kernel dimensions,
            as `conv_weight` gives it. One-dimensional kernels are strips, of three-dimensional ones the
            slices stand side by side.
        channel: The input channel to show; `"mean"` over the input channels; `"rgb"` where there are three
            (grey is zero); `"auto"`: RGB for two-dimensional kernels with three input channels, otherwise the
            first channel.
        scale: `"layer"`: one colour scale for all, the strongest colour is the largest magnitude shown.
            `"kernel"`: each kernel has its own.
        max_kernels: How many are drawn at most, the first ones; the number left out stands on the picture.
        numbers: Write each weight into its cell with two significant digits. Left out, and said so, for RGB
            and where there are more than 1,024 weights to show (64 kernels of 4×4, 40 of 5×5).
        title: Written above, e.g. layer and step.

    Returns:
        Height × width × 3, uint8. Non-finite weights are magenta and counted in the caption.

    Raises:
        ValueError: If an argument is impossible, or does not fit the shape.

    Example:
        >>> import torch
        >>> kernel_grid(torch.randn(6, 1, 5, 5), title="conv1").shape
        (205, 768, 3)
    """
    check_options(channel, scale, max_kernels)
    count, inputs = weight.shape[:2]
    shown, channel = shown_weights(weight, channel, max_kernels)
    limit = finite_limit(shown) if scale == "layer" else finite_limit(shown, axis=tuple(range(1, shown.ndim)))
    cells = (signed_rgb if channel == "rgb" else diverging)(shown, limit)

    height, width = cells.shape[2:4]
    depth = cells.shape[1]
    columns = len(cells) if len(cells) <= 8 else int(np.ceil(np.sqrt(2 * len(cells))))
    smallest = -(-SMALLEST_KERNEL // max(height, width))
    factor = int(np.clip(GRID_WIDTH // (columns * depth * width), smallest, LARGEST_WEIGHT))
    if numbers and channel != "rgb" and shown.size <= MOST_NUMBERS:
        words = [_number(value) for value in shown.ravel().tolist()]
        factor = max(factor, 6 + max((text_width(word) for word in words), default=0))
        columns = min(columns, max(1, NUMBERS_WIDTH // (factor * depth * width)))
        slices = _numbered(enlarge(cells, factor), words, factor)
        numbers_note = ""
    else:
        slices = thicken(enlarge(cells, factor))
        numbers_note = "numbers left out: they take one channel and at most 1,024 weights" if numbers else ""
    if depth > 1:
        slices = np.stack([tile(kernel, columns=depth, gap=0) for kernel in slices])[:, None]
    return titled(
        tile(slices[:, 0], columns),
        title,
        _count_note(count, len(shown), channel, inputs),
        non_finite_note(shown, "weights"),
        numbers_note,
        scale=_legend(channel, scale, float(limit.max(initial=0))),
    )


def check_options(channel: Channel, scale: Scale, max_kernels: int) -> None:
    """Raises ValueError if an argument of `kernel_grid` is impossible for any layer.

    Example:
        >>> check_options("auto", "layer", max_kernels=512)
    """
    if channel not in ("auto", "mean", "rgb") and (not isinstance(channel, int) or channel < 0):
        raise ValueError(f'expected channel to be a number from 0, "auto", "mean" or "rgb", got {channel!r}')
    if scale not in ("layer", "kernel"):
        raise ValueError(f'expected scale to be "layer" or "kernel", got {scale!r}')
    if max_kernels < 1:
        raise ValueError(f"expected max_kernels to be at least 1, got {max_kernels}")


def check_channel(channel: Channel, inputs: int) -> None:
    """Raises ValueError if a layer with this number of input channels (per group) has no such channel.

    Example:
        >>> check_channel("rgb", 1)
        Traceback (most recent call last):
            ...
        ValueError: channel="rgb" needs three input channels, this layer has 1; use a number or "mean"
    """
    if channel == "rgb" and inputs != 3:
        raise ValueError(f'channel="rgb" needs three input channels, this layer has {inputs}; use a number or "mean"')
    if isinstance(channel, int) and not 0 <= channel < inputs:
        raise ValueError(f"channel={channel} does not exist, this layer has {inputs} input channels from 0")


def shown_weights(weight: ArrayLike, channel: Channel, max_kernels: int) -> tuple[Array, int | Literal["mean", "rgb"]]:
    """What `kernel_grid` shows of a weight: (kernels, depth, height, width), with 3 behind for RGB, and which channel.

    Example:
        >>> shown_weights(np.zeros((6, 3, 5, 5), dtype=np.float32), "auto", 4)[0].shape
        (4, 1, 5, 5, 3)
    """
    if not 3 <= weight.ndim <= 5:
        shape = tuple(weight.shape)
        raise ValueError(f"expected a weight of shape (out, in, *kernel) with 1 to 3 kernel sizes, got {shape}")
    inputs = weight.shape[1]
    if channel == "auto":
        channel = "rgb" if inputs == 3 and weight.ndim == 4 else 0
    check_channel(channel, inputs)
    if isinstance(channel, int):  # of a large weight the rest need not be copied
        return _select_channel(to_array(weight[:max_kernels, channel : channel + 1]), 0), channel
    return _select_channel(to_array(weight[:max_kernels]), channel), channel


def _select_channel(values: Array, channel: Channel) -> Array:
    """(kernels, depth, height, width), with a last dimension of 3 for RGB."""
    if values.ndim < 5:  # kernels without depth have one slice, strips have one row
        values = values.reshape(*values.shape[:2], *[1] * (5 - values.ndim), *values.shape[2:])
    if channel == "rgb":
        return np.moveaxis(values, 1, -1)
    if channel == "mean":
        return channel_mean(values, axis=1)
    return values[:, int(channel)]


def _number(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−") if value else "0"


def _numbered(cells: Picture, words: list[str], factor: int) -> Picture:
    """Cells (kernels, depth, height, width, 3), `factor` pixels per weight, with a word in each weight."""
    strip = cells.reshape(-1, *cells.shape[3:])  # all below each other: squares in the order of the words
    across, middle = cells.shape[3] // factor, factor // 2
    places = [
        (index // across * factor + middle, index % across * factor + middle, word) for index, word in enumerate(words)
    ]
    return write(strip, places).reshape(cells.shape)


def _count_note(count: int, shown: int, channel: int | str, inputs: int) -> str:
    kernels = f"{shown} of {count} kernels, {count - shown} left out" if shown < count else f"{count} kernels"
    of_inputs = {"rgb": "input channels as RGB", "mean": f"mean of {inputs} input channels"}
    return f"{kernels} · {of_inputs.get(str(channel), f'input channel {channel} of {inputs}')}"


def _legend(channel: int | str, scale: Scale, limit: float) -> Picture:
    low, high = (f"−{limit:.3g}", f"+{limit:.3g}") if scale == "layer" else ("−max", "+max of each kernel")
    if channel == "rgb":
        return colour_scale(np.linspace(0, 255, 255)[:, None].repeat(3, 1).astype(np.uint8), low, high)
    return colour_scale(DIVERGING, low, high)
