"""Partition of the input plane by a network with two inputs into cells, in each of which it is affine."""

from typing import NamedTuple

import numpy as np
from torch import nn

from lightning_cnnviz.functional.input_partition.affine_check import check_straight
from lightning_cnnviz.functional.input_partition.nonlinearities import Float64Array, Nonlinearity, Pattern
from lightning_cnnviz.functional.input_partition.plane_model import (
    Bounds,
    PlaneModel,
    activation_patterns,
    flat,
    grid_points,
)
from lightning_cnnviz.functional.input_partition.polygons import Cell, cut_by_largest, cut_by_signs, rectangle

TOLERANCE = 1e-9
"""Relative to the largest magnitude of a function: values below this count as zero."""
SAMPLE_GRID = 400
"""Points per side of the grid used if cells can only be sampled."""


class TooManyCellsError(ValueError):
    """A partition would have more cells than allowed."""


class PartitionLevel(NamedTuple):
    """The partition of the plane after one nonlinearity.

    Attributes:
        nonlinearity: The nonlinearity.
        cells: Corners of the cells formed by all nonlinearities up to this one, shape (corners, 2) each,
            counter-clockwise; empty if the cells are not exact.
        pattern: Activation pattern of this nonlinearity in each cell, shape (cells, units); see
            `Nonlinearity.pattern`.
        patterns: Activation patterns of all nonlinearities up to this one, concatenated, shape (cells, total units).
    """

    nonlinearity: Nonlinearity
    cells: list[Float64Array]
    pattern: Pattern
    patterns: Pattern

    @property
    def num_patterns(self) -> int:
        """Number of distinct patterns of this nonlinearity alone."""
        return len(np.unique(self.pattern, axis=0))

    @property
    def num_cells(self) -> int:
        """Number of cells; if they are not exact, of distinct patterns of the nonlinearities up to this one."""
        return len(self.cells) or len(np.unique(self.patterns, axis=0))


class Partition(NamedTuple):
    """The partition of the plane by a network.

    Attributes:
        bounds: The rectangle that is partitioned.
        levels: One per nonlinearity, in order.
        exact: Whether the cells are exact. After a smooth activation nothing is affine; the patterns are then sampled
            at the points of a fine grid, row by row, and their number is a lower bound.
    """

    bounds: Bounds
    levels: list[PartitionLevel]
    exact: bool


def partition(
    model: nn.Module | PlaneModel,
    bounds: Bounds,
    *,
    shape: tuple[int, ...] = (2,),
    max_cells: int = 50_000,
) -> Partition:
    """Finds the cells in which a network with two inputs is affine, layer by layer.

    Inside a cell, the input of a layer is affine and hence determined by its values at the corners. Each cell is cut
    along the zero lines of all units (for a max-pool, along the lines where the argmax changes), and the parts are
    passed to the next layer. The layers between the activations only have to be affine, which is checked at points
    inside each cell.

    Args:
        model: The network. Activations must be modules, since hooks cannot observe functions.
        bounds: The rectangle to partition.
        shape: Shape of one model input, two elements in total.
        max_cells: Maximum number of cells.

    Returns:
        The partition after each activation or max-pool.

    Raises:
        ValueError: If the model does not have two inputs or is not affine between its activations.
        TooManyCellsError: If there are more than `max_cells` cells.

    References:
        Montúfar et al.: On the Number of Linear Regions of Deep Neural Networks. NeurIPS 2014.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> import torch
        >>> _ = net[0].load_state_dict({"weight": torch.eye(2), "bias": torch.zeros(2)})
        >>> len(partition(net, (-1, 1, -1, 1)).levels[0].cells)
        4
    """
    plane = model if isinstance(model, PlaneModel) else PlaneModel(model, shape)
    nonlinearities = plane.run(rectangle(bounds)).nonlinearities
    if any(nonlinearity.smooth for nonlinearity in nonlinearities[:-1]):
        return _sampled_partition(plane, bounds)
    cells = [rectangle(bounds)]
    patterns: list[Pattern] = [np.empty((1, 0), dtype=np.int16)]
    levels: list[PartitionLevel] = []
    for index, nonlinearity in enumerate(nonlinearities):
        cells, origin, pattern = _cut(cells, _affine_values(plane, cells, index), nonlinearity, max_cells)
        patterns.append(np.concatenate([patterns[-1][origin], pattern], axis=1))
        levels.append(PartitionLevel(nonlinearity, cells, pattern, patterns[-1]))
    if not (nonlinearities and nonlinearities[-1].smooth):
        _affine_values(plane, cells, None)
    return Partition(bounds, levels, exact=True)


