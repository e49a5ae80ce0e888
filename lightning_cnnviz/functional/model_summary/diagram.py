"""A network as boxes: the shapes of what its layers return, in the order in which they run."""

from collections import Counter
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

Drawn: TypeAlias = Role | Literal["input"]

WIDTH = 1584
"""Pixels that a row of boxes takes at most."""
FLATTEST, TALLEST = 10, 150
SLICE, SHALLOW = 5, 24
"""Pixels: a box's height or depth at least and at most, the thickness of slices, the depth of what has no width."""
SMALLEST_LARGEST = 16
"""The side of maps that is drawn tallest is at least this."""
MAX_ENLARGED = 12
SLICED = ("normalisation", "activation", "dropout")
MAX_NAMED, MAX_WITH_SLICES, MAX_BLOCKS = 36, 100, 300
"""With more blocks than this the slices have no names, are not drawn, and the last blocks are not drawn."""


def _colour(place: int) -> Colour:
    red, green, blue = CLASSES[place].tolist()
    return red, green, blue


FRONTS: dict[Drawn, Colour] = {
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
    """A layer to be drawn, its shape taken apart."""

    name: str
    kind: str
    role: Drawn
    learns: bool
    channels: int
    size: tuple[int, ...]


def architecture_diagram(infos: Sequence[LayerInfo], input_shape: Sequence[int], *, title: str = "") -> Picture:
    """Draws the output of each layer as a box in oblique projection, from the input to the right.

    A box is as tall as the maps are high and as deep as they are wide, both by the square root of their share in the
    network's largest map, and as thick as there are channels, by their 0.4th power. Vectors are tall bars that grow
    with the logarithm of their size. Normalisation, activation and dropout are thin slices behind the layer
    before them if its output has their shape, otherwise boxes of their own. Under each box stand the channels, the
    maps' size and the names of the layer and its slices. Branches are not drawn.

    Args:
        infos: From `architecture`. What contains others of them, or returned no tensor, is left out. Of very deep
            networks only layers with weights and pooling are drawn; how many are left out is written.
        input_shape: Of a sample.
        title: Written above.

    Returns:
        Height × width × 3, uint8; up to 1600 pixels wide, in as many rows as it takes.

    Example:
        >>> conv = LayerInfo("conv1", "Conv2d", "convolution", (6, 24, 24), 156, 156, 86400, 1)
        >>> architecture_diagram([conv], (1, 28, 28), title="LeNet-5").shape
        (432, 470, 3)
    """
    drawable = [info for info in infos if info.output_shape is not None and not _contains(info, infos)]
    blocks = _blocks(drawable, tuple(input_shape))
    if len(blocks) > MAX_WITH_SLICES:
        weighty = [block for block in blocks if _has_weight(block[0])]
        blocks = [block[:1] for block in weighty[:MAX_BLOCKS]]
    shown = [layer for block in blocks for layer in block]
    groups = [_split(block[0].name)[0].split(".") for block in blocks[1:]]
    shared = ".".join(parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*groups, strict=False)))
    left_out = len(drawable) + 1 - len(shown)
    largest = max((side for layer in shown for side in layer.size), default=1)
    zoom = 1.5 if len(blocks) <= MAX_ENLARGED else 1.0
    named = len(blocks) <= MAX_NAMED
    return titled(
        box_rows([_block(block, largest, zoom, shared, named) for block in blocks], WIDTH),
        title,
        f"{len(infos)} layers with {sum(info.parameters for info in infos):,} parameters · "
        f"{sum(info.multiply_adds for info in infos):,} multiply-adds per sample",
        "in order of execution, branches are not drawn · sizes on compressed scales"
        + (f' · names are within "{shared}"' if shared else "")
        + (f" · {left_out} layers left out" if left_out else ""),
        scale=_legend([layer.role for layer in shown]),
    )


