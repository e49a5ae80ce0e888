"""UMAP that goes on from the last layout, where umap-learn is installed."""

from importlib.util import find_spec

import numpy as np

from lightning_cnnviz.functional.drawing.figure import FloatArray
from lightning_cnnviz.functional.drawing.image import Array
from lightning_cnnviz.functional.projection.neighbours import nearest_neighbours
from lightning_cnnviz.functional.projection.tsne import LEAST_SPAN, two_columns

NEIGHBOURS = 15
"""Of each sample, itself among them: umap-learn's default."""
FIRST_EPOCHS, EPOCHS = 500, 50
FIRST_RATE, RATE = 1.0, 0.05
"""Learning rates to begin with: of a first layout umap-learn's default, of a later one what moves points little."""


def require_umap() -> None:
    """Says what to install where umap-learn is missing.

    Raises:
        ImportError: If it is.
    """
    if find_spec("umap") is None:
        raise ImportError(
            'method "umap" needs umap-learn, which is not installed: pip install "lightning-cnnviz[umap]", '
            'or use method="tsne"'
        )


def umap(values: FloatArray, start: Array | None, seed: int) -> FloatArray:
    """Lays samples out by UMAP with 15 neighbours and a least distance of 0.1.

    umap-learn's own graph and optimisation, but with exact neighbours and from where the last layout was:
    `UMAP(init=...)` would stretch that to a square.

    Args:
        values: Shape (samples, dimensions), finite: principal components.
        start: The last layout, shape (samples, 2), finite, or None to begin at the first two columns.
        seed: Of the random numbers.

    Raises:
        ImportError: If umap-learn is not installed.

    References:
        McInnes et al.: UMAP: Uniform Manifold Approximation and Projection. arXiv:1802.03426 (2018).
    """
    require_umap()
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set, make_epochs_per_sample

    if start is not None and np.ptp(start, axis=0).max() < LEAST_SPAN:
        start = None
    epochs, rate = (FIRST_EPOCHS, FIRST_RATE) if start is None else (EPOCHS, RATE)
    count = min(NEIGHBOURS, len(values))
    others, distances = nearest_neighbours(values, count - 1, seed=seed)
    itself = np.arange(len(values), dtype=np.int32)[:, None]
    indices, distances = np.hstack([itself, others]), np.pad(distances, ((0, 0), (1, 0))).astype(np.float32)
    random = np.random.RandomState(seed)
    graph = fuzzy_simplicial_set(values, count, random, "euclidean", knn_indices=indices, knn_dists=distances)[0]
    graph = graph.tocoo()
    strong = graph.data >= graph.data.max() / FIRST_EPOCHS  # weaker edges would never be drawn
    points = np.array(two_columns(values) if start is None else start, dtype=np.float32, order="C")
    if start is None:  # like umap-learn: within a square of side 10, no two at the same place
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
