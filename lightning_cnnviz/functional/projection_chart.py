"""A layout as a picture: classes in colours, and what it is in words."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.image import Picture
from lightning_cnnviz.functional.projection import Layout, Method
from lightning_cnnviz.functional.projection_numbers import Numbers, measure
from lightning_cnnviz.functional.scatter import scatter_chart


def projection_chart(
    layout: Layout,
    labels: npt.NDArray[np.intp],
    class_names: Sequence[str],
    *,
    method: Method,
    numbers: Numbers | None = None,
    title: str = "",
) -> Picture:
    """Draws a layout: classes in colours with their names at their medians, and what it is in words.

    Args:
        layout: From `project`.
        labels: Shape (samples,), class numbers; negative where unknown.
        class_names: A name for each class number.
        method: How the layout was made.
        numbers: From `measure`, where they are known already.
        title: First line, e.g. layer, epoch and step.

    Returns:
        Height × width × 3, uint8. The second line gives method and number of samples and how far the classes
        come apart, the third how true the layout is and how far it has moved, as far as that is known.

    Example:
        >>> layout = Layout(np.random.default_rng(0).normal(size=(20, 2)), None)
        >>> projection_chart(layout, np.repeat([0, 1], 10), ["cat", "dog"], method="pca").shape
        (700, 750, 3)
    """
    words = chart_words(layout, numbers or measure(layout, labels), method=method, title=title)
    return scatter_chart(layout.points, labels, class_names, title=words)


def chart_words(layout: Layout, numbers: Numbers, *, method: Method, title: str) -> str:
    """The lines above a chart; arguments as in `projection_chart`.

    Example:
        >>> print(chart_words(Layout(np.zeros((9, 2)), None), Numbers(movement=0.5), method="pca", title="epoch 3"))
        epoch 3
        PCA · 9 samples
        moved 0.500 σ
    """
    shown = int(np.isfinite(layout.points).all(axis=1).sum())
    left_out = len(layout.points) - shown
    apart, true = numbers.in_words()
    first = [method_words(method, [layout]), f"{shown} samples", apart]
    second = [true, f"{left_out} samples with non-finite activations left out" if left_out else ""]
    lines = [title, *(" · ".join(filter(None, words)) for words in (first, second))]
    return "\n".join(filter(None, lines))


def method_words(method: Method, layouts: Sequence[Layout]) -> str:
    """A method in words, with the perplexity of its layouts.

    Example:
        >>> method_words("tsne", [Layout(np.zeros((99, 2)), 30.0)])
        't-SNE (perplexity 30)'
    """
    used = dict.fromkeys(f"{layout.perplexity:.3g}" for layout in layouts if layout.perplexity is not None)
    return {"pca": "PCA", "umap": "UMAP"}.get(method, f"t-SNE (perplexity {', '.join(used)})")
