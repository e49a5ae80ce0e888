"""Samples near a size in pixels, none of them distorted."""

import numpy as np
import pytest
import torch
from helpers.reading import written

from lightning_cnnviz.functional.drawing.photograph import photograph
from lightning_cnnviz.functional.drawing.samples import (
    INPUT_SIZE,
    centred,
    drawn_sample,
    enlarged,
    reduction_note,
    sample_picture,
)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width", "size"), [(8, 8, 96), (28, 28, 96), (3, 7, 50), (1, 1, 24), (96, 40, 96)])
def test_small_cells_grow_by_the_largest_whole_factor_that_fits(height, width, size):
    cells = noise(2, height, width)
    factor = size // max(height, width)
    found = enlarged(cells, size)
    assert found.shape == (2, height * factor, width * factor, 3)
    assert max(found.shape[1:3]) <= size < max(found.shape[1:3]) + max(height, width)
    np.testing.assert_array_equal(found, np.kron(cells, np.ones((1, factor, factor, 1), dtype=np.uint8)))


def test_cells_without_room_stay_as_they_are():
    np.testing.assert_array_equal(enlarged(noise(2, 50, 20), 30), noise(2, 50, 20))


def test_maps_that_are_drawn_smaller_are_said_to_be():
    sizes = [(10, 10), (448, 300), (448, 300), (1, 500)]
    assert reduction_note(sizes, 220) == "maps of 448×300, 1×500 reduced by averaging"
    assert reduction_note(sizes[:1], 220) == ""


@pytest.mark.parametrize(("width", "left", "right"), [(10, 1, 2), (7, 0, 0), (5, 0, 0), (8, 0, 1), (9, 1, 1)])
def test_white_is_added_at_both_sides(width, left, right):
    cells = noise(2, 4, 7)
    found = centred(cells, width)
    assert found.shape == (2, 4, 7 + left + right, 3)
    np.testing.assert_array_equal(found[:, :, left : left + 7], cells)
    assert (found[:, :, :left] == 255).all()
    assert (found[:, :, left + 7 :] == 255).all()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8), (1, 224, 160), (2, 9), (1, 4, 9, 9)])
def test_a_sample_is_framed_with_its_lines_below(shape):
    image = np.random.default_rng(0).normal(size=shape)
    picture = sample_picture(image, ["true: bag", "pred: coat"])
    bare = sample_picture(image, [])
    assert picture.shape[1] == bare.shape[1] == INPUT_SIZE + 24
    np.testing.assert_array_equal(picture[: len(bare)], bare)
    below = picture[len(bare) :]
    assert written(below, "true: bag")
    assert written(below, "pred: coat")
    rows, columns = np.nonzero((bare != 255).any(axis=-1))
    inside = bare[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max()]
    frame = bare[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (frame[[0, -1]] == 120).all()
    assert (frame[:, [0, -1]] == 120).all()
    shown = enlarged(photograph(image, INPUT_SIZE), INPUT_SIZE)
    np.testing.assert_array_equal(inside[:: len(inside) // len(shown)], shown)


def test_a_line_that_is_too_long_is_cut_at_the_width():
    assert sample_picture(np.zeros((1, 8, 8)), ["x" * 200]).shape[1] == INPUT_SIZE + 24


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8, torch.float32, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 224, 224), (16_000,), (5,)])
def test_a_sample_looks_the_same_however_often_it_is_drawn(kind, shape):
    values = np.random.default_rng(0).integers(0, 200, shape)
    image = torch.from_numpy(values).to(kind) if isinstance(kind, torch.dtype) else values.astype(kind)
    first = drawn_sample(image, 96).copy()
    for other in range(70):  # more than are kept
        drawn_sample(np.full((1, 8, 8), other), 96)
    np.testing.assert_array_equal(drawn_sample(image, 96), first)
    assert not np.array_equal(drawn_sample(image, 60), first)
    image[...] = 255 - image
    assert not np.array_equal(drawn_sample(image, 96), first)


def test_a_kept_sample_cannot_be_changed_by_who_draws_it():
    picture = drawn_sample(np.random.default_rng(0).random((1, 8, 8)), 96)
    with pytest.raises(ValueError, match="read-only"):
        picture[0] = 0


def test_of_the_same_numbers_another_shape_or_type_is_another_sample():
    values = np.arange(64, dtype=np.uint8)
    shapes = [(1, 8, 8), (1, 4, 16), (64,)]
    pictures = [drawn_sample(values.reshape(shape), 96) for shape in shapes]
    assert len({picture.shape for picture in pictures}) == 3
    signed = drawn_sample(values.astype(np.int16), 96)
    assert signed.shape == pictures[-1].shape
