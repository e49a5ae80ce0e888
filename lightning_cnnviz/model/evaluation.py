"""Evaluation passes through a user's model that leave it unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

from lightning_cnnviz.model.hooks import takes_hooks
from lightning_cnnviz.model.torch_internals import own_buffers, set_own_buffers, write_count
from lightning_cnnviz.rng import isolated_rng

in_own_pass: ContextVar[bool] = ContextVar("in_own_pass", default=False)
"""Whether the running forward pass is one of this package's, whose outputs must not be captured as the model's."""


@contextmanager
def evaluating(module: nn.Module) -> Iterator[list[RemovableHandle]]:
    """Context in evaluation mode without gradients; on exit the model is restored.

    Each submodule's training mode, the buffers and the random states are restored. Compiled parts run uncompiled and
    transformers without their fused fast path, since hooks reach neither compiled code nor fused attention.

    Yields:
        A list; hooks that are added to it are removed on exit.

    Raises:
        ValueError: If a lazy layer is uninitialised: this pass must not be the one that initialises it.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.Dropout())
        >>> with evaluating(net):
        ...     net.training, net(torch.ones(1, 4)).requires_grad
        (False, False)
        >>> net.training
        True
    """
    if awaits_input(module):
        raise ValueError("expected initialised layers, got lazy ones; run a batch through the model first")
    modules = list(module.modules())
    modes = [submodule.training for submodule in modules]
    registered = [own_buffers(part) if takes_hooks(part) else {} for part in modules]  # scripted: never change
    # Tensors created in inference mode, in which Lightning validates, cannot be written to outside of it.
    changeable = [buffer for buffer in module.buffers() if not buffer.is_inference()]
    values = [(buffer, write_count(buffer), buffer.detach().clone()) for buffer in changeable]
    hooks: list[RemovableHandle] = []
    token = in_own_pass.set(True)
    try:
        with isolated_rng(), torch.no_grad(), torch.compiler.set_stance("force_eager"), _unfused_attention():
            for submodule in modules:  # not `.eval()` and `.train()`: users override them to keep parts frozen
                submodule.training = False
            yield hooks
    finally:
        for hook in hooks:
            hook.remove()
        in_own_pass.reset(token)
        for submodule, mode, buffers in zip(modules, modes, registered, strict=True):
            submodule.training = mode
            if buffers:
                set_own_buffers(submodule, buffers)
        with torch.no_grad():
            for buffer, count, value in values:
                if write_count(buffer) != count:
                    buffer.resize_(value.shape).copy_(value)


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
