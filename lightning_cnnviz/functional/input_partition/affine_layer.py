"""A layer between two activations of a network with two inputs: its input space, and the affine map out of it."""

from typing import Any, NamedTuple

import numpy as np
import torch

from lightning_cnnviz.functional.input_partition.nonlinearities import Float64Array, Nonlinearity
from lightning_cnnviz.functional.input_partition.panels import Space, hyperplane
from lightning_cnnviz.functional.input_partition.plane_model import Bounds, PlaneModel, flat, grid_points

GRID = 50
"""Points per side of the grid on which layers are evaluated."""


class AffineLayer(NamedTuple):
    """What an activation receives, as an affine map of its layer's input space.

    Attributes:
        space: The input space.
        weights: Shape (units, dimensions).
        offsets: Shape (units,).
    """

    space: Space
    weights: Float64Array
    offsets: Float64Array

    @property
    def responses(self) -> Float64Array:
        """At the plane's grid, shape (points, units)."""
        return np.asarray(self.space.points @ self.weights.T + self.offsets)

    @property
    def raster(self) -> Float64Array:
        """All over a space that can be filled, shape (points, units); otherwise no points."""
        fillable = self.space.whole and self.space.dimensions < 3
        points = self.space.raster() if fillable else np.empty((0, self.weights.shape[1]))
        return np.asarray(points @ self.weights.T + self.offsets)

    def draw_hyperplanes(self, axes: Any, unit: int, nonlinearity: Nonlinearity) -> None:
        """Where a unit switches."""
        for bend in nonlinearity.breakpoints or ():
            hyperplane(axes, self.space, self.weights[unit], float(self.offsets[unit]) - bend)


def affine_layer(plane: PlaneModel, bounds: Bounds, index: int) -> AffineLayer | None:
    """The layer with weights before a nonlinearity, if the latter's input is a function of that layer's input alone.

    It does not behind the sum of a residual block, for instance.

    Args:
        plane: The model.
        bounds: The rectangle whose grid is sent into the layer's input space.
        index: Which nonlinearity.

    Example:
        >>> layer = torch.nn.Linear(2, 3)
        >>> found = affine_layer(PlaneModel(torch.nn.Sequential(layer, torch.nn.ReLU())), (0, 1, 0, 1), 0)
        >>> found is not None and np.allclose(found.weights, layer.weight.detach())
        True
    """
    points = grid_points(bounds, GRID)
    seen = plane.run(points[:1], keep_graph=True)
    source, responses = seen.layer_inputs[index], seen.inputs[index].flatten()
    if source is None:
        return None
    slopes = [torch.autograd.grad(one, source, retain_graph=True, materialize_grads=True)[0] for one in responses]
    weights = torch.stack(slopes).flatten(1).numpy()
    offsets = responses.detach().numpy() - weights @ source.detach().flatten().numpy()
    everywhere = plane.run(points)
    layer_input = everywhere.layer_inputs[index]
    assert layer_input is not None
    found, actual = AffineLayer(Space(flat(layer_input)), weights, offsets), flat(everywhere.inputs[index])
    alone = np.allclose(found.responses, actual, rtol=1e-6, atol=1e-9 * np.abs(actual).max(initial=0))
    return found if alone else None


def activated(nonlinearity: Nonlinearity, responses: Float64Array) -> Float64Array:
    """What a nonlinearity makes of what it receives, shape (points, units).

    Example:
        >>> activated(Nonlinearity("fc", "relu", torch.nn.ReLU(), (2,), "fc"), np.array([[-1.0, 2.0]]))
        array([[0., 2.]])
    """
    values = torch.from_numpy(responses.copy()).reshape(-1, *nonlinearity.shape)
    return flat(nonlinearity.module(values))
