"""Nearest-neighbour search, and the trustworthiness of a layout."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.image import FloatArray

MAX_EXACT_SAMPLES = 20_000
"""Maximum number of samples for exact search, which compares every pair."""
CHUNK_SIZE = 250
"""Number of samples compared with all others at a time; small enough for the CPU cache."""
NeighbourIndices: TypeAlias = npt.NDArray[np.int32]


def nearest_neighbours(values: FloatArray, k: int, *, seed: int = 0) -> tuple[NeighbourIndices, FloatArray]:
    """Finds the k nearest neighbours of each sample by Euclidean distance, nearest first.

    The search is exact (by matrix products) for up to 20,000 samples; for more, Annoy's random trees are used, which
    miss a few neighbours.

    Args:
        values: Shape (samples, dimensions), finite.
        k: Number of neighbours, less than the number of samples.
        seed: Seed of the random trees.

    Returns:
        Indices and distances of the neighbours, each of shape (samples, k).

    Example:
        >>> indices, distances = nearest_neighbours(np.array([[0.0], [1.0], [3.0]]), 1)
        >>> indices.ravel().tolist(), distances.ravel().tolist()
        ([1, 0, 1], [1.0, 1.0, 2.0])
    """
    if len(values) > MAX_EXACT_SAMPLES:
        from openTSNE.nearest_neighbors import Annoy

        indices, distances = Annoy(values, k, random_state=seed).build()
        return np.asarray(indices, dtype=np.int32), distances
    centred = values - values.mean(axis=0)
    indices = np.empty((len(values), k), dtype=np.int32)
    distances = np.empty((len(values), k), dtype=centred.dtype)
    for start in range(0, len(values), CHUNK_SIZE):
        rows = slice(start, start + CHUNK_SIZE)
        squared = _squared_distances(centred, rows, self_distance=np.inf)
        nearest = np.argpartition(squared, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(squared, nearest, axis=1)
        order = np.argsort(near, axis=1)
        indices[rows] = np.take_along_axis(nearest, order, axis=1)
        distances[rows] = np.sqrt(np.take_along_axis(near, order, axis=1).clip(0))
    return indices, distances


def trustworthiness(values: FloatArray, points: FloatArray, k: int = 5) -> float:
    """Computes the trustworthiness of a layout: how far neighbours in the layout are neighbours in the original space.

    Each of the `k` nearest neighbours in the layout that is not among the `k` nearest in the original space is
    penalised by the number of ranks it is beyond them. Samples at equal distances share the lowest rank.

    Args:
        values: Activations or their principal components, shape (samples, dimensions); non-finite rows are skipped.
        points: The layout, shape (samples, 2); non-finite rows are skipped.
        k: Number of neighbours, reduced to less than half of the samples.

    Returns:
        0…1 (no penalty), about 0.5 for a random layout; NaN with fewer than four samples.

    References:
        Venna and Kaski: Neighborhood preservation in nonlinear projection methods. ICANN (2001).

    Example:
        >>> values = np.random.default_rng(0).normal(size=(50, 2))
        >>> trustworthiness(values, 3 * values)
        1.0
    """
    from sklearn.neighbors import NearestNeighbors

    finite = np.isfinite(values).all(axis=1) & np.isfinite(points).all(axis=1)
    values, points = values[finite].astype(np.float64), points[finite].astype(np.float64)
    count = len(values)
    k = min(k, (count - 1) // 2)
    if k < 1:
        return float("nan")
    shown = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
    centred = values - values.mean(axis=0)
    penalty = 0
    for start in range(0, count, CHUNK_SIZE):
        rows = slice(start, start + CHUNK_SIZE)
        squared = _squared_distances(centred, rows, self_distance=-np.inf)
        for neighbour in shown[rows].T:
            ranks = (squared < np.take_along_axis(squared, neighbour[:, None], axis=1)).sum(axis=1)
            penalty += int((ranks - k).clip(0).sum())
    return 1 - penalty * 2 / (count * k * (2 * count - 3 * k - 1))


def _squared_distances(centred: FloatArray, rows: slice, self_distance: float) -> FloatArray:
    squared_norms = np.square(centred).sum(axis=1)
    squared = centred[rows] @ (-2 * centred.T)
    squared += squared_norms
    squared += squared_norms[rows, None]
    own = np.arange(len(squared))
    squared[own, rows.start + own] = self_distance
    return np.asarray(squared)
