"""What the kernels of a convolution make of one input channel."""

from typing import TypeAlias

import torch
from torch import nn

from lightning_cnnviz.capture import evaluating
from lightning_cnnviz.functional.kernels import check_channel

PlainConv: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d


def filter_responses(layer: PlainConv, inputs: torch.Tensor, channel: int = 0) -> torch.Tensor:
    """Filters one input channel with its slice of every kernel: what the channel adds to the layer's output.

    A cross-correlation without bias, with the layer's own stride, padding, dilation and groups; of a grouped
    convolution the channel of each group. The sum over all channels, and the bias, are the layer's output.

    The layer itself runs, in evaluation mode: on the channel alone and on zeros, and the difference is taken. Derived
    convolutions that standardise their weights or pad in a way of their own are thus filtered with as they do it.

    Args:
        layer: A convolution that is not transposed.
        inputs: What the layer receives, shape (samples, in_channels, *size).
        channel: Input channel (per group), from 0.

    Returns:
        Shape (samples, out_channels, *output size).

    Raises:
        TypeError: If the layer is no such convolution.
        ValueError: If there is no such channel or `inputs` do not fit the layer.

    Example:
        >>> edges = nn.Conv2d(3, 4, kernel_size=5, stride=2)
        >>> filter_responses(edges, torch.rand(1, 3, 28, 28), channel=2).shape
        torch.Size([1, 4, 12, 12])
    """
    if not isinstance(layer, PlainConv):
        raise TypeError(f"expected a convolution (torch.nn.Conv1d, Conv2d or Conv3d), got {type(layer).__name__}")
    per_group = layer.in_channels // layer.groups
    check_channel(channel, per_group)
    weight = layer.weight.detach()
    if inputs.ndim != weight.ndim or inputs.shape[1] != layer.in_channels:
        raise ValueError(
            f"expected inputs of shape (samples, {layer.in_channels}, *size) with {weight.ndim - 2} sizes, "
            f"got {tuple(inputs.shape)}"
        )
    inputs = inputs.detach().to(weight)
    zeros = torch.zeros_like(inputs)
    alone = zeros.clone()
    alone[:, channel::per_group] = inputs[:, channel::per_group]
    with evaluating(layer), torch.compiler.set_stance("force_eager"):
        responses: torch.Tensor = layer(alone) - layer(zeros)
    return responses
