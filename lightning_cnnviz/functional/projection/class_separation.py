"""Metrics of class separation: k-nearest-neighbour accuracy and silhouette."""

from typing import NamedTuple

import numpy as np

from lightning_cnnviz.functional.drawing.image import FloatArray, Labels, to_labels

MAX_COMPARED = 5000
"""Maximum number of samples for the silhouette, whose cost is quadratic."""


class KnnVote(NamedTuple):
    """Result of a leave-one-out k-nearest-neighbour classifier.

    Attributes:
        accuracy: Share of samples that are classified correctly, 0…1; NaN without two samples of one class.
        neighbours: The k that was used; 0 if the accuracy is NaN.
        left_out: Number of classes of one sample, which are left out.
    """

    accuracy: float
    neighbours: int
    left_out: int


def knn_vote(points: FloatArray, labels: Labels, k: int = 10) -> KnnVote:
    """Classifies each sample of a layout by its k nearest neighbours, not counting the sample itself.

    The predicted class is the most frequent one among the neighbours; ties go to the lowest class index. k is at most
    the size of the smallest class minus one, as many neighbours of its own class as each sample can have: with more, a
    perfect separation would not be found perfect. The sample of a class of one cannot be classified correctly: it is
    left out, also as a neighbour.

    Args:
        points: Shape (samples, dimensions); non-finite rows are skipped.
        labels: Class indices, shape (samples,); samples with negative (unknown) labels are skipped.
        k: Maximum number of neighbours.

    Example:
        >>> knn_vote(np.array([[0.0], [0.1], [5.0], [5.1], [9.0]]), np.array([0, 0, 1, 1, 2]))
        KnnVote(accuracy=1.0, neighbours=1, left_out=1)
    """
    from sklearn.neighbors import NearestNeighbors

    labels = to_labels(labels)
    known = np.isfinite(points).all(axis=1) & (labels >= 0)
    points, labels = points[known], labels[known]
    _, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    repeated = sizes[labels] > 1
    points, labels = points[repeated], labels[repeated]
    left_out = int((~repeated).sum())
    k = min([k, *(sizes[sizes > 1] - 1).tolist()])
    if not len(points):
        return KnnVote(np.nan, 0, left_out)
    neighbours = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
    votes = np.zeros((len(points), len(sizes)), dtype=np.intp)
    np.add.at(votes, (np.arange(len(points))[:, None], labels[neighbours]), 1)
    return KnnVote(float((votes.argmax(axis=1) == labels).mean()), k, left_out)


def knn_accuracy(points: FloatArray, labels: Labels, k: int = 10) -> float:
    """Computes the accuracy of `knn_vote`, which also returns the k that was used.

    Args:
        points: As in `knn_vote`.
        labels: As in `knn_vote`.
        k: As in `knn_vote`: reduced to the size of the smallest class minus one.

    Returns:
        0…1, or NaN without two samples of one class.

    Example:
        >>> knn_accuracy(np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([0, 0, 1, 1]))
        1.0
    """
    return knn_vote(points, labels, k).accuracy


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
