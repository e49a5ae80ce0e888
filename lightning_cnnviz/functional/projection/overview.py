"""Layouts of several layers side by side, to compare class separation across depth."""

from collections.abc import Mapping

from lightning_cnnviz.errors import ClassNames, class_names_list
from lightning_cnnviz.functional.drawing.image import Labels, Picture, to_labels
from lightning_cnnviz.functional.drawing.scatter import scatter_grid
from lightning_cnnviz.functional.projection.chart import method_words, origin_words
from lightning_cnnviz.functional.projection.layout import Layout, Method
from lightning_cnnviz.functional.projection.quality import LayoutQuality, measure

MAX_LAYERS_PER_ROW = 5


def projection_overview(
    layouts: Mapping[tuple[str, Method], Layout],
    labels: Labels,
    class_names: ClassNames,
    *,
    numbers: Mapping[tuple[str, Method], LayoutQuality] | None = None,
    title: str = "",
) -> Picture:
    """Draws layouts of the same samples in a grid, with one row per method and one column per layer.

    Args:
        layouts: (layer, method) → layout from `project`, at least one, in the order of the rows and columns. Beyond
            five layers, the grid continues in further rows.
        labels: Class indices, shape (samples,): tensor, array or list; negative if unknown.
        class_names: A name for each class index: list, tuple, array or dict; with more than 20, none are written.
        numbers: (layer, method) → quality metrics from `measure`. Default: computed here.
        title: First line of text, e.g. epoch and step.

    Returns:
        Height × width × 3, uint8, up to 1780 pixels wide, with layer, how the layout began and quality metrics above
        each panel.

    Example:
        >>> import numpy as np
        >>> layout = Layout(np.random.default_rng(0).normal(size=(20, 2)), None)
        >>> layouts = {("conv1", "pca"): layout, ("conv2", "pca"): layout}
        >>> projection_overview(layouts, np.repeat([0, 1], 10), ["cat", "dog"]).shape
        (440, 730, 3)
    """
    labels, names = to_labels(labels), class_names_list(class_names)
    if numbers is None:
        numbers = {key: measure(layout, labels) for key, layout in layouts.items()}
    layers, methods = (list(dict.fromkeys(part)) for part in zip(*layouts, strict=True))
    blocks = -(-len(layers) // MAX_LAYERS_PER_ROW)
    columns = -(-len(layers) // blocks)
    panels = {}
    for (layer, method), layout in layouts.items():
        block, column = divmod(layers.index(layer), columns)
        first = " · ".join(filter(None, [layer, origin_words(layout)]))
        heading = "\n".join(filter(None, [first, *numbers[layer, method].in_words()]))
        panels[block * len(methods) + methods.index(method), column] = heading, layout.points
    rows = [method_words(method, [layouts[key] for key in layouts if key[1] == method]) for method in methods]
    return scatter_grid(panels, rows * blocks, labels, names, title=title)
