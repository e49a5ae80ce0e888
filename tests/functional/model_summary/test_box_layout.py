"""Where the boxes of a diagram stand: nothing overlaps, and rows are as long as they may be."""

from itertools import pairwise

import pytest

from lightning_cnnviz.functional.drawing.caption import text_width
from lightning_cnnviz.functional.model_summary.box_layout import (
    BLOCK_GAP,
    DEPTH_RIGHT,
    DEPTH_UP,
    MAX_LABEL_WIDTH,
    Block,
    Cuboid,
    places_of,
    to_slots,
    wrap,
)

BLUE = (63, 144, 218)


def block(height=100.0, depth=80.0, thickness=20.0, number="16", size="24×24", names=("conv1",), group="", slices=0):
    boxes = (Cuboid(height, depth, thickness, BLUE), *[Cuboid(height, depth, 4.0, BLUE)] * slices)
    return Block(boxes, number, size, names, group)


MIXED = [
    block(),
    block(depth=200, height=220, number="512"),
    block(thickness=70, names=("a_very_long_name_of_a_layer_that_is_wider_than_anything",)),
    block(depth=8, height=60, number="4096", size="", names=("fc", "relu", "dropout"), slices=2),
    block(number="1", names=("x",), group="features"),
    block(number="2", names=("y",), group="features"),
    block(number="3", names=("z",), group="a_group_with_a_name_that_is_long"),
]


def test_a_block_is_as_thick_as_its_boxes_together_and_as_high_as_the_highest():
    one = Block((Cuboid(100, 50, 20, BLUE), Cuboid(40, 200, 4, BLUE)), "", "", (), "")
    assert one.thickness == 24
    assert one.reach == 200 * DEPTH_RIGHT / 2
    assert one.half_height == max(100 + 50 * DEPTH_UP, 40 + 200 * DEPTH_UP) / 2


@pytest.mark.parametrize("hidden", [0.0, 0.25, 0.5])
def test_words_and_numbers_of_neighbours_do_not_touch(hidden):
    slots = to_slots(MIXED, hidden)
    places = places_of(slots)
    for (one, here), (other, there) in pairwise(zip(slots, places, strict=True)):
        assert one.middle(here) + one.half_label < other.middle(there) - other.half_label
        digits = text_width(one.block.number) / 2, text_width(other.block.number) / 2
        assert one.number(here) + digits[0] < other.number(there) - digits[1]
        assert other.front(there) > one.front(here) + one.block.thickness, "fronts lie over one another"


def test_without_hidden_sides_whole_boxes_stand_apart():
    slots = to_slots(MIXED, 0.0)
    for (one, here), (other, there) in pairwise(zip(slots, places_of(slots), strict=True)):
        right = here + one.block.thickness + one.block.reach
        assert there - other.block.reach >= right + BLOCK_GAP - 1e-9


@pytest.mark.parametrize("hidden", [0.0, 0.25, 0.5])
def test_of_a_boxs_side_no_more_is_covered_than_allowed(hidden):
    wide = [block(depth=200, number="", size="", names=("",)) for _ in range(4)]
    slots = to_slots(wide, hidden)
    for (one, here), (other, there) in pairwise(zip(slots, places_of(slots), strict=True)):
        side = 2 * one.block.reach
        covered = (here + one.block.thickness + one.block.reach) - (there - other.block.reach - BLOCK_GAP)
        assert covered <= hidden * side + 1e-9
        assert covered == pytest.approx(hidden * side)


def test_a_row_begins_at_zero_and_every_slot_holds_what_is_in_it():
    slots = to_slots(MIXED, 0.25)
    places = places_of(slots)
    assert slots[0].left(places[0]) == pytest.approx(0)
    for slot, place in zip(slots, places, strict=True):
        left, right = slot.span(place)
        assert slot.left(place) <= left
        assert right <= slot.right(place)
        assert slot.left(place) <= place - slot.block.reach
        assert place + slot.block.thickness + slot.block.reach <= slot.right(place)
        assert slot.front(place) >= slot.left(place)


def test_words_take_their_width_but_no_more_than_the_widest_label():
    short, long = to_slots([block(size="", names=("ab",)), block(names=("m" * 200,))], 0.0)
    assert 2 * short.half_label == pytest.approx(text_width("ab"))
    assert 2 * long.half_label == MAX_LABEL_WIDTH


def test_the_name_of_a_group_has_room_over_its_members_together():
    name = "encoder_stage"
    members = [block(thickness=5, depth=5, number="", size="", names=("",), group=name) for _ in range(3)]
    slots = to_slots(members, 0.0)
    places = places_of(slots)
    assert slots[-1].span(places[-1])[1] - slots[0].span(places[0])[0] >= text_width(name)


@pytest.mark.parametrize("length", [100, 200, 400, 700, 5000])
@pytest.mark.parametrize("hidden", [0.0, 0.5])
def test_rows_hold_all_blocks_in_their_order_and_as_many_as_fit(length, hidden):
    slots = to_slots(MIXED * 3, hidden)
    rows = wrap(slots, length)
    assert [slot for row in rows for slot in row] == slots
    for row, following in pairwise([*rows, []]):
        places = places_of(row)
        end = max(slot.right(place) for slot, place in zip(row, places, strict=True))
        assert end <= length or len(row) == 1
        if following:
            longer = [*row, following[0]]
            assert longer[-1].right(places_of(longer)[-1]) > length, "one more would have fitted"


def test_longer_rows_are_never_more():
    slots = to_slots(MIXED * 4, 0.25)
    counts = [len(wrap(slots, length)) for length in range(100, 3000, 100)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 1
