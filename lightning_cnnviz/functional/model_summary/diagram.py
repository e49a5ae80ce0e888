"""Diagram of a network: the outputs of its layers as boxes, in order of execution."""

from collections.abc import Sequence
from itertools import takewhile
from math import log2, prod, sqrt
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from lightning_cnnviz.functional.drawing.caption import beside, text_line, titled
from lightning_cnnviz.functional.drawing.colours import CLASSES
from lightning_cnnviz.functional.drawing.image import Picture, tile
from lightning_cnnviz.functional.model_summary.box_layout import Block, Colour, Cuboid
from lightning_cnnviz.functional.model_summary.boxes import box_rows
from lightning_cnnviz.functional.model_summary.layer_info import LayerInfo, Role

BoxRole: TypeAlias = Role | Literal["input"]

MAX_DIAGRAM_WIDTH = 1584
"""Maximum width of a row of boxes, in pixels."""
MIN_BOX_SIDE, MAX_BOX_SIDE = 10, 150
"""Range of the height and depth of a box, in pixels."""
SLICE_THICKNESS, DEFAULT_DEPTH = 5, 24
"""In pixels: the thickness of slices, and the depth of outputs without a width."""
MIN_REFERENCE_SIZE = 16
"""Minimum size of feature maps that are drawn with `MAX_BOX_SIDE`, so that small maps stay small."""
MAX_ENLARGED_BLOCKS = 12
"""Up to this number of blocks, the diagram is enlarged."""
SLICE_ROLES = ("normalisation", "activation", "dropout")
MAX_BLOCKS_WITH_ALL_NAMES, MAX_BLOCKS_WITH_SLICES, MAX_BLOCKS = 36, 100, 300
"""Beyond these numbers of blocks, slices are not named, slices are not drawn, and further blocks are not drawn."""


def _colour(index: int) -> Colour:
    red, green, blue = CLASSES[index].tolist()
    return red, green, blue


ROLE_COLOURS: dict[BoxRole, Colour] = {
    "input": (236, 236, 236),
    "convolution": _colour(0),
    "normalisation": _colour(7),
    "activation": _colour(1),
    "pooling": _colour(2),
    "linear": _colour(4),
    "attention": _colour(9),
    "dropout": _colour(3),
    "other": _colour(8),
}


class _Layer(NamedTuple):
    """A layer to be drawn, with its output shape split into channels and size."""

    name: str
    kind: str
    role: BoxRole
    learns: bool
    channels: int
    size: tuple[int, ...]


def architecture_diagram(infos: Sequence[LayerInfo], input_shape: Sequence[int], *, title: str = "") -> Picture:
    """Draws the output of each layer as a box in oblique projection, starting with the input on the left.

    Height and depth of a box show height and width of the feature maps: they grow with the square root of the size
    relative to the largest map of the network. The thickness grows with the number of channels to the power of 0.4.
    Vectors are tall bars whose height grows with the logarithm of their length. Normalisation, activation and dropout
    are thin slices attached to the layer before them if they keep its output shape, otherwise separate boxes. The text
    under each box states the number of channels, the size of the maps, and the names of the layer and its slices.
    Branches are not drawn.

    Args:
        infos: From `architecture`. Modules that contain other listed modules, or returned no tensor, are skipped. For
            very deep networks, only layers with weights and pooling are drawn; the number left out is stated.
        input_shape: Shape of one sample.
        title: Written above the diagram.

    Returns:
        Height × width × 3, uint8; up to 1600 pixels wide, in as many rows as necessary.

    Example:
        >>> conv = LayerInfo("conv1", "Conv2d", "convolution", (6, 24, 24), 156, 156, 86400, 1)
        >>> architecture_diagram([conv], (1, 28, 28), title="LeNet-5").shape
        (432, 470, 3)
    """
    drawable = [info for info in infos if info.output_shape is not None and not _contains(info, infos)]
    blocks = _blocks(drawable, tuple(input_shape))
    if len(blocks) > MAX_BLOCKS_WITH_SLICES:
        essential = [block for block in blocks if _is_essential(block[0])]
        blocks = [block[:1] for block in essential[:MAX_BLOCKS]]
    shown = [layer for block in blocks for layer in block]
    groups = [_split(block[0].name)[0].split(".") for block in blocks[1:]]
    shared = ".".join(parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*groups, strict=False)))
    left_out = len(drawable) + 1 - len(shown)
    largest = max((side for layer in shown for side in layer.size), default=1)
    zoom = 1.5 if len(blocks) <= MAX_ENLARGED_BLOCKS else 1.0
    named = len(blocks) <= MAX_BLOCKS_WITH_ALL_NAMES
    return titled(
        box_rows([_block(block, largest, zoom, shared, named) for block in blocks], MAX_DIAGRAM_WIDTH),
        title,
        f"{len(infos)} layers with {sum(info.parameters for info in infos):,} parameters · "
        f"{sum(info.multiply_adds for info in infos):,} multiply-adds per sample",
        "in order of execution, branches are not drawn · sizes on compressed scales"
        + (f' · names are within "{shared}"' if shared else "")
        + (f" · {left_out} layers left out" if left_out else ""),
        scale=_legend([layer.role for layer in shown]),
    )


