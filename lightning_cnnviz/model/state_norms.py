"""Norms of a model's weights and buffers, by which two states of it are told apart."""

import torch
from torch import Tensor, nn


def norms_of_state(module: nn.Module) -> Tensor:
    """The norms of all weights and floating-point buffers, on the CPU.

    Example:
        >>> net = nn.Linear(1, 1, bias=False)
        >>> _ = net.weight.data.fill_(-3)
        >>> norms_of_state(net)
        tensor([3.])
    """
    state = [*module.parameters(), *module.buffers()]
    parts = [part.detach() for part in state if part.is_floating_point() and part.numel()]
    norms = [torch.linalg.vector_norm(part, dtype=torch.promote_types(part.dtype, torch.float32)) for part in parts]
    return torch.stack([norm.float().to(norms[0].device) for norm in norms]).cpu() if norms else torch.zeros(0)
