"""How far classes come apart, in numbers."""

import numpy as np

from lightning_cnnviz.functional.drawing.figure import FloatArray
from lightning_cnnviz.functional.drawing.image import Labels, to_labels

MAX_COMPARED = 5000
"""Samples of which every pair is compared: their number squared is the cost of a silhouette."""


def knn_accuracy(points: FloatArray, labels: Labels, k: int = 10) -> float:
    """Share of samples whose class is the most frequent one among their nearest neighbours in the layout.

    Leave-one-out: a sample is no neighbour of itself. Of equally frequent classes the lowest number wins.

    Args:
        points: Shape (samples, dimensions); rows that are not finite are left out.
        labels: Shape (samples,), class numbers; negative ones (unknown) are left out.
        k: Number of neighbours, lowered to what is there.

    Returns:
        0…1, or NaN with fewer than two samples.

    Example:
        >>> knn_accuracy(np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([0, 0, 1, 1]), k=1)
        1.0
    """
    from sklearn.neighbors import NearestNeighbors

    labels = to_labels(labels)
    usable = np.isfinite(points).all(axis=1) & (labels >= 0)
    points, labels = points[usable], labels[usable]
    k = min(k, len(points) - 1)
    if k < 1:
        return float("nan")
    neighbours = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
    labels = np.unique(labels, return_inverse=True)[1]
    votes = np.zeros((len(points), int(labels.max()) + 1), dtype=np.intp)
    np.add.at(votes, (np.arange(len(points))[:, None], labels[neighbours]), 1)
    return float((votes.argmax(axis=1) == labels).mean())


def silhouette(points: FloatArray, labels: Labels) -> float:
    """Mean over samples of how much nearer their own class is than the nearest other one.

    (b − a) / max(a, b), with a the mean distance to the others of the own class and b the least mean distance
    to another class; 0 for a sample that is alone in its class. Of more than 5,000 samples a random 5,000,
    always the same, are compared.

    Args:
        points: Shape (samples, dimensions); rows that are not finite are left out.
        labels: Shape (samples,), class numbers; negative ones (unknown) are left out.

    Returns:
        −1 (every class among others) … 1 (points that coincide), or NaN with fewer than two classes, or as
        many classes as samples.

    References:
        Rousseeuw: Silhouettes. Journal of Computational and Applied Mathematics 20 (1987).

    Example:
        >>> round(silhouette(np.array([[0.0], [1.0], [9.0], [10.0]]), np.array([0, 0, 1, 1])), 2)
        0.89
    """
    from sklearn.metrics import silhouette_score

    labels = to_labels(labels)
    usable = np.flatnonzero(np.isfinite(points).all(axis=1) & (labels >= 0))
    if len(usable) > MAX_COMPARED:
        usable = np.random.default_rng(0).choice(usable, MAX_COMPARED, replace=False)
    points, labels = points[usable], labels[usable]
    if not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan")
    return float(silhouette_score(points, labels))
