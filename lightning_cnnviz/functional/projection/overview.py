"""Layouts of several layers side by side: how the classes come apart with depth."""

from collections.abc import Mapping

from lightning_cnnviz.errors import ClassNames, class_names_list
from lightning_cnnviz.functional.drawing.image import Labels, Picture, to_labels
from lightning_cnnviz.functional.drawing.scatter import scatter_grid
from lightning_cnnviz.functional.projection.chart import method_words
from lightning_cnnviz.functional.projection.layout import Layout, Method
from lightning_cnnviz.functional.projection.quality import LayoutQuality, measure

MAX_COLUMNS = 5


def projection_overview(
    layouts: Mapping[tuple[str, Method], Layout],
    labels: Labels,
    class_names: ClassNames,
    *,
    numbers: Mapping[tuple[str, Method], LayoutQuality] | None = None,
    title: str = "",
) -> Picture:
    """Draws layouts of the same samples: a row for each method, a column for each layer.

    Args:
        layouts: (layer, method) → layout from `project`, at least one; layers and methods in the order in which
            they come. Of more than five layers the rest follows in further rows.
        labels: Class numbers, shape (samples,): tensor, array or list; negative where unknown.
        class_names: A name for each class number: list, tuple, array or dict; of more than 20 none is written.
        numbers: (layer, method) → numbers from `measure`, where they are known already.
        title: First line, e.g. epoch and step.

    Returns:
        Height × width × 3, uint8, up to 1780 pixels wide. Above each panel layer and numbers.

    Example:
        >>> layout = Layout(np.random.default_rng(0).normal(size=(20, 2)), None)
        >>> layouts = {("conv1", "pca"): layout, ("conv2", "pca"): layout}
        >>> projection_overview(layouts, np.repeat([0, 1], 10), ["cat", "dog"]).shape
        (440, 730, 3)
    """
    labels, names = to_labels(labels), class_names_list(class_names)
    if numbers is None:
        numbers = {key: measure(layout, labels) for key, layout in layouts.items()}
    layers, methods = (list(dict.fromkeys(part)) for part in zip(*layouts, strict=True))
    blocks = -(-len(layers) // MAX_COLUMNS)
    columns = -(-len(layers) // blocks)
    panels = {}
    for (layer, method), layout in layouts.items():
        block, column = divmod(layers.index(layer), columns)
        above = "\n".join(filter(None, [layer, *numbers[layer, method].in_words()]))
        panels[block * len(methods) + methods.index(method), column] = above, layout.points
    rows = [method_words(method, [layouts[key] for key in layouts if key[1] == method]) for method in methods]
    return scatter_grid(panels, rows * blocks, labels, names, title=title)
