"""t-SNE that continues from the previous layout, or begins anew if too much has changed since."""

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from lightning_cnnviz.functional.drawing.image import Array, FloatArray
from lightning_cnnviz.functional.projection.neighbours import nearest_neighbours

if TYPE_CHECKING:
    from openTSNE import TSNEEmbedding

MIN_SPAN = 0.01
"""Minimum extent of an initial layout; points of a smaller one would never separate again."""
FEW_SAMPLES = 100
"""With fewer samples, exaggeration is weaker: 12 would collapse them to a single point."""
ANNEALING = ((20, 12.0, 0.8), (15, 4.0, 0.9), (15, 2.0, 0.95), (50, 1.0, 0.99))
"""Iterations, exaggeration and highest momentum of the stages that a layout begins with.

An exaggeration that falls in steps leads to a lower divergence than one that ends at once. High momentum spreads the
points in fewer iterations; see `_momentum` for how high it may be.
"""
ANNEALING_THETA = 0.8
"""Coarseness of the Barnes-Hut approximation in these stages; afterwards it is 0.5."""
MOMENTUM = 0.9
"""Momentum of the refinement."""
CHECK_INTERVAL, MAX_ITERATIONS = 25, 500
"""Iterations between convergence checks, and maximum number of iterations after those stages."""
CONVERGED, TOO_FAR = 0.005, 0.015
"""Greatest fall of the divergence between two checks, as a share of its value: of a layout that has converged, and of
the previous layout for it to be continued rather than begun anew."""
Origin: TypeAlias = Literal["first", "continued", "anew"]


class Embedding(NamedTuple):
    """A layout by t-SNE.

    Attributes:
        points: Shape (samples, 2).
        divergence: Its Kullback-Leibler divergence in nats.
        origin: `"first"` without a previous layout, `"continued"` if refined from it, `"anew"` if not, because the
            values have changed too much.
    """

    points: FloatArray
    divergence: float
    origin: Origin


def tsne(values: FloatArray, perplexity: float, start: Array | None, seed: int) -> Embedding:
    """Computes a layout by Barnes-Hut t-SNE, until the Kullback-Leibler divergence stops falling.

    A first layout is initialised with the first two columns and uses early exaggeration. A later one continues from
    `start` without exaggeration, which is quick and moves points no further than needed. If the divergence of `start`
    falls quickly, its clusters are no longer those of the values; since refining it would end in a worse layout than
    a first one, it is begun anew in the same way as a first one.

    Args:
        values: Principal components, shape (samples, dimensions), finite.
        perplexity: At most (samples − 1) / 3.
        start: The previous layout, shape (samples, 2), finite, or None. A layout that is a single point is ignored.
        seed: Seed of the randomised parts.

    References:
        van der Maaten and Hinton: Visualizing Data using t-SNE. JMLR 9 (2008).
        Poličar et al.: openTSNE. Journal of Statistical Software 109 (2024).

    Example:
        >>> values = np.random.default_rng(0).normal(size=(60, 8))
        >>> first = tsne(values, 10.0, None, 0)
        >>> later = tsne(values, 10.0, first.points, 0)
        >>> later.divergence < 1.01 * first.divergence, later.origin
        (True, 'continued')
    """
    from openTSNE import TSNEEmbedding, affinity, initialization, nearest_neighbors

    neighbours = nearest_neighbours(values, min(len(values) - 1, int(3 * perplexity)), seed=seed)
    index = nearest_neighbors.PrecomputedNeighbors(*neighbours)
    affinities = affinity.PerplexityBasedNN(perplexity=perplexity, knn_index=index, n_jobs=1)

    def embedding(points: FloatArray) -> TSNEEmbedding:
        options = {"negative_gradient_method": "bh", "learning_rate": "auto", "n_jobs": 1, "random_state": seed}
        return TSNEEmbedding(points, affinities, **options)

    origin: Origin = "first"
    if start is not None and np.ptp(start, axis=0).max() >= MIN_SPAN:
        layout = embedding(start.astype(float))
        layout.optimize(0, inplace=True)  # computes the divergence only
        fall = _refine(layout)
        origin = "continued" if fall <= TOO_FAR else "anew"
    if origin != "continued":
        layout = embedding(initialization.rescale(two_columns(values).copy()))
        most = 12 if len(values) >= FEW_SAMPLES else 4
        for iterations, exaggeration, momentum in ANNEALING:
            layout.optimize(
                iterations,
                exaggeration=min(exaggeration, most),
                momentum=min(momentum, _momentum(len(values))),
                theta=ANNEALING_THETA,
                inplace=True,
            )
        layout.optimize(0, inplace=True)
        fall = np.inf
    for _ in range(MAX_ITERATIONS // CHECK_INTERVAL):
        if fall <= CONVERGED:
            break
        fall = _refine(layout)
    return Embedding(np.asarray(layout), float(layout.kl_divergence), origin)


def _momentum(samples: int) -> float:
    """Returns the momentum that spreads a layout without throwing clusters too far apart: 0.8…1, 0.98 for 5,000.

    Momentum m makes steps 1 / (1 − m) times as long. By the learning rate, steps are of one length for any number of
    samples, but the extent of a layout grows with its square root.
    """
    return max(MOMENTUM, 1 - float(np.sqrt(2 / samples)))


def _refine(layout: "TSNEEmbedding") -> float:
    """Optimises a layout up to the next check; returns the share by which its divergence has fallen."""
    before = float(layout.kl_divergence)
    layout.optimize(CHECK_INTERVAL, momentum=MOMENTUM, inplace=True)
    return (before - float(layout.kl_divergence)) / abs(before)


def two_columns(values: FloatArray) -> FloatArray:
    """Returns the first two columns; a missing second column is filled with zeros.

    Example:
        >>> two_columns(np.ones((3, 1))).tolist()
        [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """
    return np.pad(values[:, :2], ((0, 0), (0, max(0, 2 - values.shape[1]))))
