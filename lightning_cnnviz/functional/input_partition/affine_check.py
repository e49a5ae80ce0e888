"""Whether a model is affine between the activations that hooks can see."""

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.input_partition.nonlinearities import Float64Array
from lightning_cnnviz.functional.input_partition.plane_model import Bounds, PlaneModel, flat


def check_affine(plane: PlaneModel, bounds: Bounds, count: int = 10_000) -> None:
    """Looks for what breakpoints a model beside its activations, on many short lines, however many cells there are.

    Args:
        plane: The model.
        bounds: The rectangle in which the lines lie.
        count: How many.

    Raises:
        ValueError: If it finds something, or values are not finite.

    Example:
        >>> from torch import nn
        >>> check_affine(PlaneModel(nn.Sequential(nn.Linear(2, 3), nn.ReLU())), (0, 1, 0, 1))
    """
    generator = np.random.default_rng(0)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    middles = generator.uniform(low, high, (count, 2))
    steps = generator.normal(size=(count, 2)) * (high - low) / 200
    seen = plane.run(np.concatenate([middles - steps, middles, middles + steps]))
    same = np.ones(count, dtype=bool)  # lines on which no nonlinearity so far breakpoints
    for index, nonlinearity in enumerate(seen.nonlinearities):
        values = flat(seen.inputs[index])
        _check_bend(values, same, f"what reaches {nonlinearity.module_name}")
        if nonlinearity.smooth:
            return
        first, middle, last = np.split(nonlinearity.pattern(values), 3)
        same &= ((first == middle) & (middle == last)).all(axis=1)
    _check_bend(flat(seen.output), same, "what the model returns")


def _check_bend(values: Float64Array, same: npt.NDArray[np.bool_], where: str) -> None:
    first, middle, last = (part[same] for part in np.split(values, 3))
    check_straight(middle, (first + last) / 2, np.abs(values).max(initial=0), where)


def check_straight(values: Float64Array, expected: Float64Array, scale: float, where: str) -> None:
    """Raises ValueError, in words that tell what to do, if values are not what they were if nothing was bent.

    Args:
        values: What a model gives, shape (points, entries).
        expected: The same by the values of other points, in between which these lie.
        scale: Largest magnitude of all values.
        where: What they are, for the message.

    Example:
        >>> check_straight(np.ones((1, 1)), np.ones((1, 1)), 1.0, "what the model returns")
    """
    if not np.isfinite(values).all() or not np.isfinite(expected).all():
        raise ValueError(f"expected {where} to be finite, but it is not: the weights have diverged")
    if np.abs(values - expected).max(initial=0) > 1e-6 * max(scale, 1e-30):
        raise ValueError(
            f"expected {where} to be affine between the activations, but it is not: an activation that is called as a "
            "function (F.relu, torch.sigmoid) or a layer such as LayerNorm stands before it; hooks see "
            "modules only, so write nn.ReLU(), nn.Sigmoid(), ... into the model"
        )
