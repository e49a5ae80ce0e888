"""How a layout lies on the one before it."""

import numpy as np

from lightning_cnnviz.functional.drawing.figure import FloatArray


def align(points: FloatArray, onto: FloatArray) -> FloatArray:
    """Rotates, mirrors and shifts a layout so that it lies on the last one as well as can be.

    Only what means nothing in a layout is changed. The scale means something: of t-SNE it says how far the
    points have come apart, and a layout that was scaled would move when it is next gone on from.

    Args:
        points: Shape (samples, 2); rows that are not finite stay so.
        onto: The last layout of the same samples. Only samples that are finite in both take part.

    Returns:
        Shape (samples, 2), the least sum of squared distances from `onto`. With fewer than two common samples
        the points as they are.

    References:
        Schönemann: A generalized solution of the orthogonal Procrustes problem. Psychometrika 31 (1966).

    Example:
        >>> points = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> turned = points @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + 5
        >>> np.allclose(align(turned, points), points)
        True
    """
    both = np.isfinite(points).all(axis=1) & np.isfinite(onto).all(axis=1)
    if both.sum() < 2:
        return points
    here, there = points[both].astype(np.float64), onto[both].astype(np.float64)
    left, _, right = np.linalg.svd((here - here.mean(axis=0)).T @ (there - there.mean(axis=0)))
    return np.asarray((points - here.mean(axis=0)) @ (left @ right) + there.mean(axis=0), dtype=points.dtype)


def movement(points: FloatArray, last: FloatArray) -> float:
    """How far the middle one of the samples has moved, as a share of the layout's size.

    Args:
        points: Shape (samples, 2).
        last: The layout before it, of the same samples.

    Returns:
        The median distance between the places of a sample in both layouts, over the standard deviation of the
        last layout (root mean square over both axes); over samples that are finite in both. NaN where there are
        none or where the last layout is one point.

    Example:
        >>> round(movement(np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([[0.0, 0.0], [2.0, 0.0]])), 3)
        1.414
    """
    both = np.isfinite(points).all(axis=1) & np.isfinite(last).all(axis=1)
    if not both.any():
        return float("nan")
    here, there = points[both].astype(np.float64), last[both].astype(np.float64)
    deviation = np.sqrt(there.var(axis=0).mean())
    return float(np.median(np.linalg.norm(here - there, axis=1)) / deviation) if deviation > 0 else float("nan")
