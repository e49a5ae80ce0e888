"""A network with two inputs, evaluated at points of the input plane."""

import numpy as np
import torch
from torch import Tensor, nn

from lightning_cnnviz.functional.input_partition.nonlinearities import (
    Float64Array,
    ForwardPass,
    Pattern,
    trace_nonlinearities,
)
from lightning_cnnviz.model.independent_copy import independent_copy
from lightning_cnnviz.model.torch_internals import uncompiled

Bounds = tuple[float, float, float, float]
"""x low, x high, y low, y high."""

MAX_BATCH_SIZE = 20_000
"""Maximum number of points in one forward pass."""

_STATEFUL = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


class PlaneModel:
    """A frozen copy of a network with two inputs, in float64 on the CPU, to be evaluated at points of the plane.

    Args:
        model: Any module; it is copied and set to evaluation mode.
        shape: Shape of one model input, two elements in total.

    Raises:
        ValueError: If an input does not have two elements, or the model has a recurrent or attention layer.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> PlaneModel(net).run(np.zeros((5, 2))).output.dtype
        torch.float64
    """

    def __init__(self, model: nn.Module, shape: tuple[int, ...] = (2,)) -> None:
        if int(np.prod(shape)) != 2:
            raise ValueError(
                f"expected a model with two inputs, got inputs of shape {shape} with {int(np.prod(shape))} elements; "
                "only a two-dimensional input space can be drawn"
            )
        for name, module in model.named_modules():
            if isinstance(module, _STATEFUL):
                raise ValueError(
                    f"expected layers that are affine between their activations, got {name or 'the model'}, a "
                    f"{type(module).__name__}; recurrent and attention layers are not"
                )
        self.model = uncompiled(independent_copy(model)).cpu().double().eval().requires_grad_(False)
        self.shape = shape

    def run(self, points: Float64Array, keep_graph: bool = False) -> ForwardPass:
        """Runs a forward pass on points of shape (points, 2); with `keep_graph`, gradients can be computed."""
        inputs = torch.from_numpy(np.ascontiguousarray(points)).reshape(-1, *self.shape)
        with torch.inference_mode(False), torch.set_grad_enabled(keep_graph):
            return trace_nonlinearities(self.model, inputs.clone().requires_grad_(keep_graph))


def activation_patterns(plane: PlaneModel, points: Float64Array) -> list[Pattern]:
    """Returns the activation pattern of each nonlinearity at points of shape (points, 2), shape (points, units) each.

    Example:
        >>> plane = PlaneModel(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
        >>> [pattern.shape for pattern in activation_patterns(plane, np.zeros((5, 2)))]
        [(5, 3)]
    """
    parts = []
    for batch in np.array_split(points, -(-len(points) // MAX_BATCH_SIZE) or 1):
        run = plane.run(batch)
        parts.append(
            [
                nonlinearity.pattern(flat(values))
                for nonlinearity, values in zip(run.nonlinearities, run.inputs, strict=True)
            ]
        )
    return [np.concatenate(patterns) for patterns in zip(*parts, strict=True)]


def affine_maps(plane: PlaneModel, cells: list[Float64Array]) -> tuple[Float64Array, Float64Array]:
    """Computes the affine map of the model in each cell, from its gradient at the centre of the cell.

    Args:
        plane: The model. If it ends in a smooth activation, the input of that activation counts as the output.
        cells: Corners of each cell, shape (corners, 2).

    Returns:
        Weights of shape (cells, outputs, 2) and offsets of shape (cells, outputs): within a cell, the output is
        `weights @ point + offset`.

    Example:
        >>> from lightning_cnnviz.functional.input_partition.polygons import rectangle
        >>> layer = nn.Linear(2, 3)
        >>> weights, _ = affine_maps(PlaneModel(layer), [rectangle((0, 1, 0, 1))])
        >>> np.allclose(weights[0], layer.weight.detach())
        True
    """
    centres = np.array([cell.mean(axis=0) for cell in cells])
    inputs = torch.from_numpy(centres).reshape(-1, *plane.shape).requires_grad_()
    with torch.inference_mode(False), torch.enable_grad():
        run = trace_nonlinearities(plane.model, inputs)
        last = run.inputs[-1] if run.nonlinearities and run.nonlinearities[-1].smooth else run.output
        outputs = last.reshape(len(centres), -1)
        gradients = [torch.autograd.grad(column.sum(), inputs, retain_graph=True)[0] for column in outputs.T]
    weights = torch.stack([gradient.reshape(len(centres), -1) for gradient in gradients], dim=1).numpy()
    return weights, outputs.detach().numpy() - np.einsum("coi,ci->co", weights, centres)


def flat(values: Tensor) -> Float64Array:
    """Flattens a tensor of values to an array of shape (points, entries)."""
    rows = values.detach().flatten(1) if values.ndim > 1 else values.detach()[:, None]
    return np.asarray(rows.numpy(), dtype=np.float64)


def grid_points(bounds: Bounds, count: int) -> Float64Array:
    """Returns the centres of count × count pixels that fill a rectangle, row by row from below, shape (count², 2)."""
    x, y = (low + (np.arange(count) + 0.5) / count * (high - low) for low, high in (bounds[:2], bounds[2:]))
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
