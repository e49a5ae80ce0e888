"""Activation maximization by gradient ascent: finds the inputs that maximally excite the units of a layer."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from lightning_cnnviz.errors import whole_number
from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.hooks import add_hook
from lightning_cnnviz.model.outputs import first_tensor

Respond: TypeAlias = Callable[[Tensor], Tensor]
START_NOISE = 0.1
"""Noise of the initial image, in standard deviations of the samples: enough for neighbouring pixels to differ."""
EPSILON = 1e-12
"""Prevents division by zero for an all-zero gradient."""


@dataclass(frozen=True)
class Ascent:
    """Settings of the gradient ascent that maximizes the activation of a unit.

    Each step follows the gradient of the activation, blurred and divided by its root mean square, and decays slightly
    towards the mean of the samples. Step size and jitter fall linearly towards zero, so that the image converges.
    While an image has no gradient, its steps are random. Without blur, jitter and decay, images reach higher
    activations but are harder to interpret.

    Args:
        steps: Number of steps, at least 1.
        step_size: Size of the first step: root mean square over the image, in standard deviations of the samples.
        blur: Standard deviation in pixels of the Gaussian that smooths each gradient; 0 for none. Ignored for
            feature vectors.
        jitter: Maximum random shift of the image in each step, in pixels; 0 for none. Ignored for feature vectors.
        l2: Strength of the decay: at 1, a pixel whose gradient equals the image's root mean square converges to one
            standard deviation from the mean; 0 for none.
        seed: Seed of the initial image and the shifts.

    Raises:
        ValueError: If an argument is out of range.

    References:
        Erhan, Bengio, Courville and Vincent: Visualizing higher-layer features of a deep network (2009).
        Blur and decay: Yosinski et al., https://arxiv.org/abs/1506.06579.
        Jitter: Mordvintsev et al.: Inceptionism (2015).

    Example:
        >>> Ascent(steps=500, blur=0).in_words()
        '500 steps from 0.4 standard deviations · shifts up to 1 px · decay 0.3'
    """

    steps: int = 200
    step_size: float = 0.4
    blur: float = 1.0
    jitter: int = 1
    l2: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, minimum in (("steps", 1), ("jitter", 0), ("seed", None)):
            object.__setattr__(self, name, whole_number(getattr(self, name), name, at_least=minimum))
        if not 0 < self.step_size < math.inf:
            raise ValueError(f"expected step_size to be above 0, got {self.step_size!r}")
        for name in ("blur", "l2"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"expected {name} to be from 0, got {getattr(self, name)!r}")

    def in_words(self, places: bool = True) -> str:
        """Describes the settings for the caption of a picture; set `places` to False for feature vectors."""
        parts = [f"{self.steps} steps from {self.step_size:g} standard deviations"]
        parts += [f"gradient blurred by {self.blur:g} px"] if self.blur and places else []
        parts += [f"shifts up to {self.jitter} px"] if self.jitter and places else []
        parts += [f"decay {self.l2:g}"] if self.l2 else []
        return " · ".join(parts)


class Excitation(NamedTuple):
    """The images found for the units of a layer.

    Attributes:
        images: Model inputs of shape (units, *size), on the CPU.
        values: Activation of each unit for its image, averaged over a map; shape (units,), on the CPU.
        units: Indices of the units.
        total: Number of units in the layer.
        status: For each unit, `"ok"`; `"stalled at step n"` if its activation is no higher for the final image than
            for the initial one (n is the first step without a gradient, or else the last step); or `"diverged at step
            n"` if the activation or its gradient became non-finite, in which case the image of that step is kept.
        ascent: Settings of the gradient ascent.
    """

    images: Tensor
    values: Tensor
    units: list[int]
    total: int
    status: list[str]
    ascent: Ascent


def maximize(
    model: nn.Module,
    layer: str,
    samples: Tensor,
    *,
    units: int | Sequence[int] = 10,
    ascent: Ascent | None = None,
    batch_size: int = 32,
    channels_last: bool = False,
) -> Excitation:
    """Finds the images that maximally excite units of a layer, within the range of the given samples.

    All images start from the mean of the samples plus the same slight noise, so that the result for a unit does not
    depend on the other units. Mean, standard deviation and range are computed per channel. The model is left
    unchanged: training modes, buffers, random states, hooks and the gradients of its parameters; a compiled model
    runs uncompiled.

    Args:
        model: The model; called as `model(images)`.
        layer: A name from `named_modules`; append `.input` for the input of the layer. Its units are the features
            of (samples, features) or the channels of (samples, channels, *size).
        samples: Model inputs of shape (samples, ...) on the model's device, at least one.
        units: Number of units, starting from the first; or a list of unit indices.
        ascent: Settings of the gradient ascent. Default: `Ascent()`.
        batch_size: Number of images per forward pass.
        channels_last: Whether the model takes the channels of images last; `samples` have them first.

    Raises:
        ValueError: If `samples` are integers, there are no such units, or the layer did not run, or its output was
            not a floating-point tensor with one row per sample or had no gradient.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> maximize(net, "1", torch.rand(9, 1, 2, 2)).images.shape
        torch.Size([2, 1, 2, 2])
    """
    if not samples.is_floating_point():
        raise ValueError(
            f"expected floating-point inputs that can be changed little by little, got whole numbers: {samples.dtype}"
        )
    ascent = ascent or Ascent()
    with torch.inference_mode(False), evaluating(model, channels_last=channels_last) as copied:
        respond = _responses(copied, layer)
        total = respond(samples[:1].clone()).shape[1]
        if isinstance(units, Iterable):
            chosen = [int(unit) for unit in units]
        else:
            chosen = list(range(min(whole_number(units, "units"), total)))
        if not chosen or not all(0 <= unit < total for unit in chosen):
            raise ValueError(f"expected units of {layer} from 0 to {total - 1}, got {units}")
        starts = range(0, len(chosen), batch_size)
        parts = [_climb(respond, samples, chosen[start : start + batch_size], ascent) for start in starts]
    images, values, status = zip(*parts, strict=True)
    return Excitation(torch.cat(images), torch.cat(values), chosen, total, list(chain(*status)), ascent)


def _responses(model: nn.Module, layer: str) -> Respond:
    """Hooks a layer; returns a function from images to the activations of all its units, shape (images, units)."""
    captured: list[Tensor] = []

    def capture(value: Any) -> None:  # averages immediately, because an in-place layer may follow
        tensor = first_tensor(value)
        if tensor is not None and tensor.is_floating_point() and tensor.ndim:
            maps = tensor.reshape(len(tensor), -1, 1) if tensor.ndim <= 2 else tensor.flatten(2)
            captured.append(maps.mean(dim=2, dtype=torch.promote_types(tensor.dtype, torch.float32)))

    def respond(images: Tensor) -> Tensor:
        captured.clear()
        model(images.clone())  # which the model may change in place
        if not captured or len(captured[-1]) != len(images):
            raise ValueError(f"{layer} did not run or returned no floating-point tensor with one row per sample")
        return captured[-1]

    add_hook(model, layer, capture)
    return respond


def _climb(
    respond: Respond, samples: Tensor, units: Sequence[int], ascent: Ascent
) -> tuple[Tensor, Tensor, list[str]]:
    reference = samples.to(torch.promote_types(samples.dtype, torch.float32))  # half precision would lose small steps
    over = [dim for dim in range(reference.ndim) if dim != 1 or reference.ndim == 2]
    low, high = reference.amin(over, keepdim=True), reference.amax(over, keepdim=True)
    mean, std = reference.mean(over, keepdim=True), reference.std(over, correction=0, keepdim=True)
    spatial, column = list(range(2, reference.ndim)), (-1, *[1] * (reference.ndim - 1))
    smoothing = [_gaussian(reference.shape[dim], ascent.blur).to(reference) for dim in spatial] if ascent.blur else []
    generator = torch.Generator().manual_seed(ascent.seed)

    def noise() -> Tensor:
        return torch.randn(1, *reference.shape[1:], dtype=reference.dtype, generator=generator).to(reference.device)

    images = (mean + START_NOISE * std * noise()).clamp(low, high).repeat(len(units), *column[1:])

    def excite(shown: Tensor) -> Tensor:
        return respond(shown.to(samples.dtype))[range(len(units)), units]

    initial = excite(images)
    stalled_at, diverged_at = torch.zeros(2, len(units), dtype=torch.int, device=reference.device)
    for step in range(1, ascent.steps + 1):
        annealing = 1 - (step - 1) / ascent.steps
        reach = round(annealing * ascent.jitter)
        shifts = torch.randint(-reach, reach + 1, (len(spatial),), generator=generator).tolist()
        with torch.enable_grad():
            images.requires_grad_()
            excitation = excite(images.roll(shifts, spatial) if any(shifts) else images)
            gradient = _gradient(excitation, images)
        images = images.detach()
        flat = (gradient == 0).flatten(1).all(dim=1)
        gradient = torch.where(flat.view(column), noise(), gradient)
        with torch.autocast(images.device.type, enabled=False):
            for dim, kernel in zip(spatial, smoothing, strict=False):
                gradient = (gradient.movedim(dim, -1) @ kernel.T).movedim(-1, dim)
        rms = gradient.flatten(1).square().mean(dim=1).sqrt()
        stalled_at = torch.where((stalled_at == 0) & flat, step, stalled_at)
        diverged_at = torch.where((diverged_at == 0) & ~(excitation.isfinite() & rms.isfinite()), step, diverged_at)
        move = std * gradient / (rms + EPSILON).view(column) - ascent.l2 * (images - mean)
        moved = (images + annealing * ascent.step_size * move).clamp(low, high)
        images = torch.where((diverged_at == 0).view(column), moved, images)
    final = excite(images)
    diverged_at = torch.where((diverged_at == 0) & ~final.isfinite(), ascent.steps, diverged_at)
    status = [
        f"diverged at step {diverged}" if diverged else "ok" if rose else f"stalled at step {stalled or ascent.steps}"
        for diverged, rose, stalled in zip(
            diverged_at.tolist(), (final > initial).tolist(), stalled_at.tolist(), strict=True
        )
    ]
    return images.cpu(), final.cpu(), status


def _gradient(excitation: Tensor, images: Tensor) -> Tensor:
    found = torch.autograd.grad(excitation.sum(), images, allow_unused=True) if excitation.requires_grad else [None]
    if found[0] is None:
        raise ValueError(
            "the layer has no gradient with respect to the model's input; activation maximization is not possible"
        )
    return found[0]


def _gaussian(size: int, sigma: float) -> Tensor:
    """Returns the matrix that smooths a line of pixels; weights are renormalised at the ends."""
    position = torch.arange(size, dtype=torch.float64)
    weights = torch.exp(-(position - position[:, None]).square() / (2 * sigma**2))
    return weights / weights.sum(dim=1, keepdim=True)
