"""How a network with two inputs cuts their plane into cells, in each of which it is affine."""

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
"""Of a function's largest magnitude: what is closer to its zero line lies on it."""
CELL_GRID = 400
"""Points per side where cells can only be guessed."""


class TooManyCellsError(ValueError):
    """A decomposition would have more cells than allowed."""


class PartitionLevel(NamedTuple):
    """The plane after one nonlinearity.

    Attributes:
        nonlinearity: The nonlinearity.
        cells: Corners of each cell that all nonlinearities up to this one make together, shape (corners, 2) each,
            counter-clockwise; empty where the cells are not exact.
        pattern: This nonlinearity's units in each cell, shape (cells, units); see `Nonlinearity.pattern`.
        patterns: Those of all nonlinearities up to this one, shape (cells, units of all).
    """

    nonlinearity: Nonlinearity
    cells: list[Float64Array]
    pattern: Pattern
    patterns: Pattern

    @property
    def num_patterns(self) -> int:
        """Different patterns of this nonlinearity alone."""
        return len(np.unique(self.pattern, axis=0))

    @property
    def num_cells(self) -> int:
        """Number of cells; where they are not exact, of different patterns of the nonlinearities up to this one."""
        return len(self.cells) or len(np.unique(self.patterns, axis=0))


class Partition(NamedTuple):
    """How a network cuts the plane.

    Attributes:
        bounds: The rectangle that was looked at.
        levels: One per nonlinearity, in order.
        exact: Whether the cells are exact. Behind a smooth activation nothing is affine, and then the patterns
            are those of the points of a fine grid, row by row, and their number a lower bound.
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

    Inside a cell everything that a layer receives is affine, so that its values at the cell's corners say all:
    each cell is cut by the zero line of each unit (of a max-pool by the lines where the leading entry changes)
    and the parts go on to the next layer. Nothing is assumed of the layers between the activations but that
    they are affine, and that is checked at the middle of each cell.

    Args:
        model: The network. Activations have to be modules, since hooks do not see functions.
        bounds: The rectangle to look at.
        shape: Shape of one input as the model takes it, with two numbers in all.
        max_cells: Where there would be more, it stops.

    Returns:
        The decomposition behind each activation or max-pool.

    Raises:
        ValueError: If the model has not two inputs or is not affine between its activations.
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
        return _guessed(plane, bounds)
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
    """Where a nonlinearity's own pattern changes, found among the edges of the cells.

    Args:
        plane: The model.
        partition: Its decomposition.
        index: Which nonlinearity.
        parts: Into how many parts an edge is divided, since a neighbour's edge may end within it.

    Returns:
        Segments of shape (count, 2, 2), each from one point to another; none where the cells are not exact.
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
    """What a nonlinearity receives (None: what the model returns) at the corners of each cell."""
    corners = [cell[:, :2] for cell in cells]
    shares = [np.arange(1, len(cell) + 1) / np.arange(1, len(cell) + 1).sum() for cell in corners]
    inside = [np.array([share @ cell for share, cell in zip(shares, corners, strict=True)])]  # two points in each
    inside.append(np.array([cell.mean(axis=0) for cell in corners]))
    seen = plane.run(np.concatenate([*corners, *inside]))
    values = flat(seen.output if nonlinearity is None else seen.inputs[nonlinearity])
    found = np.split(values, np.cumsum([len(cell) for cell in [*corners, inside[0]]]))
    at_corners = found[: len(corners)]
    expected = [
        np.array([share @ part for share, part in zip(shares, at_corners, strict=True)]),
        np.array([part.mean(axis=0) for part in at_corners]),
    ]
    where = (
        "what the model returns"
        if nonlinearity is None
        else f"what reaches {seen.nonlinearities[nonlinearity].module_name}"
    )
    for actual, mean in zip(found[len(corners) :], expected, strict=True):
        check_straight(actual, mean, np.abs(values).max(initial=0), where)
    return at_corners


def _cut(
    cells: list[Float64Array], values: list[Float64Array], nonlinearity: Nonlinearity, max_cells: int
) -> tuple[list[Float64Array], list[int], Pattern]:
    depth = TOLERANCE * np.max([np.abs(part).max(axis=0) for part in values], axis=0)
    parts: list[Float64Array] = []
    origin: list[int] = []
    pattern: list[Pattern] = []
    for index, (corners, own) in enumerate(zip(cells, values, strict=True)):
        found = (
            _switches(corners, own, nonlinearity, depth)
            if nonlinearity.breakpoints is not None
            else _wins(corners, own, nonlinearity, depth)
        )
        parts += [part for part, _ in found]
        pattern += [row for _, row in found]
        origin += [index] * len(found)
        if len(parts) > max_cells:
            raise TooManyCellsError(
                f"{nonlinearity.name} cuts the plane into more than max_cells={max_cells} cells; "
                "look at a smaller rectangle, or raise max_cells"
            )
    return parts, origin, np.stack(pattern)


def _switches(
    corners: Float64Array, values: Float64Array, nonlinearity: Nonlinearity, depth: Float64Array
) -> list[tuple[Float64Array, Pattern]]:
    breakpoints = nonlinearity.breakpoints or ()
    cell = np.concatenate([corners, *(values - bend for bend in breakpoints)], axis=1)
    parts = cut_by_signs(cell, slice(2, None), np.tile(depth, len(breakpoints)))
    # What is zero all over a part, but for rounding, is not above it.
    above = [part[:, 2:].mean(axis=0).reshape(len(breakpoints), -1) > depth for part in parts]
    return [(part[:, :2], row.sum(axis=0).astype(np.int16)) for part, row in zip(parts, above, strict=True)]


def _wins(
    corners: Float64Array, values: Float64Array, nonlinearity: Nonlinearity, depth: Float64Array
) -> list[tuple[Float64Array, Pattern]]:
    parts: list[tuple[Cell, list[int]]] = [(np.concatenate([corners, values], axis=1), [])]
    for window in nonlinearity.windows():
        tolerance = float(depth[window].max())
        parts = [
            (piece, [*winners, winner])
            for part, winners in parts
            for winner, piece in cut_by_largest(part, window + 2, tolerance)
        ]
    return [(part[:, :2], np.array(winners, dtype=np.int16)) for part, winners in parts]


def _guessed(plane: PlaneModel, bounds: Bounds) -> Partition:
    points = grid_points(bounds, CELL_GRID)
    levels: list[PartitionLevel] = []
    before: Pattern = np.empty((len(points), 0), dtype=np.int16)
    nonlinearities = plane.run(points[:1]).nonlinearities
    for nonlinearity, pattern in zip(nonlinearities, activation_patterns(plane, points), strict=True):
        before = np.concatenate([before, pattern], axis=1)
        levels.append(PartitionLevel(nonlinearity, [], pattern, before))
    return Partition(bounds, levels, exact=False)
