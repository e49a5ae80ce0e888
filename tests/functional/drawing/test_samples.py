"""Samples near a size in pixels, none of them distorted."""

import numpy as np
import pytest
from helpers.reading import written

from lightning_cnnviz.functional.drawing.image import photograph
from lightning_cnnviz.functional.drawing.samples import INPUT_SIZE, centred, fit_to_size, sample_picture


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width", "size"), [(8, 8, 96), (28, 28, 96), (3, 7, 50), (1, 1, 24), (96, 40, 96)])
def test_small_cells_grow_by_the_largest_whole_factor_that_fits(height, width, size):
    cells = noise(2, height, width)
    factor = size // max(height, width)
    found = fit_to_size(cells, size)
    assert found.shape == (2, height * factor, width * factor, 3)
    assert max(found.shape[1:3]) <= size < max(found.shape[1:3]) + max(height, width)
    np.testing.assert_array_equal(found, np.kron(cells, np.ones((1, factor, factor, 1), dtype=np.uint8)))


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_large_cells_become_the_means_of_their_areas(factor):
    cells = noise(3, 12 * factor, 8 * factor)
    found = fit_to_size(cells, 12)
    assert found.shape == (3, 12, 8, 3)
    expected = cells.reshape(3, 12, factor, 8, factor, 3).mean(axis=(2, 4))
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(100, 1), (1, 500), (224, 224), (97, 96), (300, 41)])
def test_the_longer_side_is_the_size_and_the_sides_keep_their_ratio(height, width):
    found = fit_to_size(noise(height, width), 96)
    assert max(found.shape[:2]) == 96
    assert min(found.shape[:2]) == max(1, round(min(height, width) * 96 / max(height, width)))


def test_any_dimensions_before_stay():
    assert fit_to_size(noise(2, 5, 200, 100), 50).shape == (2, 5, 50, 25, 3)
    assert fit_to_size(noise(2, 5, 10, 10), 50).shape == (2, 5, 50, 50, 3)


@pytest.mark.parametrize(("width", "left", "right"), [(10, 1, 2), (7, 0, 0), (5, 0, 0), (8, 0, 1), (9, 1, 1)])
def test_white_is_added_at_both_sides(width, left, right):
    cells = noise(2, 4, 7)
    found = centred(cells, width)
    assert found.shape == (2, 4, 7 + left + right, 3)
    np.testing.assert_array_equal(found[:, :, left : left + 7], cells)
    assert (found[:, :, :left] == 255).all()
    assert (found[:, :, left + 7 :] == 255).all()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8), (1, 224, 160), (2, 50), (1, 4, 9, 9)])
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
    shown = fit_to_size(photograph(image)[None], INPUT_SIZE)[0]
    np.testing.assert_array_equal(inside[:: len(inside) // len(shown)], shown)


def test_a_line_that_is_too_long_is_cut_at_the_width():
    assert sample_picture(np.zeros((1, 8, 8)), ["x" * 200]).shape[1] == INPUT_SIZE + 24
