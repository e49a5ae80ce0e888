"""Evaluation passes through a copy of a user's model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from lightning_cnnviz.model.independent_copy import independent_copy
from lightning_cnnviz.rng import isolated_rng


@contextmanager
def evaluating(module: nn.Module) -> Iterator[nn.Module]:
    """Context for passes of our own: an independent copy of a model in evaluation mode, without gradients.

    The model itself is never called, and the random states are restored on exit. Compiled parts run uncompiled and
    transformers without their fused fast path, since hooks reach neither compiled code nor fused attention.

    Yields:
        The copy, see `independent_copy`; hooks may be left on it.

    Raises:
        ValueError: If a lazy layer is uninitialised: this pass must not be the one that initialises it.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.Dropout())
        >>> with evaluating(net) as copied:
        ...     copied.training, copied(torch.ones(1, 4)).requires_grad
        (False, False)
        >>> net.training
        True
    """
    if awaits_input(module):
        raise ValueError("expected initialised layers, got lazy ones; run a batch through the model first")
    with isolated_rng(), torch.no_grad(), torch.compiler.set_stance("force_eager"), _unfused_attention():
        copied = independent_copy(module)
        copied.eval()  # and not a flag: layers prepare in it what evaluation needs
        yield copied


def awaits_input(module: nn.Module) -> bool:
    """Whether the model has lazy layers such as `nn.LazyLinear` that are not initialised yet.

    Example:
        >>> awaits_input(nn.LazyLinear(3)), awaits_input(nn.Linear(4, 3))
        (True, False)
    """
    return any(map(is_lazy, module.parameters())) or any(map(is_lazy, module.buffers()))


@contextmanager
def _unfused_attention() -> Iterator[None]:
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
