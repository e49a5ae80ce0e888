"""Scatter plot of a layout, coloured by class, with a heading."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from lightning_cnnviz.errors import ClassNames, class_names_list
from lightning_cnnviz.functional.drawing.image import Labels, Picture, to_labels
from lightning_cnnviz.functional.drawing.scatter import scatter_chart
from lightning_cnnviz.functional.projection.layout import Layout, Method
from lightning_cnnviz.functional.projection.quality import LayoutQuality, measure

if TYPE_CHECKING:  # imported where a figure is asked for: it takes three tenths of a second
    from matplotlib.figure import Figure


@overload
def projection_chart(
    layout: Layout,
    labels: Labels,
    class_names: ClassNames,
    *,
    method: Method,
    numbers: LayoutQuality | None = None,
    title: str = "",
    as_figure: Literal[False] = False,
) -> Picture: ...
@overload
def projection_chart(
    layout: Layout,
    labels: Labels,
    class_names: ClassNames,
    *,
    method: Method,
    numbers: LayoutQuality | None = None,
    title: str = "",
    as_figure: Literal[True],
) -> "Figure": ...
def projection_chart(
    layout: Layout,
    labels: Labels,
    class_names: ClassNames,
    *,
    method: Method,
    numbers: LayoutQuality | None = None,
    title: str = "",
    as_figure: bool = False,
) -> "Picture | Figure":
    """Draws a layout coloured by class, with class names at the class medians and a heading.

    Args:
        layout: From `project`.
        labels: Class indices, shape (samples,): tensor, array or list; negative if unknown.
        class_names: A name for each class index: list, tuple, array or dict.
        method: Projection method of the layout.
        numbers: Quality metrics from `measure`. Default: computed here.
        title: First line of the heading, e.g. layer, epoch and step.
        as_figure: Return a matplotlib figure of the same content, e.g. to restyle it for a paper.

    Returns:
        Height × width × 3, uint8; or the figure if `as_figure` is set. The second line of the heading states the
        method, the number of samples and the class separation; the third line the faithfulness of the layout, its
        movement, and whether it continues the previous layout or was begun anew, as far as known.

    Example:
        >>> layout = Layout(np.random.default_rng(0).normal(size=(20, 2)), None)
        >>> projection_chart(layout, np.repeat([0, 1], 10), ["cat", "dog"], method="pca").shape
        (700, 750, 3)
    """
    labels, names = to_labels(labels), class_names_list(class_names)
    heading = chart_words(layout, numbers or measure(layout, labels), method=method, title=title)
    if not as_figure:
        return scatter_chart(layout.points, labels, names, title=heading)
    from lightning_cnnviz.functional.drawing.scatter_figure import scatter_figure

    return scatter_figure(layout.points, labels, names, title=heading)


def chart_words(layout: Layout, numbers: LayoutQuality, *, method: Method, title: str) -> str:
    """Returns the heading of a chart; arguments as in `projection_chart`.

    Example:
        >>> layout, quality = Layout(np.zeros((9, 2)), None), LayoutQuality(movement=0.5)
        >>> print(chart_words(layout, quality, method="pca", title="epoch 3"))
        epoch 3
        PCA · 9 samples
        moved 0.500 σ
    """
    shown = int(np.isfinite(layout.points).all(axis=1).sum())
    left_out = len(layout.points) - shown
    separation, faithfulness = numbers.in_words()
    first = [method_words(method, [layout]), f"{shown} samples", separation]
    second = [
        faithfulness,
        origin_words(layout),
        f"{left_out} samples with non-finite activations left out" if left_out else "",
    ]
    lines = [title, *(" · ".join(filter(None, parts)) for parts in (first, second))]
    return "\n".join(filter(None, lines))


def origin_words(layout: Layout) -> str:
    """Returns how a layout began, empty if it had no previous one.

    Example:
        >>> origin_words(Layout(np.zeros((99, 2)), 30.0, 0.5, "anew"))
        'begun anew'
    """
    return {"continued": "continued", "anew": "begun anew"}.get(layout.origin or "", "")


def method_words(method: Method, layouts: Sequence[Layout]) -> str:
    """Returns the display name of a method, with the perplexity of its layouts for t-SNE.

    Example:
        >>> method_words("tsne", [Layout(np.zeros((99, 2)), 30.0)])
        't-SNE (perplexity 30)'
    """
    used = dict.fromkeys(f"{layout.perplexity:.3g}" for layout in layouts if layout.perplexity is not None)
    return {"pca": "PCA", "umap": "UMAP"}.get(method, f"t-SNE (perplexity {', '.join(used)})" if used else "t-SNE")
