"""Normalisation layers: what they learn for each channel, and the running statistics that they keep."""

from contextlib import nullcontext

from torch import Tensor, nn
from torch.nn.utils import parametrize

from lightning_cnnviz.model.effective_weight import refreshed_weight
from lightning_cnnviz.model.evaluation import awaits_input, evaluating
from lightning_cnnviz.model.sharding import full_tensor

NORMALIZATIONS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.GroupNorm, nn.LayerNorm, nn.RMSNorm),
    *(nn.LazyBatchNorm1d, nn.LazyBatchNorm2d, nn.LazyBatchNorm3d),  # of the types above from their first pass on
    *(nn.LazyInstanceNorm1d, nn.LazyInstanceNorm2d, nn.LazyInstanceNorm3d),
)
QUANTITIES = ("weight", "bias", "running_mean", "running_var")


def normalizations(module: nn.Module) -> list[str]:
    """Returns the names of the normalisation layers that have weights or running statistics; shared ones once.

    Example:
        >>> normalizations(nn.Sequential(nn.BatchNorm2d(6), nn.InstanceNorm2d(6), nn.LayerNorm([6, 4])))
        ['0', '2']
    """
    return [
        name
        for name, layer in module.named_modules()
        if name and isinstance(layer, NORMALIZATIONS)
        if any(isinstance(getattr(layer, quantity, None), Tensor) for quantity in QUANTITIES)
    ]


def channel_values(layer: nn.Module) -> dict[str, Tensor]:
    """Returns what a normalisation layer has of `QUANTITIES`, as it applies them; empty if it is uninitialised.

    Where parameters are sharded, every rank must call this.

    Args:
        layer: One of `normalizations`.

    Example:
        >>> list(channel_values(nn.BatchNorm2d(6, affine=False))), list(channel_values(nn.RMSNorm(6)))
        (['running_mean', 'running_var'], ['weight'])
    """
    if awaits_input(layer):
        return {}
    with evaluating(layer) if parametrize.is_parametrized(layer) else nullcontext(layer) as source:
        found = {name: getattr(source, name, None) for name in QUANTITIES}
        if isinstance(found["weight"], Tensor):
            found["weight"] = refreshed_weight(layer, found["weight"])
        return {name: full_tensor(value.detach()) for name, value in found.items() if isinstance(value, Tensor)}
