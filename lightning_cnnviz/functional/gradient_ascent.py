"""The inputs that excite the units of a layer most, found by gradient ascent."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from lightning_cnnviz.capture import evaluating, first_tensor, listen, unfused_attention

Respond: TypeAlias = Callable[[Tensor], Tensor]
START_NOISE = 0.1
"""Of the first image, in standard deviations of the samples: enough for neighbouring pixels to differ."""
TINY = 1e-12
"""Keeps a gradient of zero from being divided by zero."""


@dataclass(frozen=True)
class Ascent:
    """How an image is changed, step by step, so that it excites a unit more.

    A step goes along the gradient of the excitation, blurred and divided by its root mean square, and a little back
    to the samples' mean. Its length, and that of the shifts, falls linearly towards zero, so that the image comes to
    rest. An image without any gradient goes at random until it has one. Without blur, jitter and decay images excite
    more, but tell people less.

    Reference: Erhan, Bengio, Courville and Vincent, "Visualizing higher-layer features of a deep network" (2009);
    blur and decay after Yosinski et al., https://arxiv.org/abs/1506.06579, jitter after Mordvintsev et al.,
    "Inceptionism" (2015).

    Args:
        steps: How many, from 1.
        step_size: Of the first step: root mean square over the image, in standard deviations of the samples.
        blur: Standard deviation in pixels of the Gaussian that smooths each gradient; 0 for none. Not in vectors.
        jitter: Pixels by which the image is shifted at most, at random, for each step; 0 for none. Not in vectors.
        l2: Decay: at 1, a pixel whose gradient is the image's root mean square comes to rest one standard
            deviation from the mean; 0 for none.
        seed: Of the first image and the shifts.

    Raises:
        ValueError: If a number is out of its range.

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
        for name, least in (("steps", 1), ("jitter", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"expected {name} to be a whole number from {least}, got {value!r}")
        if not 0 < self.step_size < math.inf:
            raise ValueError(f"expected step_size to be above 0, got {self.step_size!r}")
        for name in ("blur", "l2"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"expected {name} to be from 0, got {getattr(self, name)!r}")

    def in_words(self, places: bool = True) -> str:
        """What a picture says of it; without places, in vectors, nothing is blurred or shifted."""
        parts = [f"{self.steps} steps from {self.step_size:g} standard deviations"]
        parts += [f"gradient blurred by {self.blur:g} px"] if self.blur and places else []
        parts += [f"shifts up to {self.jitter} px"] if self.jitter and places else []
        parts += [f"decay {self.l2:g}"] if self.l2 else []
        return " · ".join(parts)


class Excitation(NamedTuple):
    """What excites units of a layer most.

    Attributes:
        images: Shape (units, *size), as the model takes them, on the CPU.
        values: What each unit gives for its image, the mean where that is a map; shape (units,), on the CPU.
        units: Numbers of the units, from 0.
        total: How many units the layer has.
        status: For each unit `"ok"`; `"stalled at step n"` if its last image excites it no more than its first (n
            is the first step without a gradient, or else the last step); or `"diverged at step n"` if the
            excitation or its gradient was not finite, and the image stays as it was then.
        ascent: How the images were found.
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
) -> Excitation:
    """Finds for units of a layer the images that excite them most, within the range of some samples.

    All start from the same image, the samples' mean with a little noise, so that what is found for a unit does not
    depend on which others are asked for. Mean, deviation and range are taken channel by channel. The model is left
    as it was: modes, buffers, random states, hooks and the gradients of its parameters; a compiled one runs
    uncompiled.

    Args:
        model: The model; called as `model(images)`.
        layer: A name as in `named_modules`; with `.input` behind it, what the layer receives. Its units are the
            features of (samples, features) or the channels of (samples, channels, *size).
        samples: Shape (samples, ...), as the model takes them and on its device; at least one.
        units: How many, the first ones; or the numbers of those wanted, from 0.
        ascent: How to climb. Default: `Ascent()`.
        batch_size: Images that are passed at once.

    Raises:
        ValueError: If `samples` are whole numbers, there are no such units, or the layer did not run, gave no
            floating-point tensor with one row per sample, or one without a gradient.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> maximize(net, "1", torch.rand(9, 1, 2, 2)).images.shape
        torch.Size([2, 1, 2, 2])
    """
    if not samples.is_floating_point():
        raise ValueError(f"expected inputs that can be changed little by little, got whole numbers: {samples.dtype}")
    ascent = ascent or Ascent()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(evaluating(model))
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(unfused_attention())
        respond = stack.enter_context(_responses(model, layer))
        total = respond(samples[:1].clone()).shape[1]
        chosen = list(range(min(units, total))) if isinstance(units, int) else list(units)
        if not chosen or not all(0 <= unit < total for unit in chosen):
            raise ValueError(f"expected units of {layer} from 0 to {total - 1}, got {units}")
        starts = range(0, len(chosen), batch_size)
        parts = [_climb(respond, samples, chosen[start : start + batch_size], ascent) for start in starts]
    images, values, status = zip(*parts, strict=True)
    return Excitation(torch.cat(images), torch.cat(values), chosen, total, list(chain(*status)), ascent)


@contextmanager
def _responses(model: nn.Module, layer: str) -> Iterator[Respond]:
    """While it lasts, gives a function from images to what each unit gives for them, shape (images, units)."""
    heard: list[Tensor] = []

    def hear(value: Any) -> None:  # the mean is taken at once: an in-place layer may follow
        tensor = first_tensor(value)
        if tensor is not None and tensor.is_floating_point() and tensor.ndim:
            maps = tensor.reshape(len(tensor), -1, 1) if tensor.ndim <= 2 else tensor.flatten(2)
            heard.append(maps.mean(dim=2, dtype=torch.promote_types(tensor.dtype, torch.float32)))

    def respond(images: Tensor) -> Tensor:
        heard.clear()
        model(images)
        if not heard or len(heard[-1]) != len(images):
            raise ValueError(f"{layer} did not run or gave no floating-point tensor with one row per sample")
        return heard[-1]

    hook = listen(model, layer, hear)
    try:
        yield respond
    finally:
        hook.remove()


def _climb(
    respond: Respond, samples: Tensor, units: Sequence[int], ascent: Ascent
) -> tuple[Tensor, Tensor, list[str]]:
    around = samples.to(torch.promote_types(samples.dtype, torch.float32))  # half precision loses small steps
    over = [dim for dim in range(around.ndim) if dim != 1 or around.ndim == 2]
    low, high = around.amin(over, keepdim=True), around.amax(over, keepdim=True)
    mean, std = around.mean(over, keepdim=True), around.std(over, correction=0, keepdim=True)
    places, column = list(range(2, around.ndim)), (-1, *[1] * (around.ndim - 1))
    smoothing = [_gaussian(around.shape[dim], ascent.blur).to(around) for dim in places] if ascent.blur else []
    generator = torch.Generator().manual_seed(ascent.seed)

    def noise() -> Tensor:
        return torch.randn(1, *around.shape[1:], dtype=around.dtype, generator=generator).to(around.device)

    images = (mean + START_NOISE * std * noise()).clamp(low, high).repeat(len(units), *column[1:])

    def excite(shown: Tensor) -> Tensor:
        return respond(shown.to(samples.dtype))[range(len(units)), units]

    first = excite(images)
    flat_at, broken_at = torch.zeros(2, len(units), dtype=torch.int, device=around.device)
    for step in range(1, ascent.steps + 1):
        unrest = 1 - (step - 1) / ascent.steps
        reach = round(unrest * ascent.jitter)
        shifts = torch.randint(-reach, reach + 1, (len(places),), generator=generator).tolist()
        with torch.enable_grad():
            images.requires_grad_()
            excitation = excite(images.roll(shifts, places) if any(shifts) else images)
            gradient = _gradient(excitation, images)
        images = images.detach()
        nowhere = (gradient == 0).flatten(1).all(dim=1)
        gradient = torch.where(nowhere.view(column), noise(), gradient)
        with torch.autocast(images.device.type, enabled=False):
            for dim, kernel in zip(places, smoothing, strict=False):
                gradient = (gradient.movedim(dim, -1) @ kernel.T).movedim(-1, dim)
        size = gradient.flatten(1).square().mean(dim=1).sqrt()
        flat_at = torch.where((flat_at == 0) & nowhere, step, flat_at)
        broken_at = torch.where((broken_at == 0) & ~(excitation.isfinite() & size.isfinite()), step, broken_at)
        move = std * gradient / (size + TINY).view(column) - ascent.l2 * (images - mean)
        moved = (images + unrest * ascent.step_size * move).clamp(low, high)
        images = torch.where((broken_at == 0).view(column), moved, images)
    last = excite(images)
    broken_at = torch.where((broken_at == 0) & ~last.isfinite(), ascent.steps, broken_at)
    status = [
        f"diverged at step {broken}" if broken else "ok" if rose else f"stalled at step {flat or ascent.steps}"
        for broken, rose, flat in zip(broken_at.tolist(), (last > first).tolist(), flat_at.tolist(), strict=True)
    ]
    return images.cpu(), last.cpu(), status


def _gradient(excitation: Tensor, images: Tensor) -> Tensor:
    found = torch.autograd.grad(excitation.sum(), images, allow_unused=True) if excitation.requires_grad else [None]
    if found[0] is None:
        raise ValueError("the layer has no gradient with respect to the model's input, so there is nothing to climb")
    return found[0]


def _gaussian(size: int, sigma: float) -> Tensor:
    """The matrix that smooths a line of pixels; what lies beyond its ends has no weight."""
    place = torch.arange(size, dtype=torch.float64)
    weights = torch.exp(-(place - place[:, None]).square() / (2 * sigma**2))
    return weights / weights.sum(dim=1, keepdim=True)