def borders(plane: PlaneModel, partition: Partition, index: int, parts: int = 4) -> Float64Array:
    """Finds the cell edges at which the pattern of one nonlinearity itself changes.

    Args:
        plane: The model.
        partition: Its partition.
        index: Index of the nonlinearity.
        parts: Number of segments per edge, since the edge of a neighbouring cell may end within it.

    Returns:
        Line segments, shape (count, 2, 2): start and end point of each; none if the cells are not exact.
    """
    cells = partition.levels[index].cells
    if not cells:
        return np.empty((0, 2, 2))
    starts = np.concatenate(cells)
    ends = np.concatenate([np.roll(cell, -1, axis=0) for cell in cells])
    shares = np.linspace(0, 1, parts + 1)
    stops = starts + shares[:, None, None] * (ends - starts)
    segments = np.stack([stops[:-1], stops[1:]], axis=2).reshape(-1, 2, 2)
    along = segments[:, 1] - segments[:, 0]
    length = np.linalg.norm(along, axis=1, keepdims=True)
    extent = max(partition.bounds[1] - partition.bounds[0], partition.bounds[3] - partition.bounds[2])
    across = 1e-6 * extent * along[:, ::-1] * [1, -1] / np.where(length > 0, length, 1)
    middles = segments.mean(axis=1)
    one, other = (activation_patterns(plane, middles + sign * across)[index] for sign in (1, -1))
    return np.asarray(segments[(one != other).any(axis=1)])


def _affine_values(plane: PlaneModel, cells: list[Float64Array], nonlinearity: int | None) -> list[Float64Array]:
    """Returns the input of a nonlinearity (None: the output of the model) at the corners of each cell.

    Raises ValueError if it is not affine, as checked at two points inside each cell.
    """
    corners = [cell[:, :2] for cell in cells]
    weights = [np.arange(1, len(cell) + 1) / np.arange(1, len(cell) + 1).sum() for cell in corners]
    inside = [np.array([weight @ cell for weight, cell in zip(weights, corners, strict=True)])]
    inside.append(np.array([cell.mean(axis=0) for cell in corners]))
    run = plane.run(np.concatenate([*corners, *inside]))
    values = flat(run.output if nonlinearity is None else run.inputs[nonlinearity])
    by_cell = np.split(values, np.cumsum([len(cell) for cell in [*corners, inside[0]]]))
    at_corners = by_cell[: len(corners)]
    expected = [
        np.array([weight @ part for weight, part in zip(weights, at_corners, strict=True)]),
        np.array([part.mean(axis=0) for part in at_corners]),
    ]
    where = (
        "what the model returns"
        if nonlinearity is None
        else f"the input of {run.nonlinearities[nonlinearity].module_name}"
    )
    for actual, mean in zip(by_cell[len(corners) :], expected, strict=True):
        check_straight(actual, mean, np.abs(values).max(initial=0), where)
    return at_corners


def _cut(
    cells: list[Float64Array], values: list[Float64Array], nonlinearity: Nonlinearity, max_cells: int
) -> tuple[list[Float64Array], list[int], Pattern]:
    tolerance = TOLERANCE * np.max([np.abs(part).max(axis=0) for part in values], axis=0)
    parts: list[Float64Array] = []
    origin: list[int] = []
    pattern: list[Pattern] = []
    for index, (corners, at_corners) in enumerate(zip(cells, values, strict=True)):
        found = (
            _cut_at_breakpoints(corners, at_corners, nonlinearity, tolerance)
            if nonlinearity.breakpoints is not None
            else _cut_by_argmax(corners, at_corners, nonlinearity, tolerance)
        )
        parts += [part for part, _ in found]
        pattern += [row for _, row in found]
        origin += [index] * len(found)
        if len(parts) > max_cells:
            raise TooManyCellsError(
                f"{nonlinearity.name} cuts the plane into more than max_cells={max_cells} cells; "
                "look at a smaller rectangle, or increase max_cells"
            )
    return parts, origin, np.stack(pattern)


def _cut_at_breakpoints(
    corners: Float64Array, values: Float64Array, nonlinearity: Nonlinearity, tolerance: Float64Array
) -> list[tuple[Float64Array, Pattern]]:
    breakpoints = nonlinearity.breakpoints or ()
    cell = np.concatenate([corners, *(values - threshold for threshold in breakpoints)], axis=1)
    parts = cut_by_signs(cell, slice(2, None), np.tile(tolerance, len(breakpoints)))
    # A unit that is zero throughout a part, up to rounding, does not count as above the breakpoint.
    above = [part[:, 2:].mean(axis=0).reshape(len(breakpoints), -1) > tolerance for part in parts]
    return [(part[:, :2], row.sum(axis=0).astype(np.int16)) for part, row in zip(parts, above, strict=True)]


def _cut_by_argmax(
    corners: Float64Array, values: Float64Array, nonlinearity: Nonlinearity, tolerance: Float64Array
) -> list[tuple[Float64Array, Pattern]]:
    parts: list[tuple[Cell, list[int]]] = [(np.concatenate([corners, values], axis=1), [])]
    for window in nonlinearity.windows():
        parts = [
            (piece, [*pattern, argmax])
            for part, pattern in parts
            for argmax, piece in cut_by_largest(part, window + 2, float(tolerance[window].max()))
        ]
    return [(part[:, :2], np.array(pattern, dtype=np.int16)) for part, pattern in parts]


def _sampled_partition(plane: PlaneModel, bounds: Bounds) -> Partition:
    points = grid_points(bounds, SAMPLE_GRID)
    levels: list[PartitionLevel] = []
    patterns: Pattern = np.empty((len(points), 0), dtype=np.int16)
    nonlinearities = plane.run(points[:1]).nonlinearities
    for nonlinearity, pattern in zip(nonlinearities, activation_patterns(plane, points), strict=True):
        patterns = np.concatenate([patterns, pattern], axis=1)
        levels.append(PartitionLevel(nonlinearity, [], pattern, patterns))
    return Partition(bounds, levels, exact=False)
