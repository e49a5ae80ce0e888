"""How far classes come apart, in numbers."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from lightning_cnnviz.functional.figure import Floats

MOST_COMPARED = 5000
"""Samples of which every pair is compared: their number squared is the cost of a silhouette."""


class Separation(NamedTuple):
    """Two numbers, each NaN where it is not defined.

    Attributes:
        knn_accuracy: See `knn_accuracy`, of 10 neighbours.
        silhouette: See `silhouette`.
    """

    knn_accuracy: float
    silhouette: float

    def in_words(self) -> list[str]:
        """Those that are defined, for a picture.

        Example:
            >>> Separation(0.987, 0.5).in_words()
            ['10-NN accuracy 98.7%', 'silhouette 0.50']
        """
        words = [f"10-NN accuracy {self.knn_accuracy:.1%}", f"silhouette {self.silhouette:.2f}"]
        return [word for word, number in zip(words, self, strict=True) if np.isfinite(number)]


def separation(points: Floats, labels: npt.NDArray[np.intp]) -> Separation:
    """Both numbers for the same samples.

    Args:
        points: Shape (samples, dimensions); rows that are not finite are left out.
        labels: Shape (samples,), class numbers; negative ones (unknown) are left out.

    Example:
        >>> separation(np.array([[0.0], [0.0], [9.0], [9.0]]), np.array([0, 0, 1, 1])).silhouette
        1.0
    """
    return Separation(knn_accuracy(points, labels), silhouette(points, labels))


def knn_accuracy(points: Floats, labels: npt.NDArray[np.intp], k: int = 10) -> float:
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


def silhouette(points: Floats, labels: npt.NDArray[np.intp]) -> float:
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
    usable = np.flatnonzero(np.isfinite(points).all(axis=1) & (labels >= 0))
    if len(usable) > MOST_COMPARED:
        usable = np.random.default_rng(0).choice(usable, MOST_COMPARED, replace=False)
    points, labels = points[usable], labels[usable]
    if not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan")
    return float(silhouette_score(points, labels))
