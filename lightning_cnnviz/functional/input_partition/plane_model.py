"""A network with two inputs, evaluated on points of their plane."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from lightning_cnnviz.functional.input_partition.nonlinearities import (
    Float64Array,
    ForwardPass,
    Pattern,
    trace_nonlinearities,
)
from lightning_cnnviz.model.torch_internals import foreign_attributes, uncompiled

Bounds = tuple[float, float, float, float]
"""x low, x high, y low, y high."""

AT_ONCE = 20_000
"""Points in one pass."""

_STATEFUL = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


class PlaneModel:
    """A network with two inputs, frozen in float64 on the CPU, that is evaluated on points of the plane.

    Args:
        model: Any module; a copy is taken, in evaluation mode.
        shape: Shape of one input as the model takes it, with two numbers in all.

    Raises:
        ValueError: If an input has not two numbers, or the model has a recurrent or attention layer.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> PlaneModel(net).run(np.zeros((5, 2))).output.dtype
        torch.float64
    """

    def __init__(self, model: nn.Module, shape: tuple[int, ...] = (2,)) -> None:
        if int(np.prod(shape)) != 2:
            raise ValueError(
                f"expected a model with two inputs, got inputs of shape {shape} with {int(np.prod(shape))} numbers; "
                "a partition of the plane has nothing to show for others"
            )
        for name, module in model.named_modules():
            if isinstance(module, _STATEFUL):
                raise ValueError(
                    f"expected layers that are affine between their activations, got {name or 'the model'}, a "
                    f"{type(module).__name__}; recurrent and attention layers are not"
                )
        self.model = uncompiled(_copied(model)).cpu().double().eval().requires_grad_(False)
        self.shape = shape

    def run(self, points: Float64Array, keep_graph: bool = False) -> ForwardPass:
        """Passes points of shape (points, 2); with `keep_graph` derivatives can be taken."""
        inputs = torch.from_numpy(np.ascontiguousarray(points)).reshape(-1, *self.shape)
        with torch.inference_mode(False), torch.set_grad_enabled(keep_graph):
            return trace_nonlinearities(self.model, inputs.clone().requires_grad_(keep_graph))


def activation_patterns(plane: PlaneModel, points: Float64Array) -> list[Pattern]:
    """Each nonlinearity's pattern at points of shape (points, 2), shape (points, units) each.

    Example:
        >>> plane = PlaneModel(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
        >>> [pattern.shape for pattern in activation_patterns(plane, np.zeros((5, 2)))]
        [(5, 3)]
    """
    parts = []
    for some in np.array_split(points, -(-len(points) // AT_ONCE) or 1):
        seen = plane.run(some)
        parts.append(
            [
                nonlinearity.pattern(flat(values))
                for nonlinearity, values in zip(seen.nonlinearities, seen.inputs, strict=True)
            ]
        )
    return [np.concatenate(of_gate) for of_gate in zip(*parts, strict=True)]


def affine_maps(plane: PlaneModel, cells: list[Float64Array]) -> tuple[Float64Array, Float64Array]:
    """The affine map of the model in each cell, by its derivative at the cell's middle.

    Args:
        plane: The model; of one that ends in a smooth activation, what that receives counts as the output.
        cells: Corners of each cell, shape (corners, 2).

    Returns:
        Weights of shape (cells, outputs, 2) and offsets of shape (cells, outputs): in a cell the output is
        `weights @ point + offset`.

    Example:
        >>> from lightning_cnnviz.functional.input_partition.polygons import rectangle
        >>> layer = nn.Linear(2, 3)
        >>> weights, _ = affine_maps(PlaneModel(layer), [rectangle((0, 1, 0, 1))])
        >>> np.allclose(weights[0], layer.weight.detach())
        True
    """
    middles = np.array([cell.mean(axis=0) for cell in cells])
    inputs = torch.from_numpy(middles).reshape(-1, *plane.shape).requires_grad_()
    with torch.inference_mode(False), torch.enable_grad():
        seen = trace_nonlinearities(plane.model, inputs)
        last = seen.inputs[-1] if seen.nonlinearities and seen.nonlinearities[-1].smooth else seen.output
        outputs = last.reshape(len(middles), -1)
        slopes = [torch.autograd.grad(column.sum(), inputs, retain_graph=True)[0] for column in outputs.T]
    weights = torch.stack([slope.reshape(len(middles), -1) for slope in slopes], dim=1).numpy()
    return weights, outputs.detach().numpy() - np.einsum("coi,ci->co", weights, middles)


def flat(values: Tensor) -> Float64Array:
    """Values of points as an array (points, entries)."""
    rows = values.detach().flatten(1) if values.ndim > 1 else values.detach()[:, None]
    return np.asarray(rows.numpy(), dtype=np.float64)


def grid_points(bounds: Bounds, count: int) -> Float64Array:
    """Middles of count × count pixels that fill a rectangle, row by row from below, shape (count², 2)."""
    x, y = (low + (np.arange(count) + 0.5) / count * (high - low) for low, high in (bounds[:2], bounds[2:]))
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _copied(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except Exception:  # something beside the layers can't be copied (a lock, a kept loss): it is not needed
        kept = {
            id(value): value.detach() if isinstance(value, Tensor) else value for value in foreign_attributes(model)
        }
        return copy.deepcopy(model, kept)
