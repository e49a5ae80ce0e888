"""Receptive fields: which pixels of the input each place of a layer's maps depends on."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.field_axis import Axis
from lightning_cnnviz.model.field_by_gradient import axes_by_gradient
from lightning_cnnviz.model.field_trace import Field, FieldTrace
from lightning_cnnviz.model.hooks import add_hook
from lightning_cnnviz.model.outputs import first_tensor


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
    known is computed by gradients of rows and columns of the maps with respect to random inputs. Where pixels outside
    of it move a unit all the same, as through a choice that has no gradient, the field is unknown.

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
    copies = evaluating(model, channels_last=channels_last)
    with torch.inference_mode(False), copies as copied:  # in inference mode no writes are counted
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
        found = axes_by_gradient(model, inputs, name, shape, channels_last=channels_last)
    except RuntimeError:  # no gradient, as in a quantized model
        found = None
    return unknown_field(shape[2:], inputs.shape[2:]) if found is None else ReceptiveField(*found, "gradient")
