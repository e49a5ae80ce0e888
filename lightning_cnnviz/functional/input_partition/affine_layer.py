"""An affine layer between two activations of a network with two inputs: its input space and its affine map."""

from typing import Any, NamedTuple

import numpy as np
import torch

from lightning_cnnviz.functional.input_partition.nonlinearities import Float64Array, Nonlinearity
from lightning_cnnviz.functional.input_partition.panels import Space, hyperplane
from lightning_cnnviz.functional.input_partition.plane_model import Bounds, PlaneModel, flat, grid_points

GRID_SIZE = 50
"""Points per side of the grid in the input plane on which layers are evaluated."""


class AffineLayer(NamedTuple):
    """The input of an activation, as an affine map of the input space of its layer.

    Attributes:
        space: Input space of the layer.
        weights: Shape (units, dimensions).
        offsets: Shape (units,).
    """

    space: Space
    weights: Float64Array
    offsets: Float64Array

    @property
    def responses(self) -> Float64Array:
        """Responses at the grid points of the plane, shape (points, units)."""
        return np.asarray(self.space.points @ self.weights.T + self.offsets)

    @property
    def raster(self) -> Float64Array:
        """Responses on a raster that fills the space, shape (points, units); empty above two dimensions."""
        fillable = self.space.whole and self.space.dimensions < 3
        points = self.space.raster() if fillable else np.empty((0, self.weights.shape[1]))
        return np.asarray(points @ self.weights.T + self.offsets)

    def draw_hyperplanes(self, axes: Any, unit: int, nonlinearity: Nonlinearity) -> None:
        """Draws the hyperplanes on which a unit crosses a breakpoint of its nonlinearity."""
        for threshold in nonlinearity.breakpoints or ():
            hyperplane(axes, self.space, self.weights[unit], float(self.offsets[unit]) - threshold)


def affine_layer(plane: PlaneModel, bounds: Bounds, index: int) -> AffineLayer | None:
    """Finds the affine map between the layer with weights before a nonlinearity and the nonlinearity.

    Args:
        plane: The model.
        bounds: The rectangle whose grid points are mapped into the input space of the layer.
        index: Index of the nonlinearity.

    Returns:
        The layer; None if the input of the nonlinearity does not depend on the input of that layer alone, e.g. after
        the addition in a residual block.

    Example:
        >>> layer = torch.nn.Linear(2, 3)
        >>> found = affine_layer(PlaneModel(torch.nn.Sequential(layer, torch.nn.ReLU())), (0, 1, 0, 1), 0)
        >>> found is not None and np.allclose(found.weights, layer.weight.detach())
        True
    """
    points = grid_points(bounds, GRID_SIZE)
    run = plane.run(points[:1], keep_graph=True)
    source, responses = run.layer_inputs[index], run.inputs[index].flatten()
    if source is None:
        return None
    gradients = [torch.autograd.grad(one, source, retain_graph=True, materialize_grads=True)[0] for one in responses]
    weights = torch.stack(gradients).flatten(1).numpy()
    offsets = responses.detach().numpy() - weights @ source.detach().flatten().numpy()
    grid_run = plane.run(points)
    layer_input = grid_run.layer_inputs[index]
    assert layer_input is not None
    layer, actual = AffineLayer(Space(flat(layer_input)), weights, offsets), flat(grid_run.inputs[index])
    matches = np.allclose(layer.responses, actual, rtol=1e-6, atol=1e-9 * np.abs(actual).max(initial=0))
    return layer if matches else None


def activated(nonlinearity: Nonlinearity, responses: Float64Array) -> Float64Array:
    """Applies a nonlinearity to its inputs, shape (points, units).

    Example:
        >>> activated(Nonlinearity("fc", "relu", torch.nn.ReLU(), (2,), "fc"), np.array([[-1.0, 2.0]]))
        array([[0., 2.]])
    """
    values = torch.from_numpy(responses.copy()).reshape(-1, *nonlinearity.shape)
    return flat(nonlinearity.module(values))
