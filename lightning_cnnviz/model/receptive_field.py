"""Receptive fields: which pixels of the input each place of a layer's maps depends on."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.field_axis import NOTHING, Axis
from lightning_cnnviz.model.field_trace import Field, FieldTrace
from lightning_cnnviz.model.hooks import add_hook
from lightning_cnnviz.model.outputs import first_tensor

MAX_PLACES = 256
"""Rows and columns of a map up to which its field is computed by gradients, each of which takes a pass."""
DRAWS, CHUNK = 3, 16
"""Random inputs for each row and column: a unit at rest has no gradient; and inputs in a pass."""


class ReceptiveField(NamedTuple):
    """What each place of a layer's maps depends on in the input.

    Attributes:
        rows: Of each row of the maps.
        columns: Of each column.
        source: `"geometry"` of the network's windows, `"gradient"`, or `"unknown"`, in which case every place is
            taken to depend on the whole input.
    """

    rows: Axis
    columns: Axis
    source: str

    @property
    def patch_size(self) -> tuple[int, int]:
        """Height and width of a patch that shows what a place depends on."""
        return self.rows.extent, self.columns.extent

    def boxes(self, places: Tensor) -> Tensor:
        """Returns what places depend on.

        Args:
            places: Row and column of each, shape (..., 2).

        Returns:
            Its pixels within the input: top, left, bottom and right, the last two not included; shape (..., 4).
        """
        row, column = places.unbind(-1)
        parts = []
        for axis, at in ((self.rows, row), (self.columns, column)):
            low, high = torch.from_numpy(axis.low), torch.from_numpy(axis.high)
            parts.append((low[at].clamp(max=axis.pixels), high[at] + 1))
        return torch.stack([parts[0][0], parts[1][0], parts[0][1], parts[1][1]], dim=-1)


def receptive_fields(
    model: nn.Module, inputs: Tensor, layers: Sequence[str], *, channels_last: bool = False
) -> dict[str, ReceptiveField]:
    """Finds the receptive fields of layers, from the windows of convolutions and poolings along the real paths.

    Where branches meet, the field is the smallest rectangle around those of both. A factor that is the same at every
    place, and the statistics of a normalisation, do not widen it. What depends on an operation of which nothing is
    known is computed by gradients of rows and columns of the maps with respect to random inputs.

    Args:
        model: Called as `model(inputs)`; left unchanged.
        inputs: At least one sample, shape (samples, channels, height, width), on the model's device.
        layers: Names as in `named_modules`.
        channels_last: Whether the model is called with the channels in the last dimension instead.

    Returns:
        Layer name → field, of those that return maps of shape (samples, channels, height, width).

    Raises:
        ValueError: If the inputs are not images.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5))
        >>> fields = receptive_fields(net, torch.rand(1, 1, 28, 28), ["0", "3"])
        >>> fields["3"].patch_size, fields["3"].boxes(torch.tensor([2, 7])).tolist()
        ((14, 14), [4, 14, 18, 28])
    """
    if inputs.ndim != 4:
        raise ValueError(f"expected images of shape (samples, channels, height, width), got {tuple(inputs.shape)}")
    traced: dict[str, tuple[Field | None, tuple[int, ...]]] = {}
    with (
        torch.inference_mode(False),
        evaluating(model, channels_last=channels_last) as copied,
    ):  # in which no writes are counted
        given = inputs[:1].clone()
        trace = FieldTrace(copied, given)

        def keep(name: str, value: Any) -> None:
            tensor = first_tensor(value)
            if tensor is not None and tensor.ndim == 4 and len(tensor) == 1:
                traced[name] = trace.field(tensor), tuple(tensor.shape)

        handles = [add_hook(copied, name, partial(keep, name)) for name in layers]
        with trace:
            copied(given)
        for handle in handles:
            handle.remove()
    return {name: _settled(model, inputs, name, *traced[name], channels_last) for name in layers if name in traced}


def unknown_field(maps: Sequence[int], inputs: Sequence[int]) -> ReceptiveField:
    """Returns the field of a layer of which nothing is known: the whole input.

    Args:
        maps: Height and width of its maps.
        inputs: Height and width of the inputs.
    """
    rows, columns = (Axis.whole(places, pixels) for places, pixels in zip(maps, inputs, strict=True))
    return ReceptiveField(rows, columns, "unknown")


def _settled(
    model: nn.Module, inputs: Tensor, name: str, field: Field | None, shape: tuple[int, ...], channels_last: bool
) -> ReceptiveField:
    if field is not None and field[2] is not None and field[3] is not None and field[1] is None:
        return ReceptiveField(field[2], field[3], "geometry")
    try:
        few = sum(shape[2:]) <= MAX_PLACES
        found = _by_gradient(model, inputs, name, shape, channels_last) if few else None
    except RuntimeError:  # no gradient, as in a quantized model
        found = None
    return found or unknown_field(shape[2:], inputs.shape[2:])


def _by_gradient(
    model: nn.Module, inputs: Tensor, name: str, shape: tuple[int, ...], channels_last: bool
) -> ReceptiveField | None:
    """The field by gradients of the sum over each row and each column; None if the layer has none.

    Of random inputs within the range of the given ones: the black around a digit would leave rectifiers at rest.
    """
    if not inputs.is_floating_point():
        return None
    height, width = inputs.shape[2:]
    bounds = [(shape[2], height), (shape[3], width)]
    low = [np.full(places, NOTHING, dtype=np.int64) for places, _ in bounds]
    high = [np.full(places, -1, dtype=np.int64) for places, _ in bounds]
    lines = [(side, at) for side in (0, 1) for at in range(shape[2 + side])] * DRAWS
    span, generator = inputs.aminmax(), torch.Generator().manual_seed(0)
    seen: list[Tensor] = []

    def keep(value: Any) -> None:
        tensor = first_tensor(value)
        if tensor is not None:
            seen.append(tensor)

    with torch.inference_mode(False), evaluating(model, channels_last=channels_last) as copied, torch.enable_grad():
        add_hook(copied, name, keep)
        for start in range(0, len(lines), CHUNK):
            chunk = lines[start : start + CHUNK]
            noise = torch.rand(len(chunk), *inputs.shape[1:], generator=generator).to(inputs)
            given = (span.min + (span.max - span.min) * noise).requires_grad_()
            seen.clear()
            copied(given)
            if not seen or not seen[-1].requires_grad:
                return None
            total = sum(seen[-1][row].select(1 + side, at).sum() for row, (side, at) in enumerate(chunk))
            assert isinstance(total, Tensor)
            touched = torch.autograd.grad(total, given)[0] != 0
            for row, (side, at) in enumerate(chunk):
                pixels = touched[row].any(dim=0).any(dim=1 - side).nonzero().flatten().tolist()
                if pixels:
                    low[side][at] = min(low[side][at], pixels[0])
                    high[side][at] = max(high[side][at], pixels[-1])
    rows, columns = (Axis(low[side], high[side], 0, 0, 0, bounds[side][1]) for side in (0, 1))
    return ReceptiveField(rows, columns, "gradient") if (rows.high >= 0).any() else None
