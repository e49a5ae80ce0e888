import warnings

import matplotlib
import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.drawing.image import (
    diverging,
    enlarge,
    finite_limit,
    planes,
    reduced,
    sequential,
    signed_rgb,
    tile,
    to_array,
)

MAGENTA = [255, 0, 255]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def brightness(colours):
    return colours.astype(float) @ [0.2126, 0.7152, 0.0722]


# ---- to_array


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool]
)
def test_to_array_gives_float32_of_any_dtype(dtype):
    values = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype)
    array = to_array(values)
    assert array.dtype == np.float32
    assert array.tolist() == [[0, 1, 1], [1, 0, 1]]


@pytest.mark.parametrize(
    "values",
    [torch.arange(6.0), torch.arange(6.0, requires_grad=True), np.arange(6, dtype=np.float32), np.arange(6.0)],
    ids=["tensor", "parameter", "float32 array", "float64 array"],
)
def test_to_array_is_independent_of_what_it_was_made_of(values):
    array = to_array(values)
    if isinstance(values, torch.Tensor):
        with torch.no_grad():
            values += 100
    else:
        values += 100
    assert array.tolist() == [0, 1, 2, 3, 4, 5]
    array[:] = -1
    assert values[1] == 101


def test_to_array_keeps_the_order_of_views():
    values = torch.arange(24.0).reshape(2, 3, 4)
    assert np.array_equal(to_array(values.permute(2, 0, 1)), np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1))
    assert np.array_equal(to_array(np.arange(6)[::-2]), [5, 3, 1])


# ---- signed colours


def test_zero_is_neutral_and_the_sign_has_its_colour():
    values = np.linspace(-3, 3, 61, dtype=np.float32)
    colours = diverging(values, 3.0).astype(int)
    middle = colours[30]
    assert middle.min() == middle.max()
    assert (colours[:30, 2] > colours[:30, 0]).all()  # blue below
    assert (colours[31:, 0] > colours[31:, 2]).all()  # red above


def test_signed_colours_get_darker_with_the_magnitude():
    colours = diverging(np.linspace(-1, 1, 201, dtype=np.float32), 1.0)
    steps = np.diff(brightness(colours))
    assert (steps[:99] > 0).all()
    assert (steps[101:] < 0).all()
    assert len(np.unique(colours, axis=0)) == 201


def test_values_beyond_the_limit_have_the_strongest_colours():
    colours = diverging(np.float32([-9, -1, 1, 9]), 1.0)
    assert (colours[0] == colours[1]).all()
    assert (colours[3] == colours[2]).all()


def test_each_kernel_may_have_its_own_limit():
    values = np.float32([[1, -1], [10, -10], [0, 0]])
    limits = finite_limit(values, axis=(1,))
    assert limits.tolist() == [[1], [10], [0]]
    own = diverging(values, limits)
    assert (own[0] == own[1]).all()
    assert (own[2] == diverging(np.float32([0, 0]), 1.0)).all()
    together = diverging(values, finite_limit(values))
    assert brightness(together[0]).min() > brightness(together[1]).max()


def test_largest_magnitude_leaves_out_what_is_not_finite():
    assert finite_limit(np.float32([1, -4, np.inf, np.nan])) == 4
    assert finite_limit(np.float32([np.nan, -np.inf])) == 0
    assert finite_limit(np.zeros((0, 3), dtype=np.float32)) == 0


@pytest.mark.parametrize(
    "colour",
    [
        lambda values: diverging(values, 1.0),
        lambda values: diverging(values, 0.0),
        lambda values: sequential(values, 0.0, 1.0),
        lambda values: sequential(values, 0.0, 0.0),
        lambda values: signed_rgb(np.stack([values, np.zeros_like(values), np.ones_like(values)], -1), 1.0),
    ],
)
def test_what_is_not_finite_is_magenta_and_nothing_else_is(colour):
    values = np.float32([np.nan, np.inf, -np.inf, 0, 0.5, 1, -1])
    is_magenta = (colour(values) == MAGENTA).all(axis=-1)
    assert is_magenta.tolist() == [True, True, True, False, False, False, False]


def test_a_limit_of_zero_is_neutral():
    neutral = diverging(np.float32([0]), 1.0)[0]
    assert (diverging(np.zeros((2, 5), dtype=np.float32), 0.0) == neutral).all()
    assert (signed_rgb(np.zeros((4, 3), dtype=np.float32), 0.0) == 128).all()


def test_three_signed_planes_are_red_green_and_blue_around_grey():
    values = np.float32([[1, 0, -1], [-0.5, 0.5, 0]])
    expected = np.round((values.astype(float) + 1) / 2 * 255)
    assert np.abs(signed_rgb(values, 1.0) - expected).max() <= 1
    assert (signed_rgb(values * 7, 7.0) == signed_rgb(values, 1.0)).all()


def test_opposite_infinities_in_one_pixel_are_magenta():
    values = np.float32([[np.inf, -np.inf, 0], [1, 0, 0]])
    assert signed_rgb(values, 1.0)[0].tolist() == MAGENTA


# ---- unsigned colours


def test_sequential_is_viridis_from_dark_to_bright():
    values = np.linspace(-2, 6, 201, dtype=np.float32)
    expected = matplotlib.colormaps["viridis"](np.linspace(0, 1, 201))[:, :3] * 255
    assert np.abs(sequential(values, -2.0, 6.0) - expected).max() <= 0.5 + 1e-6
    assert (np.diff(brightness(sequential(values[::5], -2.0, 6.0))) > 0).all()


