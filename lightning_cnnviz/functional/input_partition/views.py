"""Views of the partition of the input plane by a network, layer by layer."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from lightning_cnnviz.data.scores import are_logits
from lightning_cnnviz.functional.drawing.figure import finished
from lightning_cnnviz.functional.drawing.image import Picture
from lightning_cnnviz.functional.input_partition.affine_layer import GRID_SIZE, AffineLayer, activated, affine_layer
from lightning_cnnviz.functional.input_partition.cells import SAMPLE_GRID, Partition, borders
from lightning_cnnviz.functional.input_partition.nonlinearities import Float64Array, Pattern
from lightning_cnnviz.functional.input_partition.panels import (
    ON_OFF,
    ON_OFF_CAPTIONS,
    Points,
    Space,
    border_lines,
    coloured_space,
    data_points,
    dress,
    line_of,
    paint_cells,
    panels,
    pattern_colours,
    probability_colours,
    signed_colours,
)
from lightning_cnnviz.functional.input_partition.plane_model import PlaneModel, flat, grid_points


class PartitionViews:
    """Draws how a network partitions the input plane; every view is a separate picture.

    Args:
        plane: The network.
        partition: Its partition of the plane, from `partition`.
        train: Training data.
        test: Held-out data, or None.
        class_names: A name for each class index.
        caption: Appended to every title, e.g. epoch and step.
        max_units: Maximum number of units in the `nodes` view of a layer; its title states how many there are.
        as_figures: Return matplotlib figures instead of pixels, e.g. to restyle them for a paper.

    Example:
        >>> from lightning_cnnviz.functional.input_partition.cells import partition
        >>> plane = PlaneModel(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)))
        >>> data = Points(np.random.rand(9, 2), np.arange(9) % 2)
        >>> views = PartitionViews(plane, partition(plane, (0, 1, 0, 1)), data, None, ["a", "b"])
        >>> sorted(views.all())
        ['0/cells', '0/layer', '0/nodes', 'input/data', 'output/decision']
    """

    def __init__(
        self,
        plane: PlaneModel,
        partition: Partition,
        train: Points,
        test: Points | None,
        class_names: Sequence[str],
        *,
        caption: str = "",
        max_units: int = 8,
        as_figures: bool = False,
    ) -> None:
        self.plane = plane
        self.partition = partition
        self.train = train
        self.test = test
        self.class_names = class_names
        self.caption = caption
        self.max_units = max_units
        self.as_figures = as_figures
        self._shown = train if test is None else test

    def all(self, layers: Sequence[str] | None = None) -> dict[str, Callable[[], Picture]]:
        """Returns a drawing function for each view, by name.

        Args:
            layers: Names of layers, activations or max-pools to show; None for all.

        Raises:
            ValueError: If none of `layers` is an activation or feeds one.
        """
        nonlinearities = [level.nonlinearity for level in self.partition.levels]
        if (
            layers is not None
            and nonlinearities
            and not any(
                {nonlinearity.layer, nonlinearity.module_name} & set(layers) for nonlinearity in nonlinearities
            )
        ):
            available = ", ".join(
                dict.fromkeys(
                    name
                    for nonlinearity in nonlinearities
                    for name in (nonlinearity.layer, nonlinearity.module_name)
                    if name
                )
            )
            raise ValueError(
                f"layers={list(layers)}: none of these is an activation or feeds one; available: {available}"
            )
        drawing: dict[str, Callable[[], Picture]] = {"input/data": self.data, "output/decision": self.decision}
        for index, level in enumerate(self.partition.levels):
            if layers is not None and not {level.nonlinearity.layer, level.nonlinearity.module_name} & set(layers):
                continue
            name = level.nonlinearity.name
            if level.nonlinearity.breakpoints is None:
                drawing[f"{name}/winners"] = partial(self.winners, index)
            elif (layer := affine_layer(self.plane, self.partition.bounds, index)) is not None:
                drawing[f"{name}/nodes"] = partial(self.nodes, index, layer)
                drawing[f"{name}/layer"] = partial(self.layer, index, layer)
            drawing[f"{name}/cells"] = partial(self.cells, index)
        return drawing

    def data(self) -> Any:
        """Draws training and held-out data side by side."""
        sets = {"training": self.train, **({} if self.test is None else {"held out": self.test})}
        figure, axes = panels(1, len(sets), self._title("data"), [False] * len(sets), size=4.2)
        for panel, (name, data) in zip(axes, sets.items(), strict=True):
            paint_cells(panel, self.partition.bounds, [], np.ones((1, 3)), False, f"{name}, {len(data.places)} points")
            data_points(panel, data, self.class_names, at_most=len(data.places), size=10)
        self._legend(figure, axes[0])
        return self._finished(figure)

    def decision(self) -> Any:
        """Draws class probabilities over the plane, with decision boundaries, data and accuracy."""
        side = 4 * GRID_SIZE
        points = grid_points(self.partition.bounds, side)
        sets = {"training accuracy": self.train, **({} if self.test is None else {"held out": self.test})}
        all_points = [points, *(data.places for data in sets.values())]
        # Evaluated together, because a few logits alone may be mistaken for probabilities.
        found = _probabilities(self.plane.run(np.concatenate(all_points)).output)
        probabilities, *of_sets = np.split(found, np.cumsum([len(part) for part in all_points[:-1]]))
        scored = zip(sets.items(), of_sets, strict=True)
        scores = " · ".join(f"{name} {_accuracy(part, data)}" for (name, data), part in scored)
        figure, (axes,) = panels(1, 1, self._title("decision"), [False], size=6)
        colours = probability_colours(probabilities)
        paint_cells(axes, self.partition.bounds, [], colours, False, f"class probabilities · {scores}")
        x, y = points.reshape(side, side, 2).transpose(2, 0, 1)
        for index in np.unique(probabilities.argmax(axis=1))[:-1]:
            lead = probabilities[:, index] - np.delete(probabilities, index, axis=1).max(axis=1)
            axes.contour(x, y, lead.reshape(side, side), levels=[0], colors="black", linewidths=1)
        data_points(axes, self._shown, self.class_names)
        self._legend(figure, axes)
        return self._finished(figure)

    def nodes(self, index: int, layer: AffineLayer) -> Any:
        """Draws the units of a layer: response, activation and on/off in its input space, and on/off in the plane."""
        level = self.partition.levels[index]
        nonlinearity, names = level.nonlinearity, level.nonlinearity.unit_names()
        count, deep = min(len(names), self.max_units), layer.space.dimensions == 3
        title = (
            f"{nonlinearity.name} · {count} unit{'s' * (count > 1)}"
            if count == len(names)
            else f"{nonlinearity.name} · {count} of {len(names)} units"
        )
        figure, axes = panels(count, 4, self._title(title), [deep, deep, deep, False] * count)
        after = f"after {type(nonlinearity.module).__name__}"
        for unit, name in enumerate(names[:count]):
            response, activation, switch, plane = axes[4 * unit : 4 * unit + 4]
            limit = float(np.abs(np.concatenate([layer.responses[:, unit], layer.raster[:, unit]])).max())
            for panel, quantity, values, raster in (
                (response, "linear response", layer.responses, layer.raster),
                (activation, after, activated(nonlinearity, layer.responses), activated(nonlinearity, layer.raster)),
            ):
                coloured_space(
                    panel, layer.space, signed_colours(values[:, unit], limit), signed_colours(raster[:, unit], limit)
                )
                if layer.space.dimensions == 1:
                    line_of(panel, layer.space, raster[:, unit], quantity)
                dress(panel, layer.space, f"{name}: {quantity} (±{limit:.2g})")
            patterns = nonlinearity.pattern(layer.responses), nonlinearity.pattern(layer.raster)
            coloured_space(switch, layer.space, *(_on_off(pattern[:, unit]) for pattern in patterns))
            dress(switch, layer.space, f"{name}: {ON_OFF_CAPTIONS[len(nonlinearity.breakpoints or ())]}")
            for panel in (response, activation, switch):
                layer.draw_hyperplanes(panel, unit, nonlinearity)
            colours = _on_off(level.pattern[:, unit])
            paint_cells(plane, self.partition.bounds, level.cells, colours, False, "the same in the plane")
            data_points(plane, self._shown, self.class_names, size=8)
        return self._finished(figure)

    def layer(self, index: int, layer: AffineLayer) -> Any:
        """Draws a layer as a whole: its input space, the plane after its linear map and after its activation."""
        level = self.partition.levels[index]
        nonlinearity = level.nonlinearity
        before, after = Space(layer.responses), Space(activated(nonlinearity, layer.responses))
        deep = [space.dimensions == 3 for space in (layer.space, before, after)]
        figure, axes = panels(1, 4, self._title(f"{nonlinearity.name} as a whole"), [*deep, False], size=3.8)
        patterns = nonlinearity.pattern(layer.responses)
        coloured_space(
            axes[0], layer.space, pattern_colours(patterns), pattern_colours(nonlinearity.pattern(layer.raster))
        )
        for unit in range(len(layer.offsets)):
            layer.draw_hyperplanes(axes[0], unit, nonlinearity)
        dress(axes[0], layer.space, "partition of its input space")
        coloured_space(axes[1], before, pattern_colours(patterns))
        dress(axes[1], before, "the plane after the linear map")
        active = (patterns > 0).sum(axis=1)
        shades = colormaps["viridis"](active / max(patterns.shape[1], 1))[:, :3]
        coloured_space(axes[2], after, shades)
        dress(axes[2], after, f"after the activation, active nodes: 0 (dark) to {patterns.shape[1]} (bright)")
        count = level.num_patterns
        title = f"{'' if self.partition.exact else 'at least '}{count} pattern{'s' * (count > 1)} in the plane"
        paint_cells(
            axes[3], self.partition.bounds, level.cells, pattern_colours(level.pattern), not level.cells, title
        )
        border_lines(axes[3], borders(self.plane, self.partition, index))
        return self._finished(figure)

    def cells(self, index: int) -> Any:
        """Draws the cells formed by the layers up to this one, with data on top."""
        level = self.partition.levels[index]
        count = level.num_cells
        title = f"{'' if self.partition.exact else 'at least '}{count} cell{'s' * (count > 1)}"
        figure, (axes,) = panels(1, 1, self._title(f"layers up to {level.nonlinearity.name}"), [False], size=6)
        paint_cells(axes, self.partition.bounds, level.cells, pattern_colours(level.patterns), True, title)
        data_points(axes, self._shown, self.class_names)
        self._legend(figure, axes)
        return self._finished(figure)

    def winners(self, index: int) -> Any:
        """Draws over the plane which entry of each max-pool window is the largest."""
        level, bounds = self.partition.levels[index], self.partition.bounds
        windows = level.nonlinearity.windows()[: self.max_units]
        centres = (
            np.array([cell.mean(axis=0) for cell in level.cells]) if level.cells else grid_points(bounds, SAMPLE_GRID)
        )
        entries = flat(self.plane.run(centres).inputs[index])
        figure, axes = panels(
            1, len(windows), self._title(f"{level.nonlinearity.name} · which one wins"), [False] * len(windows)
        )
        lines = max(len(window) for window in windows) // 2 + 1
        figure.set_size_inches(figure.get_figwidth(), figure.get_figheight() + 0.16 * lines + 0.2)  # space for legends
        for unit, (window, panel) in enumerate(zip(windows, axes, strict=True)):
            shades = np.vstack([colormaps["viridis"](np.linspace(0, 1, len(window)))[:, :3], [1, 1, 1]])
            two = np.sort(entries[:, window], axis=1)[:, -2:]
            argmax = np.where(two[:, -1] > two[:, 0] if len(window) > 1 else True, level.pattern[:, unit], len(window))
            paint_cells(panel, bounds, level.cells, shades[argmax], False, f"output {unit}")
            names = [*(level.nonlinearity.unit_names()[entry] for entry in window), "no single one"]
            handles = [Patch(facecolor=colour, edgecolor="#444444", linewidth=0.5) for colour in shades]
            panel.set_anchor("N")
            panel.legend(handles, names, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)
        return self._finished(figure)

    def _legend(self, figure: Figure, axes: Any) -> None:
        handles, names = axes.get_legend_handles_labels()
        if handles:
            figure.legend(
                handles, names, loc="outside lower center", ncols=min(len(names), 6), fontsize=9, frameon=False
            )

    def _finished(self, figure: Figure) -> Any:
        return finished(figure, self.as_figures)

    def _title(self, subject: str) -> str:
        note = "" if self.partition.exact else f"guessed on {SAMPLE_GRID} × {SAMPLE_GRID} points (smooth activation)"
        return f"{subject}{' · ' * bool(self.caption)}{self.caption}\n{note}".strip()


def _probabilities(output: Tensor) -> Float64Array:
    scores = output.reshape(len(output), -1)
    if scores.shape[1] == 1:
        positive = scores.sigmoid() if are_logits(scores) else scores
        return flat(torch.cat([1 - positive, positive], dim=1))
    sums_to_one = torch.allclose(scores.sum(dim=1), torch.ones(len(scores), dtype=scores.dtype))
    return flat(scores if (scores >= 0).all() and sums_to_one else scores.softmax(dim=1))


def _accuracy(probabilities: Float64Array, data: Points) -> str:
    known = data.labels >= 0
    return f"{(probabilities.argmax(axis=1) == data.labels)[known].mean():.1%}" if known.any() else "unknown"


def _on_off(pattern: Pattern) -> Float64Array:
    return np.asarray(ON_OFF[pattern])
