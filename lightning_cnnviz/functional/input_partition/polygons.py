"""Convex polygons that carry affine functions, cut along their zero lines."""

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Cell = Float64Array
"""Corners in order, shape (corners, 2 + functions): x, y and the value of each function there."""


def rectangle(bounds: tuple[float, float, float, float]) -> Float64Array:
    """The corners (4, 2) of (x low, x high, y low, y high), counter-clockwise.

    Example:
        >>> rectangle((0, 1, 0, 2)).tolist()
        [[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [0.0, 2.0]]
    """
    x_low, x_high, y_low, y_high = bounds
    return np.array([[x_low, y_low], [x_high, y_low], [x_high, y_high], [x_low, y_high]], dtype=float)


def area(corners: Float64Array) -> float:
    """Area of a polygon with corners (corners, 2).

    Example:
        >>> area(rectangle((0, 1, 0, 2)))
        2.0
    """
    x, y = (corners[:, :2] - corners[0, :2]).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def split(cell: Cell, values: Float64Array, tolerance: float) -> tuple[Cell, Cell]:
    """Cuts a cell along the zero line of an affine function.

    Args:
        cell: Shape (corners, columns).
        values: The function at the corners, with values of both signs beyond the tolerance.
        tolerance: Corners where the function is no larger lie on the line.

    Returns:
        The part where the function is negative and the part where it is positive. New corners carry the
        values of all columns, which is exact since these are affine.

    Example:
        >>> low, high = split(rectangle((0, 1, 0, 1)), np.array([-1.0, 1, 1, -1]), 1e-9)  # 2x - 1
        >>> low.tolist()
        [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
    """
    side = np.where(np.abs(values) <= tolerance, 0, np.sign(values))
    following = np.roll(np.arange(len(cell)), -1)
    crossing = side * side[following] < 0
    step = values - values[following]
    share = values / np.where(crossing, step, 1)
    corners = np.repeat(cell, 2, axis=0)  # each corner, and the new one on the edge behind it
    corners[1::2] += share[:, None] * (cell[following] - cell)
    parts = []
    for sign in (-1, 1):
        mask = np.empty(len(corners), dtype=bool)
        mask[::2], mask[1::2] = side * sign >= 0, crossing
        parts.append(corners[mask])
    return parts[0], parts[1]


def cut_by_signs(cell: Cell, functions: slice, tolerance: Float64Array) -> list[Cell]:
    """Cuts a cell along the zero lines of all functions of some columns.

    Args:
        cell: Shape (corners, columns).
        functions: Columns of the functions.
        tolerance: One per function: lines that run no deeper than that into a cell do not cut it.

    Returns:
        The parts; in each no function changes its sign.
    """
    done, waiting = [], [cell]
    while waiting:
        part = waiting.pop()
        values = part[:, functions]
        cutting = np.flatnonzero((values.min(axis=0) < -tolerance) & (values.max(axis=0) > tolerance))
        if len(cutting):
            first = cutting[0]
            waiting += split(part, values[:, first], float(tolerance[first]))
        else:
            done.append(part)
    return done


def cut_by_largest(cell: Cell, columns: npt.NDArray[np.intp], tolerance: float) -> list[tuple[int, Cell]]:
    """Cuts a cell where another one of some functions becomes the largest of them.

    Args:
        cell: Shape (corners, columns).
        columns: Columns of the functions.
        tolerance: Differences no larger are none.

    Returns:
        The parts, in each of which one function is the largest, with its place among the columns; of equal
        ones the first.
    """
    parts = []
    for place, first in enumerate(columns):
        part: Cell | None = cell
        for other in columns[columns != first]:
            assert part is not None
            lead = part[:, first] - part[:, other]
            if lead.max() <= tolerance:  # never ahead: equal ones go to the first
                if lead.min() < -tolerance or other < first:
                    part = None
                    break
            elif lead.min() < -tolerance:
                part = split(part, lead, tolerance)[1]
        if part is not None:
            parts.append((place, part))
    return parts