@pytest.mark.parametrize("constant", [0.0, -3.0, 7.5])
def test_a_constant_map_is_darkest(constant):
    darkest = sequential(np.float32([0, 1]), 0.0, 1.0)[0]
    assert (sequential(np.full((2, 3), constant, dtype=np.float32), constant, constant) == darkest).all()


def test_sequential_scales_may_differ_from_map_to_map():
    values = np.float32([[0, 1], [0, 100]])
    both = sequential(values, np.zeros((2, 1)), np.float32([[1], [100]]))
    assert (both[0] == both[1]).all()


# ---- geometry


def cell_at(picture, index, columns, height, width, gap):
    """A cell's pixels, found by counting: one outline pixel on each side, `gap` pixels between outlines."""
    down = height + 2 + gap if gap else height + 1
    right = width + 2 + gap if gap else width + 1
    top, left = index // columns * down + 1, index % columns * right + 1
    return picture[top : top + height, left : left + width]


@pytest.mark.parametrize("gap", [0, 1, 4])
@pytest.mark.parametrize(
    ("count", "columns", "height", "width"), [(1, 1, 3, 3), (7, 3, 2, 5), (6, 3, 4, 1), (2, 5, 1, 1)]
)
def test_every_tile_stands_at_its_place_with_an_outline_around(count, columns, height, width, gap):
    cells = np.random.default_rng(0).integers(0, 100, (count, height, width, 3), dtype=np.uint8)
    picture = tile(cells, columns, gap)
    rows = -(-count // columns)
    pixels = count * height * width
    for index, cell in enumerate(cells):
        assert (cell_at(picture, index, columns, height, width, gap) == cell).all()
    if gap:
        assert picture.shape == (rows * (height + 2 + gap) - gap, columns * (width + 2 + gap) - gap, 3)
        outline = count * (2 * (height + width) + 4)
        assert (picture == 120).all(-1).sum() == outline
        assert (picture == 255).all(-1).sum() == picture.shape[0] * picture.shape[1] - outline - pixels
    else:
        assert picture.shape == (rows * (height + 1) + 1, columns * (width + 1) + 1, 3)
        assert ((picture == 120).all(-1) | (picture == 255).all(-1)).sum() == picture[..., 0].size - pixels


def test_enlarging_repeats_pixels_in_both_directions_only():
    cells = np.random.default_rng(0).integers(0, 255, (2, 2, 3, 3), dtype=np.uint8)
    large = enlarge(cells, 3)
    assert large.shape == (2, 6, 9, 3)
    for row in range(6):
        for column in range(9):
            assert (large[:, row, column] == cells[:, row // 3, column // 3]).all()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 3), (2, 3, 1, 1)),
        ((2, 3, 5), (2, 3, 1, 5)),
        ((2, 3, 5, 7), (2, 3, 5, 7)),
        ((2, 3, 4, 5, 7), (2, 3, 5, 7)),
    ],
)
def test_activations_of_any_rank_become_planes(shape, expected):
    assert planes(np.zeros(shape, dtype=np.float32)).shape == expected


@pytest.mark.parametrize(("depth", "middle"), [(1, 0), (3, 1), (4, 2), (5, 2)])
def test_of_a_volume_the_middle_slice_is_taken(depth, middle):
    values = np.random.default_rng(0).normal(size=(1, 2, depth, 3, 3)).astype(np.float32)
    assert (planes(values) == values[:, :, middle]).all()


@pytest.mark.parametrize("shape", [(3,), (1, 1, 1, 1, 1, 1)])
def test_planes_refuses_other_ranks_and_says_what_came(shape):
    message = f"expected 2 to 5 dimensions .* got shape \\({', '.join(map(str, shape))}"
    with pytest.raises(ValueError, match=message):
        planes(np.zeros(shape, dtype=np.float32))


# ---- reducing


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_large_maps_become_the_means_of_their_areas(factor):
    values = np.random.default_rng(0).normal(size=(2, 3, 12 * factor, 8 * factor)).astype(np.float32)
    found = reduced(values, 12)
    assert found.shape == (2, 3, 12, 8)
    expected = values.reshape(2, 3, 12, factor, 8, factor).mean(axis=(3, 5))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(100, 1), (1, 500), (224, 224), (97, 96), (300, 41)])
def test_the_longer_side_becomes_the_size_and_the_sides_keep_their_ratio(height, width):
    found = reduced(np.ones((height, width), dtype=np.float32), 96)
    assert max(found.shape) == 96
    assert min(found.shape) == max(1, round(min(height, width) * 96 / max(height, width)))
    np.testing.assert_allclose(found, 1, rtol=1e-6)


def test_small_maps_stay_as_they_are():
    values = np.random.default_rng(0).normal(size=(2, 5, 7)).astype(np.float32)
    assert reduced(values, 7) is values
    assert reduced(np.zeros((0, 20, 20), dtype=np.float32), 7).shape == (0, 7, 7)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_mean_of_what_is_not_finite_is_not_finite(broken):
    values = np.zeros((40, 40), dtype=np.float32)
    values[13, 29] = broken
    found = reduced(values, 10)
    assert np.argwhere(~np.isfinite(found)).tolist() == [[3, 7]]
    largest = np.full((40, 40), 3e38, dtype=np.float32)
    np.testing.assert_allclose(reduced(largest, 10), 3e38, rtol=1e-6)
