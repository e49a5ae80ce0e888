"""Metrics of class separation: k-nearest-neighbour accuracy and silhouette."""

import numpy as np

from lightning_cnnviz.functional.drawing.figure import FloatArray
from lightning_cnnviz.functional.drawing.image import Labels, to_labels

MAX_COMPARED = 5000
"""Maximum number of samples for the silhouette, whose cost is quadratic."""


def knn_accuracy(points: FloatArray, labels: Labels, k: int = 10) -> float:
    """Computes the leave-one-out accuracy of a k-nearest-neighbour classifier on a layout.

    This is the share of samples whose class is the most frequent one among their k nearest neighbours, not counting
    the sample itself. Ties go to the lowest class index.

    Args:
        points: Shape (samples, dimensions); non-finite rows are skipped.
        labels: Class indices, shape (samples,); samples with negative (unknown) labels are skipped.
        k: Number of neighbours, reduced if there are too few samples.

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
    """Computes the mean silhouette coefficient: how much closer samples are to their own class than to the next one.

    The coefficient of a sample is (b − a) / max(a, b), with a the mean distance to the other samples of its class and
    b the smallest mean distance to the samples of another class; 0 if the sample is alone in its class. With more than
    5,000 samples, a fixed random subset of 5,000 is used.

    Args:
        points: Shape (samples, dimensions); non-finite rows are skipped.
        labels: Class indices, shape (samples,); samples with negative (unknown) labels are skipped.

    Returns:
        −1 (samples lie among other classes) … 1 (each class is a single point), or NaN with fewer than two classes or
        as many classes as samples.

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