def _blocks(infos: Sequence[LayerInfo], input_shape: tuple[int, ...]) -> list[list[_Layer]]:
    """Groups each layer with the slices that follow it."""
    first_last = bool(infos) and _channels_last(infos[0], input_shape, 0)
    blocks = [[_Layer("input", "", "input", False, *_channels_and_size(input_shape, first_last))]]
    before = input_shape
    for info in infos:
        shape = info.output_shape or ()
        channels, size = _channels_and_size(shape, _channels_last(info, shape, blocks[-1][0].channels))
        learns = info.parameters > 0 or info.multiply_adds > 0
        layer = _Layer(info.name, info.kind, info.role, learns, channels, size)
        reshapes = info.role == "other" and not learns and prod(shape) == prod(before)
        if reshapes or (info.role in SLICE_ROLES and shape == before):
            blocks[-1].append(layer)
        else:
            blocks.append([layer])
        before = shape
    return blocks


def _is_essential(layer: _Layer) -> bool:
    """Whether a layer is drawn even in very deep networks."""
    return layer.role in ("input", "pooling") or (layer.learns and layer.role not in SLICE_ROLES)


def _block(layers: Sequence[_Layer], largest: int, zoom: float, shared: str, named: bool) -> Block:
    first, *slices = layers
    group, _ = _split(first.name)
    return Block(
        boxes=(
            _box(first, largest, zoom),
            *(_box(part, largest, zoom)._replace(thickness=SLICE_THICKNESS * zoom) for part in slices),
        ),
        number=str(first.channels),
        size="×".join(map(str, first.size)),
        names=tuple(_label(layer, group, shared) for layer in (layers if named else layers[:1])),
        group=_without(group, shared),
    )


def _channels_last(info: LayerInfo, shape: tuple[int, ...], before: int) -> bool:
    """Whether features are the last dimension of a shape (as for linear layers and transformers), not the first."""
    if info.role in ("linear", "attention") or info.kind in (
        "LayerNorm",
        "RMSNorm",
        "Embedding",
        "LSTM",
        "GRU",
        "RNN",
    ):
        return True
    if info.role in ("convolution", "pooling", "normalisation"):
        return False
    return bool(shape) and shape[-1] == before != shape[0]


def _channels_and_size(shape: tuple[int, ...], channels_last: bool) -> tuple[int, tuple[int, ...]]:
    if not shape:
        return 1, ()
    return (shape[-1], shape[:-1]) if channels_last else (shape[0], shape[1:])


def _box(layer: _Layer, largest: int, zoom: float) -> Cuboid:
    colour = ROLE_COLOURS[layer.role]
    if not layer.size:
        height = min(30 + 10 * log2(max(layer.channels, 1)), 1.3 * MAX_BOX_SIDE)
        return Cuboid(height * zoom, DEFAULT_DEPTH * zoom, 9 * zoom, colour)
    height, *depth = (
        MIN_BOX_SIDE + (MAX_BOX_SIDE - MIN_BOX_SIDE) * sqrt(side / max(largest, MIN_REFERENCE_SIZE))
        for side in layer.size[-2:]
    )
    thickness = 2 + 3 * layer.channels**0.4
    return Cuboid(height * zoom, (depth or [DEFAULT_DEPTH])[0] * zoom, thickness * zoom, colour)


def _split(name: str) -> tuple[str, str]:
    """Splits a name into its parent and the rest, which starts with the last part that is not a number."""
    parts = name.split(".")
    cut = len(parts) - 1
    while cut and parts[cut].isdigit():
        cut -= 1
    return ".".join(parts[:cut]), ".".join(parts[cut:])


def _label(layer: _Layer, group: str, shared: str) -> str:
    """Returns the text for a layer under a block, without the parts of its name that are shown elsewhere."""
    parent, rest = _split(layer.name)
    name = rest if parent == group else _without(layer.name, shared)
    return name if any(map(str.isalpha, name)) else f"{name} {layer.kind}".strip()


def _without(name: str, shared: str) -> str:
    return name.removeprefix(f"{shared}.") if name != shared else ""


def _contains(info: LayerInfo, infos: Sequence[LayerInfo]) -> bool:
    return any(other is not info and other.name.startswith(info.name and f"{info.name}.") for other in infos)


def _legend(roles: Sequence[BoxRole]) -> Picture:
    present = set(roles)
    parts = []
    for role, colour in ROLE_COLOURS.items():
        if role in present:
            parts += [tile(np.full((1, 12, 12, 3), colour, dtype=np.uint8), 1), text_line(role)]
    return beside(*parts)
