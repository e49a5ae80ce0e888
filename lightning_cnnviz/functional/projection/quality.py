"""What a layout is worth, in numbers."""

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
    """Of one layout; NaN where a number is not defined or nothing is known to compute it from.

    Attributes:
        knn_accuracy: See `knn_accuracy`, of 10 neighbours; needs classes.
        silhouette: See `silhouette`; needs two classes.
        trustworthiness: See `trustworthiness`, of 5 neighbours; needs the activations.
        divergence: The Kullback-Leibler divergence that t-SNE arrived at, in nats.
        movement: See `movement`; needs a last layout.
    """

    knn_accuracy: float = np.nan
    silhouette: float = np.nan
    trustworthiness: float = np.nan
    divergence: float = np.nan
    movement: float = np.nan

    def in_words(self) -> tuple[str, str]:
        """Two lines for a picture: how far classes come apart, and how true the layout is and how far it moved.

        What is not known is left out; a line of which nothing is known is empty. σ is the layout's deviation.

        Example:
            >>> LayoutQuality(knn_accuracy=0.987, silhouette=0.5, trustworthiness=0.9931, movement=0.0123).in_words()
            ('10-NN accuracy 98.7% · silhouette 0.50', 'trustworthiness 0.993 · moved 0.012 σ')
        """
        words = [
            f"10-NN accuracy {self.knn_accuracy:.1%}",
            f"silhouette {self.silhouette:.2f}",
            f"trustworthiness {self.trustworthiness:.3f}",
            f"KL divergence {self.divergence:.3g}",
            f"moved {self.movement:.3f} σ",
        ]
        known = [word if np.isfinite(number) else "" for word, number in zip(words, self, strict=True)]
        return " · ".join(filter(None, known[:2])), " · ".join(filter(None, known[2:]))

    def known(self) -> dict[str, float]:
        """Those that are defined, by name: for scalars.

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
    """All numbers of a layout that can be known.

    Args:
        layout: From `project`.
        labels: Shape (samples,), class numbers; negative where unknown.
        values: What was laid out, shape (samples, dimensions): its principal components are enough.
        last: The points of the layout before, shape (samples, 2).

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
    """A layout for the tab.

    Args:
        layer: Its name.
        method: How the layout was made.
        points: Shape (samples, 2).
        predicted: Shape (samples,), class numbers; -1 where unknown.
        numbers: From `measure`.

    Example:
        >>> projection_tab_data("fc1", "pca", np.zeros((9, 2)), np.zeros(9, int), LayoutQuality(movement=0.5)).info
        {'numbers': {'movement': 0.5}}
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "points": points.astype(np.float32),
        "predicted": predicted.astype(np.int16),
    }
    return TabData("projection", {"layer": layer, "method": method}, {"numbers": numbers.known()}, arrays)
