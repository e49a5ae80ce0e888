"""Convex polygons with affine functions on them, cut along the zero lines of these functions."""

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Cell = Float64Array
"""Corners in order, shape (corners, 2 + functions): x, y and the value of each function there."""


def rectangle(bounds: tuple[float, float, float, float]) -> Float64Array:
    """Returns the corners (4, 2) of the rectangle (x low, x high, y low, y high), counter-clockwise.

    Example:
        >>> rectangle((0, 1, 0, 2)).tolist()
        [[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [0.0, 2.0]]
    """
    x_low, x_high, y_low, y_high = bounds
    return np.array([[x_low, y_low], [x_high, y_low], [x_high, y_high], [x_low, y_high]], dtype=float)


def area(corners: Float64Array) -> float:
    """Computes the area of a polygon with corners of shape (corners, 2).

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
        values: Values of the function at the corners, some below -tolerance and some above tolerance.
        tolerance: Corners with a magnitude of at most this are on the line.

    Returns:
        The part where the function is negative and the part where it is positive. All columns are interpolated at
        new corners, which is exact because they are affine.

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
    corners = np.repeat(cell, 2, axis=0)  # each corner, followed by the new one on the edge after it
    corners[1::2] += share[:, None] * (cell[following] - cell)
    parts = []
    for sign in (-1, 1):
        mask = np.empty(len(corners), dtype=bool)
        mask[::2], mask[1::2] = side * sign >= 0, crossing
        parts.append(corners[mask])
    return parts[0], parts[1]


def cut_by_signs(cell: Cell, functions: slice, tolerance: Float64Array) -> list[Cell]:
    """Cuts a cell along the zero lines of several functions.

    Args:
        cell: Shape (corners, columns).
        functions: Columns of the functions.
        tolerance: One per function: a cell is only cut if the function exceeds it in magnitude on both sides.

    Returns:
        The parts; no function changes its sign within a part.
    """
    done, pending = [], [cell]
    while pending:
        part = pending.pop()
        values = part[:, functions]
        cutting = np.flatnonzero((values.min(axis=0) < -tolerance) & (values.max(axis=0) > tolerance))
        if len(cutting):
            first = cutting[0]
            pending += split(part, values[:, first], float(tolerance[first]))
        else:
            done.append(part)
    return done


def cut_by_largest(cell: Cell, columns: npt.NDArray[np.intp], tolerance: float) -> list[tuple[int, Cell]]:
    """Cuts a cell into the parts where each of several functions is the largest.

    Args:
        cell: Shape (corners, columns).
        columns: Columns of the functions.
        tolerance: Functions that differ by at most this are considered equal.

    Returns:
        The position of the largest function among `columns`, the first of ties, and the part where it is the largest.
    """
    parts = []
    for position, first in enumerate(columns):
        part: Cell | None = cell
        for other in columns[columns != first]:
            assert part is not None
            lead = part[:, first] - part[:, other]
            if lead.max() <= tolerance:  # never the largest; ties go to the first
                if lead.min() < -tolerance or other < first:
                    part = None
                    break
            elif lead.min() < -tolerance:
                part = split(part, lead, tolerance)[1]
        if part is not None:
            parts.append((position, part))
    return parts
