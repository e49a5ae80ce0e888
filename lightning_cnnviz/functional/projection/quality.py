"""Quality metrics of a layout."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.figure import FloatArray
from lightning_cnnviz.functional.drawing.image import Labels, to_labels
from lightning_cnnviz.functional.projection.class_separation import knn_accuracy, silhouette
from lightning_cnnviz.functional.projection.layout import Layout, Method
from lightning_cnnviz.functional.projection.neighbours import trustworthiness
from lightning_cnnviz.functional.projection.procrustes import movement
from lightning_cnnviz.functional.tab.data import TabData


class LayoutQuality(NamedTuple):
    """Quality metrics of one layout; NaN if a metric is undefined or its inputs are missing.

    Attributes:
        knn_accuracy: See `knn_accuracy`, with 10 neighbours; requires labels.
        silhouette: See `silhouette`; requires at least two classes.
        trustworthiness: See `trustworthiness`, with 5 neighbours; requires the activations.
        divergence: The final Kullback-Leibler divergence of t-SNE, in nats.
        movement: See `movement`; requires a previous layout.
    """

    knn_accuracy: float = np.nan
    silhouette: float = np.nan
    trustworthiness: float = np.nan
    divergence: float = np.nan
    movement: float = np.nan

    def in_words(self) -> tuple[str, str]:
        """Returns two lines for a picture: class separation, then faithfulness and movement of the layout.

        Undefined metrics are omitted, so a line may be empty. σ is the standard deviation of the previous layout.

        Example:
            >>> LayoutQuality(knn_accuracy=0.987, silhouette=0.5, trustworthiness=0.9931, movement=0.0123).in_words()
            ('10-NN accuracy 98.7% · silhouette 0.50', 'trustworthiness 0.993 · moved 0.012 σ')
        """
        texts = [
            f"10-NN accuracy {self.knn_accuracy:.1%}",
            f"silhouette {self.silhouette:.2f}",
            f"trustworthiness {self.trustworthiness:.3f}",
            f"KL divergence {self.divergence:.3g}",
            f"moved {self.movement:.3f} σ",
        ]
        known = [text if np.isfinite(value) else "" for text, value in zip(texts, self, strict=True)]
        return " · ".join(filter(None, known[:2])), " · ".join(filter(None, known[2:]))

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
    return LayoutQuality(
        knn_accuracy(layout.points, labels),
        silhouette(layout.points, labels),
        np.nan if values is None else trustworthiness(values, layout.points),
        np.nan if layout.divergence is None else layout.divergence,
        np.nan if last is None else movement(layout.points, last),
    )


def projection_tab_data(
    layer: str, method: Method, points: FloatArray, predicted: npt.NDArray[np.integer], numbers: LayoutQuality
) -> TabData:
    """Returns a layout as data for the tab.

    Args:
        layer: Name of the layer.
        method: Projection method of the layout.
        points: Shape (samples, 2).
        predicted: Predicted class indices, shape (samples,); -1 if unknown.
        numbers: Quality metrics from `measure`.

    Example:
        >>> projection_tab_data("fc1", "pca", np.zeros((9, 2)), np.zeros(9, int), LayoutQuality(movement=0.5)).info
        {'numbers': {'movement': 0.5}}
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "points": points.astype(np.float32),
        "predicted": predicted.astype(np.int16),
    }
    return TabData("projection", {"layer": layer, "method": method}, {"numbers": numbers.known()}, arrays)
