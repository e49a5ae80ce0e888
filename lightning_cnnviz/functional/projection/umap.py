"""UMAP that continues from the previous layout; requires umap-learn."""

from importlib.util import find_spec

import numpy as np

from lightning_cnnviz.functional.drawing.image import Array, FloatArray
from lightning_cnnviz.functional.projection.neighbours import nearest_neighbours
from lightning_cnnviz.functional.projection.tsne import MIN_SPAN, two_columns

NEIGHBOURS = 15
"""Number of neighbours of a sample, including itself: the default of umap-learn."""
FIRST_EPOCHS, LATER_EPOCHS = 500, 50
FIRST_LEARNING_RATE, LATER_LEARNING_RATE = 1.0, 0.05
"""Initial learning rates: the default of umap-learn for a first layout, a small one for later layouts."""


def require_umap() -> None:
    """Checks that umap-learn is installed.

    Raises:
        ImportError: If it is not; the message explains how to install it.
    """
    if find_spec("umap") is None:
        raise ImportError(
            'method "umap" needs umap-learn, which is not installed: pip install "lightning-cnnviz[umap]", '
            'or use method="tsne"'
        )


def umap(values: FloatArray, start: Array | None, seed: int) -> FloatArray:
    """Computes a layout by UMAP with 15 neighbours and a minimum distance of 0.1.

    Uses the graph and the optimisation of umap-learn, but with the neighbours of `nearest_neighbours`, and
    initialised with the previous layout as it is: `UMAP(init=...)` would rescale it to a square.

    Args:
        values: Principal components, shape (samples, dimensions), finite.
        start: The previous layout, shape (samples, 2), finite, or None to start from the first two columns.
        seed: Random seed.

    Returns:
        The layout, shape (samples, 2).

    Raises:
        ImportError: If umap-learn is not installed.

    References:
        McInnes et al.: UMAP: Uniform Manifold Approximation and Projection. arXiv:1802.03426 (2018).
    """
    require_umap()
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set, make_epochs_per_sample

    if start is not None and np.ptp(start, axis=0).max() < MIN_SPAN:
        start = None
    epochs, rate = (FIRST_EPOCHS, FIRST_LEARNING_RATE) if start is None else (LATER_EPOCHS, LATER_LEARNING_RATE)
    count = min(NEIGHBOURS, len(values))
    others, distances = nearest_neighbours(values, count - 1, seed=seed)
    own = np.arange(len(values), dtype=np.int32)[:, None]
    indices, distances = np.hstack([own, others]), np.pad(distances, ((0, 0), (1, 0))).astype(np.float32)
    random = np.random.RandomState(seed)
    graph = fuzzy_simplicial_set(values, count, random, "euclidean", knn_indices=indices, knn_dists=distances)[0]
    graph = graph.tocoo()
    strong = graph.data >= graph.data.max() / FIRST_EPOCHS  # weaker edges would never be sampled
    points = np.array(two_columns(values) if start is None else start, dtype=np.float32, order="C")
    if start is None:  # like umap-learn: in a square of side 10, with noise so that no two points coincide
        points = 10 * (points - points.min(axis=0)) / np.ptp(points, axis=0).max()
        points += random.normal(scale=1e-4, size=points.shape).astype(np.float32)
    a, b = find_ab_params(spread=1.0, min_dist=0.1)
    state = random.randint(-(2**31) + 1, 2**31 - 2, 3).astype(np.int64)
    every = make_epochs_per_sample(graph.data[strong], epochs)
    head, tail = graph.row[strong], graph.col[strong]
    moved = optimize_layout_euclidean(
        points, points, head, tail, epochs, len(values), every, a, b, state, initial_alpha=rate, move_other=True
    )
    return np.asarray(moved)
