"""All standard pictures of a plain PyTorch model in one call, for notebooks."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lightning_cnnviz.data.scores import are_scores, confidences, predicted_classes
from lightning_cnnviz.errors import ClassNames, class_names_list
from lightning_cnnviz.functional.drawing.encode import encode
from lightning_cnnviz.functional.drawing.image import Labels, Picture, to_labels
from lightning_cnnviz.functional.drawing.image_sheet import prediction_sheet
from lightning_cnnviz.functional.escaping import file_name
from lightning_cnnviz.functional.feature_map_grid import feature_maps, mean_maps
from lightning_cnnviz.functional.kernels import conv_weight, kernel_grid
from lightning_cnnviz.functional.model_summary.arrangement import arranged
from lightning_cnnviz.functional.model_summary.diagram import architecture_diagram
from lightning_cnnviz.functional.model_summary.network_graph import network_graph
from lightning_cnnviz.functional.projection.chart import projection_chart
from lightning_cnnviz.functional.projection.layout import FEWEST_SAMPLES, project
from lightning_cnnviz.model.capture import Activations, check_one_input, record
from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.layers import convolutions, last_hidden_layer, select_layers

MAX_LAYERS = 4
"""Maximum number of convolutions shown by default, evenly spaced over the depth."""
MAX_IMAGES, MAX_PREDICTIONS = 4, 20
"""Maximum number of images with feature maps, and with predictions."""


class Pictures(Mapping[str, Picture]):
    """Pictures by name, displayed inline as the result of a notebook cell.

    Args:
        pictures: Name → picture.
        notes: One line for each thing that was left out, with the reason.
    """

    def __init__(self, pictures: Mapping[str, Picture], notes: Sequence[str] = ()) -> None:
        self._pictures = dict(pictures)
        self.notes = list(notes)
        """What was left out and why."""

    def __getitem__(self, name: str) -> Picture:
        return self._pictures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    def __repr__(self) -> str:
        lines = [f"{name}: {picture.shape[1]} × {picture.shape[0]} pixels" for name, picture in self.items()]
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        figures = [
            f'<figure style="margin:0 0 1.5em"><figcaption><b>{escape(name)}</b></figcaption>'
            f'<img alt="{escape(name)}" '
            f'src="data:image/png;base64,{b64encode(encode(picture).data).decode()}"></figure>'
            for name, picture in self.items()
        ]
        return "\n".join([*figures, *(f"<p>{escape(note)}</p>" for note in self.notes)])

    def save(self, folder: str | Path) -> list[Path]:
        """Saves each picture as a PNG file in a folder, created if missing; returns the paths."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = [Path(folder, f"{file_name(name)}.png") for name in self]
        for path, picture in zip(paths, self.values(), strict=True):
            path.write_bytes(encode(picture).data)
        return paths


def look(
    model: nn.Module,
    images: torch.Tensor,
    labels: "Labels | None" = None,
    *,
    class_names: ClassNames | None = None,
    layers: str | Sequence[str] | None = None,
) -> Pictures:
    """Draws the standard pictures of a model: diagram, kernels, feature maps, predictions, t-SNE of its embedding.

    The model is left unchanged: training modes, buffers, random states, hooks.

    Args:
        model: Any module; called as `model(images)`.
        images: Model inputs, shape (samples, channels, *size). Feature maps are drawn for the first four and
            predictions for the first twenty; t-SNE uses all of them and needs at least five.
        labels: Class indices, shape (samples,), negative if unknown: a tensor, array or list. Default: unknown.
        class_names: Names by class index: a list, tuple, array or dict. Default: the indices.
        layers: Convolutions to show, as exact names or globs. Default: four, evenly spaced over the depth.

    Returns:
        Name → picture, height × width × 3, uint8. The names are the tags that the callbacks use, such as
        `"kernels/conv1"`. As the result of a notebook cell, all pictures are displayed.

    Raises:
        ValueError: If `layers` matches no convolution, or the numbers of images and labels differ.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
        >>> list(look(net, torch.rand(2, 1, 8, 8), [0, 2]))
        ['architecture/diagram', 'class_report/samples', 'kernels/0', 'feature_maps/0', 'feature_maps/overview']
    """
    check_one_input(model)
    targets = np.full(len(images), -1) if labels is None else to_labels(labels)
    if targets.shape != (len(images),):
        raise ValueError(f"expected one label for each of {len(images)} images, got shape {targets.shape}")
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    images = images.detach().to(device)
    convolved = select_layers(model, layers, convolutions(model), "convolution")
    shown, notes = convolved, []
    if layers is None and len(convolved) > MAX_LAYERS:
        shown = [convolved[i] for i in np.linspace(0, len(convolved) - 1, MAX_LAYERS).round().astype(int)]
        notes.append(f"{len(shown)} of {len(convolved)} convolutions are shown; choose others with layers=[...]")
    pictures: dict[str, Picture] = {}
    diagram = architecture_diagram(arranged(network_graph(model, images[:1])), title=type(model).__name__)
    pictures["architecture/diagram"] = diagram

    recorded = record(model, images[:MAX_PREDICTIONS], [])
    names = _names(class_names, targets, recorded)
    predicted = predicted_classes(recorded.output, len(images[:MAX_PREDICTIONS]))
    if predicted is not None and recorded.output is not None:
        few = images[:MAX_PREDICTIONS].cpu()
        pictures["class_report/samples"] = prediction_sheet(
            few, targets[: len(few)], predicted, confidences(recorded.output), names, title="predictions"
        )
    for name in shown:
        with evaluating(model.get_submodule(name)) as layer:  # a parametrized weight is computed on access
            weight = conv_weight(layer).detach().cpu().clone()
        pictures[f"kernels/{name}"] = kernel_grid(weight, title=name)
    few = images[:MAX_IMAGES]
    maps = record(model, few, convolved).layers
    captions = _captions(targets, predicted, names)[: len(few)]
    for name in shown:
        if name in maps:
            pictures[f"feature_maps/{name}"] = feature_maps(maps[name], few.cpu(), captions, title=name)
    if maps:
        pictures["feature_maps/overview"] = mean_maps(maps, few.cpu(), captions, title="overview")
    if len(images) >= FEWEST_SAMPLES:
        hidden = last_hidden_layer(model, images[:2])
        layout = project(record(model, images, [hidden]).layers[hidden])
        pictures[f"projection/{hidden}/tsne"] = projection_chart(layout, targets, names, method="tsne", title=hidden)
    else:
        notes.append(f"no t-SNE: it needs at least {FEWEST_SAMPLES} images, got {len(images)}")
    return Pictures(pictures, notes)


def _names(given: Any, targets: Any, recorded: Activations) -> list[str]:
    if given is not None:
        return class_names_list(given)
    output = recorded.output
    outputs = output.shape[1] if output is not None and are_scores(output, len(output)) and output.ndim == 2 else 2
    return [str(index) for index in range(max(int(targets.max(initial=0)) + 1, outputs, 2))]


def _captions(targets: Any, predicted: torch.Tensor | None, names: Sequence[str]) -> list[list[str]]:
    def name(label: int) -> str:
        return names[label] if label < len(names) else str(label)

    rows = islice(targets.tolist(), MAX_PREDICTIONS)
    return [
        ([f"true: {name(true)}"] if true >= 0 else [])
        + ([] if predicted is None else [f"pred: {name(int(predicted[index]))}"])
        for index, true in enumerate(rows)
    ]
