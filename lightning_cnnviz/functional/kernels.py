"""Convolution kernels as a grid of small signed pictures."""

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from lightning_cnnviz.errors import whole_number
from lightning_cnnviz.functional.drawing.caption import colour_scale, non_finite_note, text_width, titled, write
from lightning_cnnviz.functional.drawing.colours import DIVERGING
from lightning_cnnviz.functional.drawing.image import (
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


InputChannel: TypeAlias = int | Literal["auto", "mean", "rgb"]
Scale: TypeAlias = Literal["layer", "kernel"]

GRID_WIDTH = 960
"""Approximate width of the grid, in pixels."""
MIN_KERNEL_SIZE, MAX_WEIGHT_SIZE = 24, 24
"""In pixels: the minimum for the longer side of a kernel, and the maximum for a single weight."""
MAX_WRITTEN_WEIGHTS, NUMBERS_WIDTH = 1024, 1600
"""Maximum number of weights written as numbers, and the maximum width of the grid in that case, in pixels."""


class KernelSelection(NamedTuple):
    """The part of a weight that `kernel_grid` shows, and what the whole weight was.

    Attributes:
        values: Float32 of shape (kernels, depth, height, width), plus a last dimension of 3 for RGB.
        channel: The input channel shown, `"mean"` or `"rgb"`.
        kernels: Number of kernels of the layer, shown or not.
        inputs: Number of input channels of a kernel.
        low: Smallest weight of each kernel shown, over all its input channels, shape (kernels,).
        high: Largest weight, likewise.
    """

    values: Array
    channel: int | Literal["mean", "rgb"]
    kernels: int
    inputs: int
    low: Array
    high: Array


def conv_weight(module: "nn.Module") -> "torch.Tensor":
    """Returns the weight of a convolution as (out_channels, in_channels / groups, *kernel_size).

    Transposed convolutions store it as (in_channels, out_channels / groups, *kernel_size); it is rearranged, so
    that kernel i always computes output channel i.

    Args:
        module: A 1-D, 2-D or 3-D convolution, possibly transposed or grouped.

    Raises:
        TypeError: If `module` is not a convolution.

    Example:
        >>> from torch import nn
        >>> conv_weight(nn.ConvTranspose2d(4, 6, 3, groups=2)).shape
        torch.Size([6, 2, 3, 3])
    """
    from torch import nn  # imported here because drawing itself does not need PyTorch

    from lightning_cnnviz.model.effective_weight import refreshed_weight

    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    if not isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, *transposed)):
        raise TypeError(f"expected a convolution (torch.nn.Conv1d ... ConvTranspose3d), got {type(module).__name__}")
    weight: torch.Tensor = refreshed_weight(module, module.weight)
    if not isinstance(module, transposed):
        return weight
    kernel = weight.shape[2:]
    grouped = weight.reshape(module.groups, -1, *weight.shape[1:]).transpose(1, 2)
    return grouped.reshape(module.out_channels, module.in_channels // module.groups, *kernel)


def kernel_grid(
    weight: "ArrayLike | KernelSelection",
    *,
    channel: InputChannel = "auto",
    scale: Scale = "layer",
    max_kernels: int = 512,
    numbers: bool = False,
    title: str = "",
    note: str = "",
) -> Picture:
    """Draws each kernel as a small picture: blue is negative, red positive, white zero.

    Args:
        weight: Shape (out_channels, in_channels / groups, *kernel_size) with one to three kernel dimensions,
            as returned by `conv_weight`. 1-D kernels are drawn as strips, 3-D kernels as slices side by side.
            Or what `select_kernels` has returned, with `channel` and `max_kernels`.
        channel: Index of the input channel to show; `"mean"` for the mean over the input channels; `"rgb"` for
            three input channels as a colour image (grey is zero); `"auto"` for RGB if the kernels are 2-D with
            three input channels, otherwise the first channel.
        scale: `"layer"`: one colour scale for all kernels; the strongest colour is the largest magnitude shown.
            `"kernel"`: each kernel has its own scale.
        max_kernels: Maximum number of kernels drawn, starting from the first; the picture states how many are
            left out.
        numbers: Write each weight into its cell with two significant digits. Omitted, with a note on the picture,
            for RGB and for more than 1,024 weights (64 kernels of 4×4, 40 of 5×5).
        title: Written above the grid, e.g. layer and step.
        note: A further line.

    Returns:
        Height × width × 3, uint8. Non-finite weights are magenta and counted in the caption.

    Raises:
        TypeError: If `weight` is not a tensor or array, e.g. a layer.
        ValueError: If an argument is invalid or does not fit the shape of `weight`.

    Example:
        >>> import torch
        >>> kernel_grid(torch.randn(6, 1, 5, 5), title="conv1").shape
        (205, 768, 3)
    """
    check_options(channel, scale, max_kernels)
    selection = weight if isinstance(weight, KernelSelection) else select_kernels(weight, channel, max_kernels)
    shown, channel = selection.values, selection.channel
    limit = finite_limit(shown) if scale == "layer" else finite_limit(shown, axis=tuple(range(1, shown.ndim)))
    cells = (signed_rgb if channel == "rgb" else diverging)(shown, limit)

    height, width = cells.shape[2:4]
    depth = cells.shape[1]
    columns = len(cells) if len(cells) <= 8 else int(np.ceil(np.sqrt(2 * len(cells))))
    smallest = -(-MIN_KERNEL_SIZE // max(height, width))
    factor = int(np.clip(GRID_WIDTH // (columns * depth * width), smallest, MAX_WEIGHT_SIZE))
    if numbers and channel != "rgb" and shown.size <= MAX_WRITTEN_WEIGHTS:
        texts = [_formatted(value) for value in shown.ravel().tolist()]
        factor = max(factor, 6 + max((text_width(text) for text in texts), default=0))
        columns = min(columns, max(1, NUMBERS_WIDTH // (factor * depth * width)))
        slices = _with_numbers(enlarge(cells, factor), texts, factor)
        numbers_note = ""
    else:
        slices = thicken(enlarge(cells, factor))
        numbers_note = "numbers left out: they take one channel and at most 1,024 weights" if numbers else ""
    if depth > 1:
        slices = np.stack([tile(kernel, columns=depth, gap=0) for kernel in slices])[:, None]
    return titled(
        tile(slices[:, 0], columns),
        title,
        _count_note(selection),
        non_finite_note(shown, "weights"),
        numbers_note,
        note,
        scale=_legend(channel, scale, float(limit.max(initial=0))),
    )


def check_options(channel: InputChannel, scale: Scale, max_kernels: int) -> None:
    """Raises ValueError if an argument of `kernel_grid` is invalid for every layer.

    Example:
        >>> check_options("auto", "layer", max_kernels=512)
    """
    if isinstance(channel, str):
        known = channel in ("auto", "mean", "rgb")
    else:
        known = isinstance(channel, (int, np.integer)) and channel >= 0
    if not known:
        raise ValueError(f'expected channel to be a number from 0, "auto", "mean" or "rgb", got {channel!r}')
    if scale not in ("layer", "kernel"):
        raise ValueError(f'expected scale to be "layer" or "kernel", got {scale!r}')
    whole_number(max_kernels, "max_kernels", at_least=1)


def check_channel(channel: InputChannel, inputs: int) -> None:
    """Raises ValueError if a layer with `inputs` input channels (per group) has no such channel.

    Example:
        >>> check_channel("rgb", 1)
        Traceback (most recent call last):
            ...
        ValueError: channel="rgb" needs three input channels, this layer has 1; use a number or "mean"
    """
    if channel == "rgb" and inputs != 3:
        raise ValueError(f'channel="rgb" needs three input channels, this layer has {inputs}; use a number or "mean"')
    if not isinstance(channel, str) and not 0 <= channel < inputs:
        raise ValueError(
            f"channel={channel} does not exist, this layer has {inputs} input channels (0 to {inputs - 1})"
        )


def select_kernels(weight: ArrayLike, channel: InputChannel = "auto", max_kernels: int = 512) -> KernelSelection:
    """Selects the part of a weight that `kernel_grid` shows with these arguments, which takes much less memory.

    Args:
        weight: As for `kernel_grid`.
        channel: As for `kernel_grid`.
        max_kernels: As for `kernel_grid`.

    Raises:
        TypeError: If `weight` is not a tensor or array, e.g. a layer.
        ValueError: If the shape of `weight` is not that of a convolution, or `channel` does not exist.

    Example:
        >>> selection = select_kernels(np.zeros((6, 3, 5, 5), dtype=np.float32), max_kernels=4)
        >>> selection.values.shape, selection.channel, selection.kernels
        ((4, 1, 5, 5, 3), 'rgb', 6)
    """
    if not hasattr(weight, "ndim"):
        raise TypeError(
            f"expected a weight of shape (out, in, *kernel), got a {type(weight).__name__}; "
            "for a layer, write kernel_grid(conv_weight(layer))"
        )
    if not 3 <= weight.ndim <= 5:
        shape = tuple(weight.shape)
        raise ValueError(f"expected a weight of shape (out, in, *kernel) with 1 to 3 kernel dimensions, got {shape}")
    kernels, inputs = weight.shape[:2]
    if channel == "auto":
        channel = "rgb" if inputs == 3 and weight.ndim == 4 else 0
    check_channel(channel, inputs)
    some = weight[:max_kernels]
    one = slice(None) if isinstance(channel, str) else slice(channel, channel + 1)
    values = _select_channel(to_array(some[:, one]), channel if isinstance(channel, str) else 0)
    return KernelSelection(values, channel, kernels, inputs, *_extremes(some))


def _extremes(weight: ArrayLike) -> tuple[Array, Array]:
    """Smallest and largest weight of each kernel, found where the weight is, since it may be large."""
    if isinstance(weight, np.ndarray):
        every = weight.reshape(len(weight), -1)
        return to_array(every.min(axis=1)), to_array(every.max(axis=1))
    weights = weight.detach().float().flatten(1)
    return to_array(weights.amin(1)), to_array(weights.amax(1))


def _select_channel(values: Array, channel: InputChannel) -> Array:
    """Returns (kernels, depth, height, width), plus a last dimension of 3 for RGB."""
    if values.ndim < 5:  # 2-D kernels become one slice, 1-D kernels one slice with one row
        values = values.reshape(*values.shape[:2], *[1] * (5 - values.ndim), *values.shape[2:])
    if channel == "rgb":
        return np.moveaxis(values, 1, -1)
    if channel == "mean":
        return channel_mean(values, axis=1)
    return values[:, int(channel)]


def _formatted(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−") if value else "0"


def _with_numbers(cells: Picture, texts: list[str], factor: int) -> Picture:
    """Writes a text into each weight of cells (kernels, depth, height, width, 3) with `factor` pixels per weight."""
    strip = cells.reshape(-1, *cells.shape[3:])  # stacked vertically, so that the weights are in the order of texts
    across, middle = cells.shape[3] // factor, factor // 2
    placed = [
        (index // across * factor + middle, index % across * factor + middle, text) for index, text in enumerate(texts)
    ]
    return write(strip, placed).reshape(cells.shape)


def _count_note(selection: KernelSelection) -> str:
    shown, kernels, inputs = len(selection.values), selection.kernels, selection.inputs
    count = f"{shown} of {kernels} kernels, {kernels - shown} left out" if shown < kernels else f"{kernels} kernels"
    of_inputs = {"rgb": "input channels as RGB", "mean": f"mean of {inputs} input channels"}
    return f"{count} · {of_inputs.get(str(selection.channel), f'input channel {selection.channel} of {inputs}')}"


def _legend(channel: int | str, scale: Scale, limit: float) -> Picture:
    low, high = (f"−{limit:.3g}", f"+{limit:.3g}") if scale == "layer" else ("−max", "+max of each kernel")
    if channel == "rgb":
        return colour_scale(np.linspace(0, 255, 255)[:, None].repeat(3, 1).astype(np.uint8), low, high)
    return colour_scale(DIVERGING, low, high)
