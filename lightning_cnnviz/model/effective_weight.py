"""The weight that a convolution's forward pass really applies, as far as that can be told from the layer."""

from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod

from lightning_cnnviz.model.layers import CONVOLUTIONS
from lightning_cnnviz.model.torch_internals import forward_pre_hooks


def refreshed_weight(layer: nn.Module, weight: Tensor) -> Tensor:
    """The weight that hooks of the layer compute before each forward pass, from the parameters as they are now.

    After `torch.nn.utils.prune`, and `weight_norm` and `spectral_norm` in their old form, `layer.weight` is what the
    last forward pass used, one optimizer step behind.

    Args:
        layer: The layer.
        weight: `layer.weight`, or what takes its place.

    Example:
        >>> import torch
        >>> from torch.nn.utils import prune
        >>> layer = prune.random_unstructured(nn.Linear(4, 3), "weight", 0.5)
        >>> torch.equal(refreshed_weight(layer, layer.weight), layer.weight_orig * layer.weight_mask)
        True
    """
    for hook in forward_pre_hooks(layer):
        computed = _computed(hook, layer)
        if computed is not None:
            weight = computed
    return weight


def is_transformed(layer: nn.Module) -> bool:
    """Whether a convolution has a forward pass of its own, which may transform the stored weight before using it.

    Example:
        >>> class Standardised(nn.Conv2d):
        ...     def forward(self, x):
        ...         return nn.functional.conv2d(x, self.weight - self.weight.mean())
        >>> is_transformed(Standardised(1, 6, 3)), is_transformed(nn.Conv2d(1, 6, 3))
        (True, False)
    """
    own = next((kind for kind in CONVOLUTIONS if isinstance(layer, kind)), None)
    names = ("forward", "_conv_forward")
    return own is None or any(getattr(type(layer), name, None) is not getattr(own, name, None) for name in names)


def weight_note(layer: nn.Module) -> str:
    """Says which weight a convolution's kernels are, if that is not simply the one that it stores.

    Example:
        >>> from torch.nn.utils import prune
        >>> layer = nn.Conv2d(1, 6, 3)
        >>> weight_note(prune.random_unstructured(layer, "weight", 0.5))
        'as the layer applies them: after pruning'
    """
    if is_transformed(layer):
        return "the stored weight; the layer has a forward pass of its own, which may transform it"
    hooks = forward_pre_hooks(layer)
    if any(isinstance(hook, BasePruningMethod) for hook in hooks):
        return "as the layer applies them: after pruning"
    if parametrize.is_parametrized(layer, "weight"):
        names = [type(part).__name__.lstrip("_") for part in layer.parametrizations["weight"]]  # type: ignore[index]
        return f"as the layer applies them: after {', '.join(names)}"
    names = [type(hook).__name__ for hook in hooks if type(hook).__name__ in ("WeightNorm", "SpectralNorm")]
    return f"as the layer applies them: after {', '.join(names)}" if names else ""


def linear_weight(layer: nn.Module) -> Tensor | None:
    """The weight that a linear layer applies; None if it has a forward pass or parametrizations of its own.

    Example:
        >>> linear_weight(nn.Linear(4, 3)).shape
        torch.Size([3, 4])
    """
    if type(layer) is not nn.Linear or layer.weight.is_complex():
        return None
    return refreshed_weight(layer, layer.weight.detach())


def _computed(hook: Any, layer: nn.Module) -> Tensor | None:
    if isinstance(hook, BasePruningMethod):
        pruned: Tensor = hook.apply_mask(layer)  # type: ignore[no-untyped-call]
        return pruned
    if type(hook).__name__ == "WeightNorm":
        normed: Tensor = hook.compute_weight(layer)
        return normed
    if type(hook).__name__ == "SpectralNorm":
        spectral: Tensor = hook.compute_weight(layer, do_power_iteration=False)
        return spectral
    return None
