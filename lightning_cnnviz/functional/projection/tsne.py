"""t-SNE that continues from the previous layout."""

import numpy as np

from lightning_cnnviz.functional.drawing.figure import FloatArray
from lightning_cnnviz.functional.drawing.image import Array
from lightning_cnnviz.functional.projection.neighbours import nearest_neighbours

FEW_SAMPLES = 100
"""With fewer samples, early exaggeration is weaker."""
MIN_SPAN = 0.01
"""Minimum extent of an initial layout; points of a smaller one would never separate again."""
EARLY_ITERATIONS, MIN_FIRST_ITERATIONS, MAX_FIRST_ITERATIONS, FIRST_CHECK_INTERVAL = 250, 250, 1000, 50
"""Iterations of a first layout: early exaggeration, then minimum and maximum, and between convergence checks."""
MAX_LATER_ITERATIONS, LATER_CHECK_INTERVAL = 60, 20
"""Iterations of a later layout: maximum, and between convergence checks."""
MIN_RELATIVE_DROP = 0.001
"""Converged if the divergence falls by less than this share of its value in `LATER_CHECK_INTERVAL` iterations."""


def tsne(values: FloatArray, perplexity: float, start: Array | None, seed: int) -> tuple[FloatArray, float]:
    """Computes a layout by Barnes-Hut t-SNE, until the Kullback-Leibler divergence stops falling.

    A first layout is initialised with the first two columns and uses early exaggeration. A later one continues from
    `start` without exaggeration and with a tenth of the iterations, or only 20 if the values have not changed.

    Args:
        values: Principal components, shape (samples, dimensions), finite.
        perplexity: At most (samples − 1) / 3.
        start: The previous layout, shape (samples, 2), finite, or None. A layout that is a single point is ignored.
        seed: Seed of the randomised parts.

    Returns:
        The layout and its Kullback-Leibler divergence.

    References:
        van der Maaten and Hinton: Visualizing Data using t-SNE. JMLR 9 (2008).
        Poličar et al.: openTSNE. Journal of Statistical Software 109 (2024).

    Example:
        >>> values = np.random.default_rng(0).normal(size=(60, 8))
        >>> first, divergence = tsne(values, 10.0, None, 0)
        >>> tsne(values, 10.0, first, 0)[1] <= divergence
        True
    """
    from openTSNE import TSNEEmbedding, affinity, initialization, nearest_neighbors

    neighbours = nearest_neighbours(values, min(len(values) - 1, int(3 * perplexity)), seed=seed)
    index = nearest_neighbors.PrecomputedNeighbors(*neighbours)
    affinities = affinity.PerplexityBasedNN(perplexity=perplexity, knn_index=index, n_jobs=1)
    if start is not None and np.ptp(start, axis=0).max() < MIN_SPAN:
        start = None
    first = start is None
    embedding = TSNEEmbedding(
        initialization.rescale(two_columns(values).copy()) if start is None else start.astype(float),
        affinities,
        negative_gradient_method="bh",
        learning_rate="auto",
        n_jobs=1,
        random_state=seed,
    )
    if first:
        exaggeration = 12 if len(values) >= FEW_SAMPLES else 4  # 12 would collapse few samples to a single point
        embedding.optimize(EARLY_ITERATIONS, exaggeration=exaggeration, momentum=0.5, inplace=True)
        done, limit, interval = MIN_FIRST_ITERATIONS, MAX_FIRST_ITERATIONS, FIRST_CHECK_INTERVAL
    else:
        done, limit, interval = 0, MAX_LATER_ITERATIONS, LATER_CHECK_INTERVAL
    embedding.optimize(done, momentum=0.8, inplace=True)  # 0 iterations only compute the divergence
    falling = True
    while falling and done < limit:
        last = float(embedding.kl_divergence)
        embedding.optimize(interval, momentum=0.8, inplace=True)
        falling = last - embedding.kl_divergence > MIN_RELATIVE_DROP * interval / LATER_CHECK_INTERVAL * abs(last)
        done += interval
    return np.asarray(embedding), float(embedding.kl_divergence)


def two_columns(values: FloatArray) -> FloatArray:
    """Returns the first two columns; a missing second column is filled with zeros.

    Example:
        >>> two_columns(np.ones((3, 1))).tolist()
        [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """
    return np.pad(values[:, :2], ((0, 0), (0, max(0, 2 - values.shape[1]))))
