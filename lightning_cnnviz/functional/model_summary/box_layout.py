"""Layout of the boxes of a diagram: side by side in rows, with space for the text under them."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple, TypeAlias

from lightning_cnnviz.functional.drawing.caption import text_width

Colour: TypeAlias = tuple[int, int, int]

DEPTH_RIGHT, DEPTH_UP = 0.30, 0.24
"""Horizontal and vertical pixels for each pixel of depth, in oblique projection."""
HIDDEN_SHARES = (0.0, 0.25, 0.5)
"""Shares of a box's side that the next box may hide; a larger one is used only if it saves a row."""
BLOCK_GAP, LABEL_GAP = 14, 8
MAX_LABEL_WIDTH = 120
"""In pixels."""


class Cuboid(NamedTuple):
    """A cuboid; lengths in pixels.

    Attributes:
        height: Height of the front.
        depth: Extent to the back; drawn foreshortened, to the upper right.
        thickness: Width of the front.
        colour: Colour of the front; the top is lighter, the side darker.
    """

    height: float
    depth: float
    thickness: float
    colour: Colour


class Block(NamedTuple):
    """Adjoining boxes, and the text under them.

    Attributes:
        boxes: The boxes, from left to right.
        number: Text directly under the first box.
        size: Text below, aligned with that of the other blocks.
        names: Lines below that; the first is emphasised.
        group: Adjacent blocks with the same group get a bracket with its name; empty for none.
    """

    boxes: tuple[Cuboid, ...]
    number: str
    size: str
    names: tuple[str, ...]
    group: str

    @property
    def thickness(self) -> float:
        """Total thickness of the boxes."""
        return sum(box.thickness for box in self.boxes)

    @property
    def reach(self) -> float:
        """Horizontal pixels from the middle of the depth to the front (leftwards) and to the back (rightwards)."""
        return max(box.depth for box in self.boxes) * DEPTH_RIGHT / 2

    @property
    def half_height(self) -> float:
        """Vertical pixels from the middle to the lowest and to the highest point."""
        return max(box.height + box.depth * DEPTH_UP for box in self.boxes) / 2


class Slot(NamedTuple):
    """The space of a block in a row.

    Positions are horizontal, in pixels; the `place` of a slot is that of the left side of its block, at half depth.

    Attributes:
        block: The block.
        half_label: Half the width of the text under it.
        hidden: Share of its side that the next block may hide.
    """

    block: Block
    half_label: float
    hidden: float

    def left(self, place: float) -> float:
        """Returns the left end of the slot."""
        return min(place - self.block.reach, self.number(place) - self._digits, self.middle(place) - self.half_label)

    def right(self, place: float) -> float:
        """Returns the right end of the slot."""
        end = place + self.block.thickness + self.block.reach
        return max(end, self.number(place) + self._digits, self.middle(place) + self.half_label)

    def middle(self, place: float) -> float:
        """Returns the centre of the text."""
        return place + self.block.thickness / 2

    def span(self, place: float) -> tuple[float, float]:
        """Returns the left and right end of the text and the block, at half depth."""
        half = max(self.half_label, self.block.thickness / 2)
        return self.middle(place) - half, self.middle(place) + half

    def front(self, place: float) -> float:
        """Returns the left side of the first box's front."""
        return place - self.block.boxes[0].depth * DEPTH_RIGHT / 2

    def number(self, place: float) -> float:
        """Returns the centre of the number, under the first box's front."""
        return self.front(place) + self.block.boxes[0].thickness / 2

    def after(self, before: "Slot", place: float) -> float:
        """Returns the place of this slot to the right of another slot at a given place."""
        side = place + before.block.thickness + before.block.reach * (1 - 2 * before.hidden)
        digits = before.number(place) + before._digits + LABEL_GAP / 2
        return max(
            side + BLOCK_GAP + self.block.reach,
            digits + self.block.reach,
            digits + self._digits - self.number(0),
            before.middle(place) + before.half_label + LABEL_GAP + self.half_label - self.middle(0),
        )

    @property
    def _digits(self) -> float:
        return text_width(self.block.number) / 2


def to_slots(blocks: Sequence[Block], hidden: float) -> list[Slot]:
    """Computes the slot of each block."""
    slots = []
    for group, members in groupby(blocks, key=lambda block: block.group):
        same = list(members)
        share = (min(text_width(group), MAX_LABEL_WIDTH) + 4) / len(same)  # space for the name of the bracket
        for block in same:
            own = max(text_width(line) for line in (block.size, *block.names))
            slots.append(Slot(block, max(min(own, MAX_LABEL_WIDTH), share) / 2, hidden))
    return slots


def places_of(slots: Sequence[Slot]) -> list[float]:
    """Returns the places of the slots in a row that starts at 0."""
    places = [-slots[0].left(0)]
    for before, slot in pairwise(slots):
        places.append(slot.after(before, places[-1]))
    return places


def wrap(slots: Sequence[Slot], length: int) -> list[list[Slot]]:
    """Splits slots into rows of at most `length` pixels, unless a single block is longer."""
    rows: list[list[Slot]] = []
    place = 0.0
    for slot in slots:
        if rows and slot.right(following := slot.after(rows[-1][-1], place)) <= length:
            rows[-1].append(slot)
            place = following
        else:
            rows.append([slot])
            place = -slot.left(0)
    return rows
