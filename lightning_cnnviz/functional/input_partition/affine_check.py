"""Checks that a model is affine between the activations that hooks can observe."""

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.input_partition.nonlinearities import Float64Array
from lightning_cnnviz.functional.input_partition.plane_model import Bounds, PlaneModel, flat


def check_affine(plane: PlaneModel, bounds: Bounds, count: int = 10_000) -> None:
    """Checks on many short random line segments that a model is affine between its activations.

    The cost does not depend on the number of cells.

    Args:
        plane: The model.
        bounds: The rectangle from which the segments are sampled.
        count: Number of segments.

    Raises:
        ValueError: If the model is not affine somewhere, or values are not finite.

    Example:
        >>> from torch import nn
        >>> check_affine(PlaneModel(nn.Sequential(nn.Linear(2, 3), nn.ReLU())), (0, 1, 0, 1))
    """
    generator = np.random.default_rng(0)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    middles = generator.uniform(low, high, (count, 2))
    steps = generator.normal(size=(count, 2)) * (high - low) / 200
    run = plane.run(np.concatenate([middles - steps, middles, middles + steps]))
    same = np.ones(count, dtype=bool)  # segments on which no nonlinearity so far has changed its pattern
    for index, nonlinearity in enumerate(run.nonlinearities):
        values = flat(run.inputs[index])
        _check_samples(values, same, f"the input of {nonlinearity.module_name}")
        if nonlinearity.smooth:
            return
        first, middle, last = np.split(nonlinearity.pattern(values), 3)
        same &= ((first == middle) & (middle == last)).all(axis=1)
    _check_samples(flat(run.output), same, "what the model returns")


def _check_samples(values: Float64Array, same: npt.NDArray[np.bool_], where: str) -> None:
    first, middle, last = (part[same] for part in np.split(values, 3))
    check_straight(middle, (first + last) / 2, np.abs(values).max(initial=0), where)


def check_straight(values: Float64Array, expected: Float64Array, scale: float, where: str) -> None:
    """Raises ValueError, explaining the remedy, if values differ from those of an affine function.

    Args:
        values: Values of the model, shape (points, entries).
        expected: The same, interpolated from the values at surrounding points.
        scale: Largest magnitude of all values.
        where: Description of the values, for the message.

    Example:
        >>> check_straight(np.ones((1, 1)), np.ones((1, 1)), 1.0, "what the model returns")
    """
    if not np.isfinite(values).all() or not np.isfinite(expected).all():
        raise ValueError(f"expected {where} to be finite, but it is not: the weights have diverged")
    if np.abs(values - expected).max(initial=0) > 1e-6 * max(scale, 1e-30):
        raise ValueError(
            f"expected {where} to be affine between the activations, but it is not: it depends on a functional "
            "activation (F.relu, torch.sigmoid) or a layer such as LayerNorm; hooks can only observe modules, so "
            "write nn.ReLU(), nn.Sigmoid(), ... as modules of the model"
        )
