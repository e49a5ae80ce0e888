"""Alignment of a layout with the previous one, and its movement since then."""

import numpy as np

from lightning_cnnviz.functional.drawing.image import FloatArray


def align(points: FloatArray, onto: FloatArray) -> FloatArray:
    """Aligns a layout with a previous one by rotation, reflection and translation (orthogonal Procrustes).

    Only properties without meaning in a layout are changed. The scale is meaningful and kept: in t-SNE it shows how
    far the points have spread, and a rescaled layout would move again when refined further.

    Args:
        points: Shape (samples, 2); non-finite rows remain non-finite.
        onto: The previous layout of the same samples. Only samples that are finite in both layouts are used.

    Returns:
        Shape (samples, 2), with the smallest sum of squared distances from `onto`. With fewer than two common
        samples, the points are returned unchanged.

    References:
        Schönemann: A generalized solution of the orthogonal Procrustes problem. Psychometrika 31 (1966).

    Example:
        >>> points = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> rotated = points @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + 5
        >>> np.allclose(align(rotated, points), points)
        True
    """
    both = np.isfinite(points).all(axis=1) & np.isfinite(onto).all(axis=1)
    if both.sum() < 2:
        return points
    source, target = points[both].astype(np.float64), onto[both].astype(np.float64)
    left, _, right = np.linalg.svd((source - source.mean(axis=0)).T @ (target - target.mean(axis=0)))
    return np.asarray((points - source.mean(axis=0)) @ (left @ right) + target.mean(axis=0), dtype=points.dtype)


def movement(points: FloatArray, last: FloatArray) -> float:
    """Computes the median distance that samples have moved since the previous layout, relative to its size.

    Args:
        points: Shape (samples, 2).
        last: The previous layout of the same samples.

    Returns:
        The median distance between the two positions of a sample, divided by the standard deviation of the previous
        layout (root mean square over both axes). Only samples that are finite in both layouts are used; NaN if there
        are none or the previous layout is a single point.

    Example:
        >>> round(movement(np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([[0.0, 0.0], [2.0, 0.0]])), 3)
        1.414
    """
    both = np.isfinite(points).all(axis=1) & np.isfinite(last).all(axis=1)
    if not both.any():
        return float("nan")
    now, before = points[both].astype(np.float64), last[both].astype(np.float64)
    deviation = np.sqrt(before.var(axis=0).mean())
    return float(np.median(np.linalg.norm(now - before, axis=1)) / deviation) if deviation > 0 else float("nan")
