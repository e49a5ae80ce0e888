"""Quality metrics of a layout."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.image import FloatArray, Labels, to_labels
from lightning_cnnviz.functional.projection.class_separation import knn_vote, silhouette
from lightning_cnnviz.functional.projection.layout import Layout, Method
from lightning_cnnviz.functional.projection.neighbours import trustworthiness
from lightning_cnnviz.functional.projection.procrustes import movement
from lightning_cnnviz.functional.tab.data import TabData


class LayoutQuality(NamedTuple):
    """Quality metrics of one layout; NaN if a metric is undefined or its inputs are missing.

    Attributes:
        knn_accuracy: See `knn_vote`, with up to 10 neighbours; requires labels.
        silhouette: See `silhouette`; requires at least two classes.
        trustworthiness: See `trustworthiness`, with 5 neighbours; requires the activations.
        divergence: The final Kullback-Leibler divergence of t-SNE, in nats.
        movement: See `movement`; requires a previous layout.
        knn_neighbours: The number of neighbours of `knn_accuracy`: 10, or fewer if a class has fewer than 11 samples.
        knn_left_out: Number of classes of one sample, which `knn_accuracy` leaves out; NaN if there are none.
    """

    knn_accuracy: float = np.nan
    silhouette: float = np.nan
    trustworthiness: float = np.nan
    divergence: float = np.nan
    movement: float = np.nan
    knn_neighbours: float = np.nan
    knn_left_out: float = np.nan

    def in_words(self) -> tuple[str, str]:
        """Returns two lines for a picture: class separation, then faithfulness and movement of the layout.

        Undefined metrics are omitted, so a line may be empty. σ is the standard deviation of the previous layout.

        Example:
            >>> quality = LayoutQuality(0.987, 0.5, 0.9931, movement=0.0123, knn_neighbours=10)
            >>> quality.in_words()
            ('10-NN accuracy 98.7% · silhouette 0.50', 'trustworthiness 0.993 · moved 0.012 σ')
            >>> quality._replace(knn_neighbours=3, knn_left_out=2).in_words()[0]
            '3-NN accuracy 98.7% without 2 classes of one sample · silhouette 0.50'
        """
        k = f"{self.knn_neighbours:.0f}" if np.isfinite(self.knn_neighbours) else "k"
        lone = self.knn_left_out
        without = f" without {lone:.0f} class{'es' * (lone > 1)} of one sample" if lone > 0 else ""
        separation = {
            f"{k}-NN accuracy {self.knn_accuracy:.1%}{without}": self.knn_accuracy,
            f"silhouette {self.silhouette:.2f}": self.silhouette,
        }
        faithfulness = {
            f"trustworthiness {self.trustworthiness:.3f}": self.trustworthiness,
            f"KL divergence {self.divergence:.3g}": self.divergence,
            f"moved {self.movement:.3f} σ": self.movement,
        }
        first, second = (
            " · ".join(text for text, value in texts.items() if np.isfinite(value))
            for texts in (separation, faithfulness)
        )
        return first, second

    def known(self) -> dict[str, float]:
        """Returns the metrics that are defined, by name, to be logged as scalars.

        Example:
            >>> LayoutQuality(divergence=1.5).known()
            {'divergence': 1.5}
        """
        return {name: value for name, value in self._asdict().items() if np.isfinite(value)}


def measure(
    layout: Layout,
    labels: Labels,
    *,
    values: FloatArray | None = None,
    last: FloatArray | None = None,
) -> LayoutQuality:
    """Computes the quality metrics of a layout, as far as its inputs allow.

    Args:
        layout: From `project`.
        labels: Class indices, shape (samples,), negative if unknown.
        values: The activations that were projected, shape (samples, dimensions), or their principal components.
        last: The points of the previous layout, shape (samples, 2).

    Example:
        >>> layout = Layout(np.array([[0.0], [0.0], [9.0], [9.0]]) * [1, 0], None)
        >>> measure(layout, np.array([0, 0, 1, 1])).silhouette
        1.0
    """
    labels = to_labels(labels)
    accuracy, neighbours, left_out = knn_vote(layout.points, labels)
    return LayoutQuality(
        accuracy,
        silhouette(layout.points, labels),
        np.nan if values is None else trustworthiness(values, layout.points),
        np.nan if layout.divergence is None else layout.divergence,
        np.nan if last is None else movement(layout.points, last),
        neighbours or np.nan,
        left_out if neighbours and left_out else np.nan,
    )


def projection_tab_data(
    layer: str, method: Method, layout: Layout, predicted: npt.NDArray[np.integer], numbers: LayoutQuality
) -> TabData:
    """Returns a layout as data for the tab.

    Args:
        layer: Name of the layer.
        method: Projection method of the layout.
        layout: From `project`.
        predicted: Predicted class indices, shape (samples,); -1 if unknown.
        numbers: Quality metrics from `measure`.

    Returns:
        The points, their lowest and highest coordinates, and the predictions.

    Example:
        >>> layout = Layout(np.zeros((9, 2)), 2.0, 0.5, "anew")
        >>> projection_tab_data("fc1", "tsne", layout, np.zeros(9, int), LayoutQuality(movement=0.5)).info
        {'numbers': {'movement': 0.5}, 'origin': 'anew'}
    """
    finite = layout.points[np.isfinite(layout.points).all(axis=1)]
    arrays: dict[str, npt.NDArray[Any]] = {
        "points": layout.points.astype(np.float32),
        "predicted": predicted.astype(np.int16),
        "bounds": np.stack([finite.min(axis=0), finite.max(axis=0)]).astype(np.float32),
    }
    info = {"numbers": numbers.known(), "origin": layout.origin}
    return TabData("projection", {"layer": layer, "method": method}, info, arrays)
