"""The receptive field of a layer of which no geometry is known: by gradients, and checked by changing pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.field_axis import NOTHING, Axis
from lightning_cnnviz.model.hooks import add_hook
from lightning_cnnviz.model.outputs import first_tensor

MAX_PLACES = 256
"""Rows and columns of a map up to which its field is computed, each of which takes passes."""
DRAWS, CHUNK = 3, 16
"""Random inputs for each row and column: a unit at rest has no gradient; and inputs in a pass."""


def axes_by_gradient(
    model: nn.Module, inputs: Tensor, layer: str, shape: Sequence[int], *, channels_last: bool = False
) -> tuple[Axis, Axis] | None:
    """Returns the field of rows and of columns by gradients of the sum over each row and each column.

    Of random inputs within the range of the given ones: the black around a digit would leave rectifiers at rest.

    Args:
        model: Called as `model(inputs)`; left unchanged.
        inputs: Shape (samples, channels, height, width).
        layer: Name of the layer.
        shape: Of its maps, (samples, channels, height, width).
        channels_last: Whether the model is called with the channels in the last dimension instead.

    Returns:
        None if there are too many places, the layer has no gradient, or pixels outside of the field move it, as
        through a threshold, `torch.where` or a choice of the largest, which no gradient passes.

    Raises:
        RuntimeError: If the model has no gradient.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 1, 3))
        >>> rows, columns = axes_by_gradient(net, torch.rand(1, 1, 8, 8), "0", (1, 1, 6, 6))
        >>> rows.low.tolist(), rows.high.tolist()
        ([0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 6, 7])
    """
    if not inputs.is_floating_point() or sum(shape[2:]) > MAX_PLACES:
        return None
    bounds = [(shape[2], inputs.shape[2]), (shape[3], inputs.shape[3])]
    lines = [(side, at) for side in (0, 1) for at in range(shape[2 + side])] * DRAWS
    with torch.inference_mode(False), evaluating(model, channels_last=channels_last) as copied:
        probe = _Probe(copied, inputs, layer)
        low = [np.full(places, NOTHING, dtype=np.int64) for places, _ in bounds]
        high = [np.full(places, -1, dtype=np.int64) for places, _ in bounds]
        for start in range(0, len(lines), CHUNK):
            chunk = lines[start : start + CHUNK]
            touched = probe.touched(chunk)
            if touched is None:
                return None
            for row, (side, at) in enumerate(chunk):
                pixels = touched[row].any(dim=0).any(dim=1 - side).nonzero().flatten().tolist()
                if pixels:
                    low[side][at] = min(low[side][at], pixels[0])
                    high[side][at] = max(high[side][at], pixels[-1])
        if not (high[0] >= 0).any():
            return None
        for start in range(0, len(lines), CHUNK):
            chunk = lines[start : start + CHUNK]
            if probe.moved(chunk, [(int(low[side][at]), int(high[side][at])) for side, at in chunk]):
                return None
    rows, columns = (Axis(low[side], high[side], 0, 0, 0, bounds[side][1]) for side in (0, 1))
    return rows, columns


class _Probe:
    """A model on random inputs, of which lines of a layer's maps are looked at: (0, row) or (1, column) each."""

    def __init__(self, copied: nn.Module, inputs: Tensor, layer: str) -> None:
        self._copied = copied
        self._like = inputs
        self._span = inputs.aminmax()
        self._generator = torch.Generator().manual_seed(0)
        self._seen: list[Tensor] = []
        add_hook(copied, layer, self._keep)

    def _keep(self, value: Any) -> None:
        tensor = first_tensor(value)
        if tensor is not None:
            self._seen.append(tensor)

    def _noise(self, count: int) -> Tensor:
        noise = torch.rand(count, *self._like.shape[1:], generator=self._generator).to(self._like)
        return self._span.min + (self._span.max - self._span.min) * noise

    def _maps(self, given: Tensor) -> Tensor | None:
        self._seen.clear()
        self._copied(given)
        return self._seen[-1] if self._seen else None

    def touched(self, lines: Sequence[tuple[int, int]]) -> Tensor | None:
        """Which pixels each line has a gradient of, shape (lines, channels, height, width); None without gradients."""
        given = self._noise(len(lines)).requires_grad_()
        with torch.enable_grad():
            maps = self._maps(given)
            if maps is None or not maps.requires_grad:
                return None
            total = torch.stack([maps[row].select(1 + side, at).sum() for row, (side, at) in enumerate(lines)]).sum()
        return torch.autograd.grad(total, given)[0] != 0

    def moved(self, lines: Sequence[tuple[int, int]], ends: Sequence[tuple[int, int]]) -> bool:
        """Whether any line has another value as the pixels outside of its ends are others."""
        before, other = self._noise(len(lines)), self._noise(len(lines))
        after = other.clone()
        for row, ((side, _), (low, high)) in enumerate(zip(lines, ends, strict=True)):
            kept = slice(low, high + 1) if high >= 0 else slice(0, 0)
            inside = (slice(None), kept) if side == 0 else (slice(None), slice(None), kept)
            after[row][inside] = before[row][inside]
        with torch.no_grad():
            kept_maps = self._maps(before.clone())
            first = None if kept_maps is None else kept_maps.detach().clone()
            second = self._maps(after)
        if first is None or second is None:
            return False
        spare = torch.finfo(first.dtype).eps ** 0.5 * first.abs().max()
        gaps = [(first[row] - second[row]).select(1 + side, at).abs().max() for row, (side, at) in enumerate(lines)]
        return bool((torch.stack(gaps) > spare).any())
