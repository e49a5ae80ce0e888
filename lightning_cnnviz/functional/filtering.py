"""Responses of a convolution's kernels to a single input channel."""

from typing import TypeAlias

import torch
from torch import nn

from lightning_cnnviz.functional.kernels import check_channel
from lightning_cnnviz.model.evaluation import evaluating

PlainConv: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d


def filter_responses(layer: PlainConv, inputs: torch.Tensor, channel: int = 0) -> torch.Tensor:
    """Filters one input channel with its slice of every kernel: the channel's contribution to the layer's output.

    This is a cross-correlation without bias, with the layer's own stride, padding, dilation and groups; for a grouped
    convolution, the channel is taken from every group. Summing over all channels and adding the bias gives the
    layer's output.

    The responses are the difference between the layer's outputs for the channel alone and for zeros, in evaluation
    mode. Subclasses that standardise their weights or use custom padding are therefore handled as well.

    Args:
        layer: A convolution that is not transposed.
        inputs: Inputs of the layer, shape (samples, in_channels, *size).
        channel: Index of the input channel (within its group).

    Returns:
        Shape (samples, out_channels, *output_size).

    Raises:
        TypeError: If `layer` is not such a convolution.
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
            f"expected inputs of shape (samples, {layer.in_channels}, *size) "
            f"with {weight.ndim - 2} spatial dimensions, got {tuple(inputs.shape)}"
        )
    inputs = inputs.detach().to(weight)
    zeros = torch.zeros_like(inputs)
    alone = zeros.clone()
    alone[:, channel::per_group] = inputs[:, channel::per_group]
    with evaluating(layer) as copied:
        responses: torch.Tensor = copied(alone) - copied(zeros)
    return responses
