"""Where boxes of a diagram stand: side by side in rows, with room for the words under them."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple, TypeAlias

from lightning_cnnviz.functional.drawing.caption import text_width

Colour: TypeAlias = tuple[int, int, int]

RIGHT, UP = 0.30, 0.24
"""Pixels on the picture for each pixel of depth."""
HIDDEN = (0.0, 0.25, 0.5)
"""Shares of a box's side that the next box may cover; more only if that saves a row."""
GAP, LABEL_GAP = 14, 8
WIDEST_LABEL = 120


class Cuboid(NamedTuple):
    """A cuboid; lengths in pixels.

    Attributes:
        height: Of the front.
        depth: Backwards; drawn foreshortened, to the upper right.
        thickness: Of the front, from left to right.
        colour: Of the front; the top is lighter, the side darker.
    """

    height: float
    depth: float
    thickness: float
    colour: Colour


class Block(NamedTuple):
    """Boxes that touch, and what is written under them.

    Attributes:
        boxes: From left to right.
        number: Directly under the first box.
        size: Below, in line with those of the other blocks.
        names: Below that; the first stands out.
        group: Neighbours with the same get a bracket with this name; empty for none.
    """

    boxes: tuple[Cuboid, ...]
    number: str
    size: str
    names: tuple[str, ...]
    group: str

    @property
    def thickness(self) -> float:
        """Of all boxes."""
        return sum(box.thickness for box in self.boxes)

    @property
    def reach(self) -> float:
        """Pixels from the middle of the depth to the left of the front, and to the right of the back."""
        return max(box.depth for box in self.boxes) * RIGHT / 2

    @property
    def half_height(self) -> float:
        """Pixels from the middle to the lowest and to the highest point."""
        return max(box.height + box.depth * UP for box in self.boxes) / 2


class Slot(NamedTuple):
    """A block, half the width of what is written under it, and the share of its side that may be covered."""

    block: Block
    words: float
    hidden: float

    def left(self, place: float) -> float:
        """Where the slot begins, if the middle of the block's left side is at `place`."""
        return min(place - self.block.reach, self.number(place) - self._digits, self.middle(place) - self.words)

    def right(self, place: float) -> float:
        """Where the slot ends."""
        end = place + self.block.thickness + self.block.reach
        return max(end, self.number(place) + self._digits, self.middle(place) + self.words)

    def middle(self, place: float) -> float:
        """The middle of the words."""
        return place + self.block.thickness / 2

    def span(self, place: float) -> tuple[float, float]:
        """From where to where words and block reach, in the middle of its depth."""
        half = max(self.words, self.block.thickness / 2)
        return self.middle(place) - half, self.middle(place) + half

    def front(self, place: float) -> float:
        """The left side of the first front."""
        return place - self.block.boxes[0].depth * RIGHT / 2

    def number(self, place: float) -> float:
        """The middle of the number, which is that of the first front."""
        return self.front(place) + self.block.boxes[0].thickness / 2

    def after(self, before: "Slot", place: float) -> float:
        """The place of this slot, after another one with its place."""
        side = place + before.block.thickness + before.block.reach * (1 - 2 * before.hidden)
        digits = before.number(place) + before._digits + LABEL_GAP / 2
        return max(
            side + GAP + self.block.reach,
            digits + self.block.reach,
            digits + self._digits - self.number(0),
            before.middle(place) + before.words + LABEL_GAP + self.words - self.middle(0),
        )

    @property
    def _digits(self) -> float:
        return text_width(self.block.number) / 2


def to_slots(blocks: Sequence[Block], hidden: float) -> list[Slot]:
    """The room that each block takes."""
    slots = []
    for group, members in groupby(blocks, key=lambda block: block.group):
        same = list(members)
        share = (min(text_width(group), WIDEST_LABEL) + 4) / len(same)  # room for the bracket's name
        for block in same:
            own = max(text_width(line) for line in (block.size, *block.names))
            slots.append(Slot(block, max(min(own, WIDEST_LABEL), share) / 2, hidden))
    return slots


def places_of(slots: Sequence[Slot]) -> list[float]:
    """The places of the slots of a row, which begins at 0."""
    places = [-slots[0].left(0)]
    for before, slot in pairwise(slots):
        places.append(slot.after(before, places[-1]))
    return places


def wrap(slots: Sequence[Slot], length: int) -> list[list[Slot]]:
    """Rows of at most a length in pixels, unless a single block is longer."""
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
