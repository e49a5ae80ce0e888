"""A network whose class scores are to be explained, and the layer at which Grad-CAM looks."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_cnnviz.functional.saliency.places import Places
from lightning_cnnviz.model.hooks import add_hook, listed
from lightning_cnnviz.model.layers import convolutions
from lightning_cnnviz.model.outputs import first_tensor, scores_in


class Explained:
    """A copy of a model, see `evaluating`, with the samples whose scores are explained.

    Args:
        copied: The copy.
        inputs: Shape (samples, ...), on its device.
        scores: Name of the layer that outputs the class scores. Default: the model itself.

    Raises:
        ValueError: When it runs, if its output holds no class scores.

    Example:
        >>> Explained(nn.Linear(4, 1), torch.rand(5, 4)).scores.shape
        torch.Size([5, 2])
    """

    def __init__(self, copied: nn.Module, inputs: Tensor, scores: str | None = None) -> None:
        self.copied = copied
        self.dtype = inputs.dtype
        wide = torch.promote_types(inputs.dtype, torch.float32)  # half precision would lose small differences
        self.inputs = (inputs.to(wide) if inputs.is_floating_point() else inputs).clone()
        self.alive = False
        """Whether the layer that `placed` looks at has returned anything but zeros."""
        self._heard: list[Any] = []
        self._named = scores
        if scores is not None:
            add_hook(copied, scores, self._heard.append)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the class scores, shape (samples, classes).

        Of a single score, which is that of the second of two classes, the first one's is the negative.
        """
        self._heard.clear()
        # A copy, since the model may change it in place.
        output = self.copied(inputs.to(self.dtype) if inputs.dtype != self.dtype else inputs.clone())
        if self._named is not None:
            output = self._heard.pop() if self._heard else None
        scores = scores_in(output, len(inputs))
        if scores is None:
            raise ValueError(
                "expected class scores, shape (samples, classes), got none in the model's output; name the layer that "
                "returns them: scores=..."
            )
        scores = scores.float() if scores.dtype != torch.float64 else scores
        single = scores.ndim == 1 or scores.shape[1] == 1
        return torch.stack([-scores.reshape(-1), scores.reshape(-1)], dim=1) if single else scores

    @cached_property
    def scores(self) -> Tensor:
        """The samples' class scores, shape (samples, classes)."""
        with torch.no_grad():
            return self.forward(self.inputs)

    @contextmanager
    def placed(self, layer: str) -> Iterator[Places]:
        """Context in which the output of a layer goes through the maps of its places."""
        places = Places(layer, self.inputs.shape[2:])
        self.alive = False
        names = [name for name, _ in self.copied.named_modules()]
        if layer not in names:
            raise ValueError(f"the model has no layer {layer!r}; its layers are: {listed(names[1:])}")
        watched = places.maps.register_forward_hook(self._watch)
        handle = self.copied.get_submodule(layer).register_forward_hook(partial(_through, places))
        try:
            yield places
        finally:
            handle.remove()
            watched.remove()

    def _watch(self, _: nn.Module, args: Any, maps: Tensor) -> None:
        self.alive |= bool(maps.any())


def _through(places: Places, _: nn.Module, args: Any, output: Any) -> Any:
    """Takes the place of a layer's output, or of the first tensor of the tuple that it returns."""
    if isinstance(output, Tensor):
        return places(output)
    if type(output) in (tuple, list) and output and isinstance(output[0], Tensor):
        return type(output)([places(output[0]), *output[1:]])
    raise ValueError(f"expected {places.layer} to return a tensor, got {type(output).__name__}")


def saliency_layer(explained: Explained) -> str:
    """Returns the layer at which Grad-CAM looks by default: the last convolution on which a class score depends.

    If that is the only one, as where it cuts the image into patches, it is the last `nn.LayerNorm` over patches
    on which one depends: of a vision transformer the one before its last attention.

    Args:
        explained: The model and a few samples.

    Raises:
        ValueError: If no score depends on the places of such a layer.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(96, 2))
        >>> saliency_layer(Explained(net, torch.rand(2, 1, 8, 8)))
        '2'
    """
    convolved = convolutions(explained.copied)
    norms = [name for name, part in explained.copied.named_modules() if name and isinstance(part, nn.LayerNorm)]
    used = _used(explained, [*convolved, *norms])
    convolved, norms = ([name for name in used if name in kind] for kind in (convolved, norms))
    found = convolved if len(convolved) > 1 else norms or convolved
    if not found:
        raise ValueError(
            "Grad-CAM needs a convolution on which a class score depends, got none; name a layer that returns maps or "
            "patch tokens with layers=[...], or use integrated gradients or occlusion"
        )
    return found[-1]


def _used(explained: Explained, layers: list[str]) -> list[str]:
    """Those layers, in the order in which they ran, on whose places a score of the samples depends."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, value: Any) -> None:
        tensor = first_tensor(value)
        if tensor is not None and tensor.requires_grad:
            seen.pop(name, None)  # of several runs the last
            seen[name] = tensor

    handles = [add_hook(explained.copied, name, partial(keep, name)) for name in layers]
    inputs = explained.inputs[:2]
    try:
        with torch.enable_grad():
            best = explained.forward(inputs.clone().requires_grad_(inputs.is_floating_point())).amax(dim=1).sum()
    finally:
        for handle in handles:
            handle.remove()
    if not seen or not best.requires_grad:
        return []
    gradients = torch.autograd.grad(best, list(seen.values()), allow_unused=True)
    used = {name: gradient for name, gradient in zip(seen, gradients, strict=True) if gradient is not None}
    return [name for name, gradient in used.items() if _reaches_places(explained, name, gradient)]


def _reaches_places(explained: Explained, name: str, gradient: Tensor) -> bool:
    """Whether the gradient with respect to a layer is not zero everywhere in its places."""
    places, found = Places(name, explained.inputs.shape[2:]), list[bool]()
    places.maps.register_forward_hook(lambda _, args, maps: found.append(bool(maps.any())))
    try:
        places(gradient)
    except ValueError:
        return False
    return found == [True]