def _blocks(infos: Sequence[LayerInfo], input_shape: tuple[int, ...]) -> list[list[_Layer]]:
    """Each layer with the slices behind it."""
    first_last = bool(infos) and _channels_last(infos[0], input_shape, 0)
    blocks = [[_Layer("input", "", "input", False, *_taken_apart(input_shape, first_last))]]
    before = input_shape
    for info in infos:
        shape = info.output_shape or ()
        channels, size = _taken_apart(shape, _channels_last(info, shape, blocks[-1][0].channels))
        learns = info.parameters > 0 or info.multiply_adds > 0
        layer = _Layer(info.name, info.kind, info.role, learns, channels, size)
        reshapes = info.role == "other" and not learns and prod(shape) == prod(before)
        if reshapes or (info.role in SLICED and shape == before):
            blocks[-1].append(layer)
        else:
            blocks.append([layer])
        before = shape
    return blocks


def _has_weight(layer: _Layer) -> bool:
    """Whether a layer is drawn even in the deepest networks."""
    return layer.role in ("input", "pooling") or (layer.learns and layer.role not in SLICED)


def _block(layers: Sequence[_Layer], largest: int, zoom: float, shared: str, named: bool) -> Block:
    first, *slices = layers
    group, _ = _split(first.name)
    return Block(
        boxes=(
            _box(first, largest, zoom),
            *(_box(part, largest, zoom)._replace(thickness=SLICE * zoom) for part in slices),
        ),
        number=str(first.channels),
        size="×".join(map(str, first.size)),
        names=tuple(_label(layer, group, shared) for layer in (layers if named else layers[:1])),
        group=_without(group, shared),
    )


def _channels_last(info: LayerInfo, shape: tuple[int, ...], before: int) -> bool:
    """Whether features stand behind tokens or pixels, as linear layers want them, and not before."""
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


def _taken_apart(shape: tuple[int, ...], channels_last: bool) -> tuple[int, tuple[int, ...]]:
    if not shape:
        return 1, ()
    return (shape[-1], shape[:-1]) if channels_last else (shape[0], shape[1:])


def _box(layer: _Layer, largest: int, zoom: float) -> Cuboid:
    colour = FRONTS[layer.role]
    if not layer.size:
        height = min(30 + 10 * log2(max(layer.channels, 1)), 1.3 * TALLEST)
        return Cuboid(height * zoom, SHALLOW * zoom, 9 * zoom, colour)
    height, *depth = (
        FLATTEST + (TALLEST - FLATTEST) * sqrt(side / max(largest, SMALLEST_LARGEST)) for side in layer.size[-2:]
    )
    thickness = 2 + 3 * layer.channels**0.4
    return Cuboid(height * zoom, (depth or [SHALLOW])[0] * zoom, thickness * zoom, colour)


def _split(name: str) -> tuple[str, str]:
    """What a name is within, and the rest, which begins with the last part that is no number."""
    parts = name.split(".")
    cut = len(parts) - 1
    while cut and parts[cut].isdigit():
        cut -= 1
    return ".".join(parts[:cut]), ".".join(parts[cut:])


def _label(layer: _Layer, group: str, shared: str) -> str:
    """A name under a block of a group: the rest of it, where it is of that group itself."""
    own, rest = _split(layer.name)
    name = rest if own == group else _without(layer.name, shared)
    return name if any(map(str.isalpha, name)) else f"{name} {layer.kind}".strip()


def _without(name: str, shared: str) -> str:
    return name.removeprefix(f"{shared}.") if name != shared else ""


def _contains(info: LayerInfo, infos: Sequence[LayerInfo]) -> bool:
    return any(other is not info and other.name.startswith(info.name and f"{info.name}.") for other in infos)


def _legend(roles: Sequence[Drawn]) -> Picture:
    there = Counter(roles)
    parts = []
    for role, colour in FRONTS.items():
        if there[role]:
            parts += [tile(np.full((1, 12, 12, 3), colour, dtype=np.uint8), 1), text_line(role)]
    return beside(*parts)
