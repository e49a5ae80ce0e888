"""Boxes have the size they are said to have, stand in order, and no word covers another."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.reading import written
from scipy import ndimage

from lightning_cnnviz.functional.model_summary.box_layout import (
    HIDDEN_SHARES,
    Block,
    Cuboid,
    places_of,
    to_slots,
    wrap,
)
from lightning_cnnviz.functional.model_summary.boxes import box_rows

BLUE, RED = (63, 144, 218), (189, 31, 1)


def block(height=60.0, depth=40.0, thickness=20.0, colour=BLUE, number="6", size="8×8", names=("conv",), group=""):
    return Block((Cuboid(height, depth, thickness, colour),), number, size, tuple(names), group)


def fronts(picture, colour=BLUE):
    """Rows and columns of the areas of exactly this colour, from the left."""
    areas, _ = ndimage.label((picture == colour).all(-1))
    found = [places for places in ndimage.find_objects(areas) if places[0].stop - places[0].start > 3]
    return sorted(found, key=lambda places: places[1].start)


def size_of(places):
    return places[0].stop - places[0].start, places[1].stop - places[1].start


@pytest.mark.parametrize(("height", "thickness"), [(60, 20), (150, 5), (12, 80), (225, 40)])
def test_the_front_is_as_high_and_thick_as_asked_for(height, thickness):
    (front,) = fronts(box_rows([block(height=height, thickness=thickness)], 800))
    assert size_of(front) == (pytest.approx(height, abs=3), pytest.approx(thickness, abs=3))  # without the edges


def test_depth_shows_at_the_top_and_at_the_side():
    flat, deep = (box_rows([block(depth=depth, number="", size="", names=[""])], 800) for depth in (0, 100))
    assert deep.shape[1] - flat.shape[1] == pytest.approx(30, abs=1)
    assert deep.shape[0] - flat.shape[0] == pytest.approx(24, abs=2)
    lighter = [round(part + 0.4 * (255 - part)) for part in BLUE]
    darker = [round(0.78 * part) for part in BLUE]
    assert (deep == lighter).all(-1).sum() == pytest.approx(24 * 20, rel=0.2)
    assert (deep == darker).all(-1).sum() == pytest.approx(30 * 60, rel=0.2)
    assert not (flat == lighter).all(-1).any()


def test_boxes_of_a_block_touch_and_stand_in_order():
    both = Block((Cuboid(60, 40, 20, BLUE), Cuboid(60, 40, 8, RED)), "6", "8×8", ("conv", "relu"), "")
    picture = box_rows([both], 800)
    (first,), (second,) = fronts(picture), fronts(picture, RED)
    assert 0 < second[1].start - first[1].stop <= 3  # the edge between them


def test_blocks_stand_in_a_line_from_left_to_right_with_room_between_fronts():
    thicknesses = [10, 30, 20, 60]
    found = fronts(box_rows([block(thickness=thickness) for thickness in thicknesses], 800))
    assert [size_of(front)[1] for front in found] == pytest.approx(thicknesses, abs=3)
    assert len({(front[0].start, front[0].stop) for front in found}) == 1
    assert all(after[1].start - before[1].stop >= 14 for before, after in pairwise(found))


@pytest.mark.parametrize("count", [1, 7, 40, 200])
def test_rows_are_no_wider_than_allowed_and_hold_every_block(count):
    picture = box_rows([block(names=[f"conv{number}"]) for number in range(count)], 700)
    assert picture.shape[1] <= 700
    assert len(fronts(picture)) == count
    tops = [front[0].start for front in fronts(picture)]
    full = [tops.count(top) for top in sorted(set(tops))][:-1]
    assert not full or max(full) - min(full) <= 2


def test_what_is_written_stands_there():
    picture = box_rows([block(number="512", names=["conv5_3", "bn"], group="features"), block(names=["fc"])], 800)
    assert written(picture, "512", rows=len(picture))
    assert written(picture, "conv5_3", rows=len(picture))
    assert written(picture, "fc", rows=len(picture))
    assert not written(picture, "conv5_4", rows=len(picture))


def test_a_bracket_spans_the_blocks_of_its_group_only():
    names = ["a", "a", "b", "b", "b", "c"]
    picture = box_rows([block(group="" if name == "c" else name) for name in names], 1200)
    grey = (picture == 120).all(-1)
    lines, _ = ndimage.label(grey[-30:])
    wide = [columns for _, columns in ndimage.find_objects(lines) if columns.stop - columns.start > 30]
    found = [front[1] for front in fronts(picture)]
    covered = [[line.start < (front.start + front.stop) / 2 < line.stop for front in found] for line in wide]
    assert covered == [[True, True, False, False, False, False], [False, False, True, True, True, False]]


@pytest.mark.parametrize("hidden", HIDDEN_SHARES)
def test_neither_words_nor_numbers_nor_fronts_cover_each_other(hidden):
    random = np.random.default_rng(0)
    for _ in range(50):
        blocks = [
            block(
                *random.uniform(5, 200, 2), random.uniform(3, 80), number="9" * random.integers(1, 6), names=["m" * n]
            )
            for n in random.integers(1, 20, size=12)
        ]
        slots = to_slots(blocks, hidden)
        places = places_of(slots)
        for (slot, place), (after, following) in pairwise(zip(slots, places, strict=True)):
            assert slot.middle(place) + slot.half_label < after.middle(following) - after.half_label
            assert slot.number(place) < after.number(following)
            assert slot.front(place) + slot.block.thickness < after.front(following)
        assert min(slot.left(place) for slot, place in zip(slots, places, strict=True)) >= -1e-9 or hidden


def test_a_block_that_is_too_wide_has_its_own_row():
    slots = to_slots([block(), block(thickness=500), block()], 0.0)
    assert [len(row) for row in wrap(slots, 200)] == [1, 1, 1]
