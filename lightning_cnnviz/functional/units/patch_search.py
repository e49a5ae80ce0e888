"""Search for the patches of given samples that excite the channels of a layer most and least."""

from typing import Any

from torch import Tensor, nn

from lightning_cnnviz.data.colours import Colours
from lightning_cnnviz.functional.units.patch_cutting import BatchImages
from lightning_cnnviz.functional.units.patch_ranking import PatchRanking
from lightning_cnnviz.functional.units.patch_sheet import Patches
from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.hooks import add_hook
from lightning_cnnviz.model.outputs import first_tensor
from lightning_cnnviz.model.receptive_field import receptive_fields


def find_patches(
    model: nn.Module,
    inputs: Tensor,
    layer: str,
    *,
    classes: Tensor | None = None,
    patches: int = 4,
    channels: int = 8,
    batch_size: int = 64,
) -> Patches:
    """Finds the patches of samples that excite the channels of a layer most and least.

    A channel is as excited by a sample as its most excited unit, and as little as its least excited one. The patch is
    what this unit depends on, see `lightning_cnnviz.model.receptive_field.receptive_fields`. The model is left
    unchanged; a compiled one runs uncompiled.

    Args:
        model: Called as `model(inputs)`.
        inputs: Shape (samples, channels, height, width), on the model's device.
        layer: A name from `named_modules`, of a layer that returns maps (samples, channels, height, width).
        classes: Class indices, shape (samples,).
        patches: Number of patches of each kind for each channel.
        channels: Maximum number of channels, the first ones.
        batch_size: Number of samples per forward pass.

    Raises:
        ValueError: If the inputs are no images, or the layer returns no maps.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5))
        >>> found = find_patches(net, torch.rand(20, 1, 28, 28), "3", patches=3)
        >>> found.values.shape, found.images.shape, found.boxes[0, 0].shape
        ((8, 6), (8, 6, 1, 14, 14), (4,))
    """
    fields = receptive_fields(model, inputs, [layer])
    if layer not in fields:
        raise ValueError(f"expected {layer} to return maps of shape (samples, channels, height, width)")
    ranking, kept = PatchRanking(patches, channels), list[Any]()
    with evaluating(model) as copied:
        add_hook(copied, layer, lambda result: kept.append(ranking.stage(_maps(result))))
        for first in range(0, len(inputs), batch_size):
            chunk = inputs[first : first + batch_size]
            some = None if classes is None else classes[first : first + batch_size]
            copied(chunk.clone())  # which the model may change in place
            ranking.commit(kept[-1], BatchImages(chunk), some, fields[layer], first)
            kept.clear()
    found = ranking.patches()
    if found is None:
        raise ValueError("expected at least one sample, got none")
    return found.in_colours(Colours.of(inputs))


def _maps(result: Any) -> Tensor:
    tensor = first_tensor(result)
    assert tensor is not None
    return tensor
