"""Evaluation passes through a copy of a user's model."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightning_cnnviz.model.contents import contents_of
from lightning_cnnviz.model.independent_copy import independent_copy, shared_memory
from lightning_cnnviz.model.sharding import is_sharded
from lightning_cnnviz.model.surroundings import surroundings_kept
from lightning_cnnviz.model.torch_internals import WritesRefused, filtered_hooks
from lightning_cnnviz.rng import isolated_rng


@contextmanager
def evaluating(module: nn.Module, *, channels_last: bool = False) -> Iterator[nn.Module]:
    """Context for passes of our own: an independent copy of a model in evaluation mode, without gradients.

    The model itself is not called (unless its parameters are sharded across ranks). On exit the random states are
    restored, and class attributes and globals that the pass has changed (see `surroundings_kept`); an operation that
    would write into memory that the copy shares with the model raises an error. Compiled parts run uncompiled and
    transformers without their fused fast path, since hooks reach neither compiled code nor fused attention.

    Args:
        module: The model.
        channels_last: Whether the model takes images with the channels last; the copy takes them first.

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
        if is_sharded(module):
            with _in_place(module):
                yield _taking_channels_first(module) if channels_last else module
            return
        contents = contents_of(module)
        with surroundings_kept(contents) as large, _nothing_logged():
            copied = independent_copy(module, contents)
            shared = [part for part in shared_memory(module, contents) if isinstance(part, Tensor)]
            with WritesRefused([*shared, *large]) if shared or large else nullcontext():
                copied.eval()  # and not a flag: layers prepare in it what evaluation needs
                yield _taking_channels_first(copied) if channels_last else copied


def _taking_channels_first(copied: nn.Module) -> nn.Module:
    copied.register_forward_pre_hook(lambda _, args: (args[0].permute(0, 2, 3, 1), *args[1:]), prepend=True)
    return copied


@contextmanager
def _in_place(module: nn.Module) -> Iterator[None]:
    """The model itself, where parameters are sharded and cannot be copied; modes, buffers and hooks are put back."""
    parts = list(module.modules())
    modes = [part.training for part in parts]
    hooks = [pair for part in parts for pair in filtered_hooks(part, lambda _: True)]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers() if not buffer.is_inference()]
    try:
        for part in parts:
            part.training = False
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode
        for present, before in hooks:
            present.clear()
            present.update(before)
        for buffer, value in buffers:
            buffer.copy_(value)


def awaits_input(module: nn.Module) -> bool:
    """Whether the model has lazy layers such as `nn.LazyLinear` that are not initialised yet.

    Example:
        >>> awaits_input(nn.LazyLinear(3)), awaits_input(nn.Linear(4, 3))
        (True, False)
    """
    return any(map(is_lazy, module.parameters())) or any(map(is_lazy, module.buffers()))


@contextmanager
def _nothing_logged() -> Iterator[None]:
    """Context in which `LightningModule.log`, called by `super()`, does not warn that a trainer is silent."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"You are trying to `self\.log\(\)`")
        yield


@contextmanager
def _unfused_attention() -> Iterator[None]:
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
