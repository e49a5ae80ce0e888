"""Attributions: what each place of an input adds to a class's score. Requires captum."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from lightning_cnnviz.errors import whole_number
from lightning_cnnviz.functional.saliency.explained import Explained, saliency_layer
from lightning_cnnviz.model.evaluation import evaluating

Method: TypeAlias = Literal["grad_cam", "integrated_gradients", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)
WINDOWS_PER_SIDE = 4
"""By default an occluded window is so many times in each side of an input."""


def require_captum() -> None:
    """Checks that captum is installed.

    Raises:
        ImportError: If it is not; the message explains how to install it.
    """
    if find_spec("captum") is None:
        raise ImportError('saliency needs captum, which is not installed: pip install "lightning-cnnviz[saliency]"')


@dataclass(frozen=True)
class Attribution:
    """How saliency is computed.

    Args:
        method: `"grad_cam"`: channels of a layer, weighted by the mean gradient of the score with respect to each,
            and what is negative cut off; the places are those of the layer. `"integrated_gradients"`: the gradient
            of the score with respect to the input, averaged on a straight way from `baseline`, times the difference
            from it, summed over channels. `"occlusion"`: by how much the score falls if a window is set to `baseline`,
            averaged over all windows that cover a pixel.
        steps: Points on the way of integrated gradients.
        window: Side of an occluded window in pixels; half of it is the step between windows. Default: a quarter of
            each side of the input.
        baseline: What stands for nothing, in the inputs' own units: `"mean"`, the mean of all given inputs in
            each channel, or a number.
        batch_size: Maximum number of inputs in a pass.

    Raises:
        ValueError: If an argument is out of range.

    References:
        Selvaraju et al.: Grad-CAM, https://arxiv.org/abs/1610.02391.
        Sundararajan, Taly and Yan: Axiomatic attribution for deep networks, https://arxiv.org/abs/1703.01365.
        Zeiler and Fergus: Visualizing and understanding convolutional networks, https://arxiv.org/abs/1311.2901.

    Example:
        >>> Attribution("occlusion", window=5).signed, Attribution().signed
        (True, False)
    """

    method: Method = "grad_cam"
    steps: int = 32
    window: int | None = None
    baseline: float | Literal["mean"] = "mean"
    batch_size: int = 64

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"expected method to be one of {', '.join(METHODS)}, got {self.method!r}")
        for name in ("steps", "batch_size", *([] if self.window is None else ["window"])):
            object.__setattr__(self, name, whole_number(getattr(self, name), name, at_least=1))
        number = isinstance(self.baseline, (int, float)) and not isinstance(self.baseline, bool)
        if self.baseline != "mean" and not number:
            raise ValueError(f'expected baseline to be "mean" or a number, got {self.baseline!r}')

    @property
    def signed(self) -> bool:
        """Whether places may also speak against a class."""
        return self.method != "grad_cam"

    def in_words(self, layer: str | None) -> str:
        """Describes the method for the caption of a picture."""
        if self.method == "grad_cam":
            return f"Grad-CAM at {layer}"
        baseline = "the mean of the samples" if self.baseline == "mean" else f"{self.baseline:g}"
        if self.method == "integrated_gradients":
            return f"integrated gradients from {baseline} in {self.steps} steps"
        window = "a quarter of each side" if self.window is None else f"{self.window} px"
        return f"occlusion by {baseline} in windows of {window}"


def attribute(
    model: nn.Module,
    inputs: Tensor,
    classes: Tensor | Sequence[int],
    attribution: Attribution | None = None,
    *,
    layer: str | None = None,
    scores: str | None = None,
) -> Tensor:
    """Computes, for each input, what its places add to the score of a class.

    The model is left unchanged, as in `record`; a compiled one runs uncompiled, and frozen weights are no hindrance.

    Args:
        model: The model; called as `model(inputs)`.
        inputs: Shape (samples, channels, *size) or (samples, features), on the model's device.
        classes: A class index for each input.
        attribution: The method and its settings. Default: `Attribution()`, Grad-CAM.
        layer: Name of the layer for Grad-CAM, whose output is maps or patch tokens. Default: see `saliency_layer`.
        scores: Name of the layer that outputs the class scores. Default: the model itself.

    Returns:
        float32 on the CPU. For Grad-CAM of shape (samples, *size of the layer's maps), from 0; otherwise (samples,
        *size) or (samples, features), positive where something speaks for the class, negative where against it.

    Raises:
        ImportError: If captum is not installed.
        ValueError: If there is no such class or layer, the layer has no places, or its score no gradient there.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
        >>> attribute(net, torch.rand(5, 1, 8, 8), [0, 1, 1, 0, 1]).shape
        torch.Size([5, 6, 6])
    """
    with torch.inference_mode(False), evaluating(model) as copied:
        explained = Explained(copied, inputs, scores)
        attribution = attribution or Attribution()
        if attribution.method == "grad_cam" and layer is None:
            layer = saliency_layer(explained)
        return attributions(explained, range(len(inputs)), classes, attribution, layer)


def attributions(
    explained: Explained,
    samples: Sequence[int],
    classes: Tensor | Sequence[int],
    attribution: Attribution,
    layer: str | None = None,
) -> Tensor:
    """As `attribute`, of a copy of a model and some of its samples, one map for each pair of a sample and a class.

    Args:
        explained: The copy and all of its samples.
        samples: Index of a sample, for each map.
        classes: Index of a class, for each map.
        attribution: The method and its settings.
        layer: For Grad-CAM.
    """
    require_captum()
    inputs = explained.inputs[list(samples)]
    targets = torch.as_tensor(classes, device=inputs.device)
    count = explained.scores.shape[1]
    if len(targets) != len(inputs) or not ((targets >= 0) & (targets < count)).all():
        raise ValueError(f"expected a class from 0 to {count - 1} for each input, got {targets.tolist()}")
    if attribution.method != "grad_cam" and not inputs.is_floating_point():
        raise ValueError(f"{attribution.method} needs floating-point inputs, got whole numbers: {inputs.dtype}")
    if attribution.method == "grad_cam":
        assert layer is not None
        maps = _grad_cam(explained, layer, inputs, targets, attribution)
    elif attribution.method == "integrated_gradients":
        maps = _integrated_gradients(explained, inputs, targets, attribution)
    else:
        maps = _occlusion(explained, inputs, targets, attribution)
    return maps.detach().float().cpu()


def _grad_cam(explained: Explained, layer: str, inputs: Tensor, targets: Tensor, attribution: Attribution) -> Tensor:
    from captum.attr import LayerGradCam

    with explained.placed(layer) as places:
        method = LayerGradCam(explained.forward, places.maps)
        try:
            size = attribution.batch_size
            chunks = zip(torch.split(inputs, size), torch.split(targets, size), strict=True)
            parts = [method.attribute(_leaf(chunk), target=target)[:, 0] for chunk, target in chunks]
        except (AssertionError, RuntimeError) as error:
            if "not obtain any outputs" in str(error):
                raise ValueError(f"{layer} did not run") from error
            if "require grad" in str(error) or "not have been used" in str(error):
                raise ValueError(f"the class scores have no gradient with respect to {layer}") from error
            raise
    maps: Tensor = torch.cat(parts)
    if explained.alive and not maps.any():
        raise ValueError(f"no class score depends on the places of {layer}; name an earlier layer")
    return maps.clamp(min=0)


def _integrated_gradients(explained: Explained, inputs: Tensor, targets: Tensor, attribution: Attribution) -> Tensor:
    from captum.attr import IntegratedGradients

    found: Tensor = IntegratedGradients(explained.forward).attribute(
        _leaf(inputs),
        baselines=_baseline(explained, attribution),
        target=targets,
        n_steps=attribution.steps,
        internal_batch_size=max(attribution.batch_size, len(inputs)),
    )
    return found if found.ndim == 2 else found.sum(dim=1)


def _occlusion(explained: Explained, inputs: Tensor, targets: Tensor, attribution: Attribution) -> Tensor:
    from captum.attr import Occlusion

    size = inputs.shape[2:] or inputs.shape[1:]
    default = [max(1, round(side / WINDOWS_PER_SIDE)) for side in size]
    window = default if attribution.window is None else [min(attribution.window, side) for side in size]
    strides = [max(1, side // 2) for side in window]
    over_channels = [inputs.shape[1]] if inputs.ndim > 2 else []
    found: Tensor = Occlusion(explained.forward).attribute(
        inputs,
        sliding_window_shapes=(*over_channels, *window),
        strides=(*over_channels, *strides),
        baselines=_baseline(explained, attribution),
        target=targets,
        perturbations_per_eval=max(1, attribution.batch_size // len(inputs)),
    )
    return found if found.ndim == 2 else found[:, 0]  # a window is in all channels


def _baseline(explained: Explained, attribution: Attribution) -> Any:
    """The baseline as captum takes it: shape (1, channels, *size)."""
    inputs = explained.inputs
    if attribution.baseline != "mean":
        return torch.full_like(inputs[:1], attribution.baseline)
    over = [dim for dim in range(inputs.ndim) if dim != 1]
    return inputs.mean(dim=over, keepdim=True).expand_as(inputs[:1])


def _leaf(inputs: Tensor) -> Tensor:
    """Inputs with a gradient, so that frozen weights are no hindrance."""
    return inputs.detach().clone().requires_grad_() if inputs.is_floating_point() else inputs
