"""t-SNE that goes on from the last layout."""

import numpy as np

from lightning_cnnviz.functional.drawing.figure import FloatArray
from lightning_cnnviz.functional.drawing.image import Array
from lightning_cnnviz.functional.projection.neighbours import nearest_neighbours

FEW_SAMPLES = 100
LEAST_SPAN = 0.01
"""Of a layout to begin with: a smaller one is a single point, from which none comes apart again."""
EARLY, FIRST, MAX_FIRST, FIRST_STEPS = 250, 250, 1000, 50
"""Iterations of a first layout: exaggerated, at least and at most after that, and between looks at the divergence."""
MOST, STEPS = 60, 20
"""Iterations of a later layout: at most, and between looks at the divergence."""
STILL = 0.001
"""A divergence that has fallen by less than this share in 20 iterations has stopped falling."""


def tsne(values: FloatArray, perplexity: float, start: Array | None, seed: int) -> tuple[FloatArray, float]:
    """Lays samples out by Barnes-Hut t-SNE until the Kullback-Leibler divergence stops falling.

    A first layout begins at the first two columns, with early exaggeration. A later one goes on from `start`,
    without exaggeration and with a tenth of the iterations: where the values have not changed, 20.

    Args:
        values: Shape (samples, dimensions), finite: principal components.
        perplexity: At most a third of the other samples.
        start: The last layout, shape (samples, 2), finite, or None. One that is a single point is as good as none.
        seed: Of the randomised parts.

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
    if start is not None and np.ptp(start, axis=0).max() < LEAST_SPAN:
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
        strength = 12 if len(values) >= FEW_SAMPLES else 4  # few samples would be drawn into one point
        embedding.optimize(EARLY, exaggeration=strength, momentum=0.5, inplace=True)
    embedding.optimize(FIRST if first else 0, momentum=0.8, inplace=True)
    done, most, steps = (FIRST, MAX_FIRST, FIRST_STEPS) if first else (0, MOST, STEPS)
    falling = True
    while falling and done < most:
        last = float(embedding.kl_divergence)
        embedding.optimize(steps, momentum=0.8, inplace=True)
        falling = last - embedding.kl_divergence > STILL * steps / STEPS * abs(last)
        done += steps
    return np.asarray(embedding), float(embedding.kl_divergence)


def two_columns(values: FloatArray) -> FloatArray:
    """The first two columns, with zeros where there is only one.

    Example:
        >>> two_columns(np.ones((3, 1))).tolist()
        [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """
    return np.pad(values[:, :2], ((0, 0), (0, max(0, 2 - values.shape[1]))))
