"""Nearest neighbours of samples, and how many of them a layout keeps."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.figure import FloatArray

MAX_EXACT = 20_000
"""Samples among which neighbours are found exactly: every pair is compared."""
ROWS = 250
"""Samples compared with all others at a time: what stays in the processor's cache is fastest."""
Indices: TypeAlias = npt.NDArray[np.int32]


def nearest_neighbours(values: FloatArray, k: int, *, seed: int = 0) -> tuple[Indices, FloatArray]:
    """The nearest other samples of each sample by Euclidean distance, the nearest first.

    Exact, by matrix products, up to 20,000 samples; beyond that by Annoy's random trees, which miss a few.

    Args:
        values: Shape (samples, dimensions), finite.
        k: Number of neighbours, below the number of samples.
        seed: Of the random trees.

    Returns:
        Their indices and distances, each of shape (samples, k).

    Example:
        >>> indices, distances = nearest_neighbours(np.array([[0.0], [1.0], [3.0]]), 1)
        >>> indices.ravel().tolist(), distances.ravel().tolist()
        ([1, 0, 1], [1.0, 1.0, 2.0])
    """
    if len(values) > MAX_EXACT:
        from openTSNE.nearest_neighbors import Annoy

        indices, distances = Annoy(values, k, random_state=seed).build()
        return np.asarray(indices, dtype=np.int32), distances
    centred = values - values.mean(axis=0)
    indices = np.empty((len(values), k), dtype=np.int32)
    distances = np.empty((len(values), k), dtype=centred.dtype)
    for start in range(0, len(values), ROWS):
        rows = slice(start, start + ROWS)
        squared = _squared_distances(centred, rows, to_itself=np.inf)
        nearest = np.argpartition(squared, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(squared, nearest, axis=1)
        order = np.argsort(near, axis=1)
        indices[rows] = np.take_along_axis(nearest, order, axis=1)
        distances[rows] = np.sqrt(np.take_along_axis(near, order, axis=1).clip(0))
    return indices, distances


def trustworthiness(values: FloatArray, points: FloatArray, k: int = 5) -> float:
    """How far the neighbours that a layout shows are neighbours indeed.

    A neighbour in the layout that is not among the `k` nearest by value costs as many ranks as it lies beyond
    them; 1 where there is none. Of equal distances all have the lowest rank.

    Args:
        values: Shape (samples, dimensions): activations or their principal components. Rows that are not finite
            are left out.
        points: Shape (samples, 2): the layout; rows that are not finite are left out.
        k: Number of neighbours, lowered to below half of the samples.

    Returns:
        0…1, about 0.5 for a random layout; NaN with fewer than four samples.

    References:
        Venna and Kaski: Neighborhood preservation in nonlinear projection methods. ICANN (2001).

    Example:
        >>> values = np.random.default_rng(0).normal(size=(50, 2))
        >>> trustworthiness(values, 3 * values)
        1.0
    """
    from sklearn.neighbors import NearestNeighbors

    there = np.isfinite(values).all(axis=1) & np.isfinite(points).all(axis=1)
    values, points = values[there].astype(np.float64), points[there].astype(np.float64)
    count = len(values)
    k = min(k, (count - 1) // 2)
    if k < 1:
        return float("nan")
    shown = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
    centred = values - values.mean(axis=0)
    beyond = 0
    for start in range(0, count, ROWS):
        rows = slice(start, start + ROWS)
        squared = _squared_distances(centred, rows, to_itself=-np.inf)
        for neighbour in shown[rows].T:
            ranks = (squared < np.take_along_axis(squared, neighbour[:, None], axis=1)).sum(axis=1)
            beyond += int((ranks - k).clip(0).sum())
    return 1 - beyond * 2 / (count * k * (2 * count - 3 * k - 1))


def _squared_distances(centred: FloatArray, rows: slice, to_itself: float) -> FloatArray:
    lengths = np.square(centred).sum(axis=1)
    squared = centred[rows] @ (-2 * centred.T)
    squared += lengths
    squared += lengths[rows, None]
    own = np.arange(len(squared))
    squared[own, rows.start + own] = to_itself
    return np.asarray(squared)
