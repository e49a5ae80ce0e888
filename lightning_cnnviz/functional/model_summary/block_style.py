"""What stands for a node in the diagram: boxes in the colours of their roles, and words."""

from collections.abc import Iterator
from math import log2, sqrt

from lightning_cnnviz.functional.drawing.colours import CLASSES
from lightning_cnnviz.functional.model_summary.arrangement import Arrangement, Item
from lightning_cnnviz.functional.model_summary.boxes import Block, Colour, Cuboid
from lightning_cnnviz.functional.model_summary.channel_order import channels_last
from lightning_cnnviz.functional.model_summary.layer_info import GraphNode, NodeRole

MIN_BOX_SIDE, MAX_BOX_SIDE = 10, 150
"""Range of the height and depth of a box, in pixels."""
SLICE_THICKNESS, DEFAULT_DEPTH = 5, 24
"""In pixels: the thickness of slices, and the depth of outputs without a width."""
MIN_REFERENCE_SIZE = 16
"""Minimum size of feature maps that are drawn with `MAX_BOX_SIDE`, so that small maps stay small."""
MAX_SLICES = 12
"""Parts of a folded block beyond this number have no slice."""


def _colour(index: int) -> Colour:
    red, green, blue = CLASSES[index].tolist()
    return red, green, blue


ROLE_COLOURS: dict[NodeRole, Colour] = {
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


class BlockStyle:
    """Makes the blocks of a diagram; see `architecture_diagram` for their scales.

    Args:
        arrangement: The network.
        zoom: Factor of all sizes.

    Attributes:
        roles: The roles in the blocks that have been made.
    """

    def __init__(self, arrangement: Arrangement, zoom: float) -> None:
        self.graph, self.labels, self.zoom = arrangement.graph, arrangement.labels, zoom
        self.last = channels_last(self.graph)
        sizes = [self._channels_and_size(index)[1] for index in range(len(self.graph.nodes))]
        self.largest = max((side for size in sizes for side in size), default=1)
        self.roles: set[NodeRole] = set()

    def block(self, item: Item) -> Block:
        """Returns the boxes of a node and those attached to it, or of a folded group, with their text."""
        nodes = [self.graph.nodes[index] for index in item.nodes]
        first = nodes[0]
        inside = list(self._leaves(item.nodes[0])) if first.is_group else []
        parts = [first, *nodes[1:]]
        if inside:
            parts = inside if len(inside) <= MAX_SLICES else inside[:MAX_SLICES]
        self.roles |= {part.role for part in parts}
        channels, size = self._channels_and_size(item.nodes[0])
        bare = first.role == "other" and not first.parameters and not inside
        slim = [bool(inside) or bare or k > 0 for k in range(len(parts))]
        boxes = [self._cuboid(channels, size, part.role, thin) for part, thin in zip(parts, slim, strict=True)]
        names = [self.labels[index] for index in item.nodes]
        if first.blocks:
            names = [names[0].removesuffix(f" {first.kind}"), f"{first.kind} ×{first.blocks}"]
        elif inside and first.kind not in names[0]:
            names.append(first.kind)
        return Block(tuple(boxes), str(channels), "×".join(map(str, size)), tuple(names))

    def _leaves(self, group: int) -> Iterator[GraphNode]:
        """The nodes in a group that are no groups; of equal blocks, those in the first."""
        for index in range(group + 1, len(self.graph.nodes)):
            node = self.graph.nodes[index]
            if node.parent == group:
                if node.is_group:
                    yield from self._leaves(index)
                else:
                    yield node
                if self.graph.nodes[group].blocks:
                    return

    def _channels_and_size(self, index: int) -> tuple[int, tuple[int, ...]]:
        shape = self.graph.nodes[index].shape or ()
        if not shape:
            return 1, ()
        return (shape[-1], shape[:-1]) if self.last[index] else (shape[0], shape[1:])

    def _cuboid(self, channels: int, size: tuple[int, ...], role: NodeRole, slim: bool) -> Cuboid:
        colour, zoom = ROLE_COLOURS[role], self.zoom
        if not size:
            height = min(30 + 10 * log2(max(channels, 1)), 1.3 * MAX_BOX_SIDE)
            return Cuboid(height * zoom, DEFAULT_DEPTH * zoom, (SLICE_THICKNESS if slim else 9) * zoom, colour)
        height, *depth = (
            MIN_BOX_SIDE + (MAX_BOX_SIDE - MIN_BOX_SIDE) * sqrt(side / max(self.largest, MIN_REFERENCE_SIZE))
            for side in size[-2:]
        )
        thickness = SLICE_THICKNESS if slim else 2 + 3 * channels**0.4
        return Cuboid(height * zoom, (depth or [DEFAULT_DEPTH])[0] * zoom, thickness * zoom, colour)
