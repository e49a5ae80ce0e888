import warnings

import numpy as np
import pytest
from helpers.reading import frames, written
from matplotlib import colormaps

from lightning_cnnviz.functional.filter_response_grid import filter_response

RED_BLUE = np.round(colormaps["RdBu_r"](np.linspace(0, 1, 201))[:, :3] * 255)


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def values_in(cell, height, width, limit):
    """What was drawn, read off one pixel per value."""
    tall, wide = cell.shape[0] // height, cell.shape[1] // width
    assert cell.shape[:2] == (height * tall, width * wide)
    distance = np.abs(cell[::tall, ::wide, None].astype(float) - RED_BLUE).sum(-1)
    return (distance.argmin(-1) - 100) / 100 * limit


def drawn(kernels, responses, **options):
    image = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    return filter_response(kernels, responses, {"image": image}, **options)


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_pairs_can_be_read_off_the_picture(count):
    rng = np.random.default_rng(0)
    kernels, responses = rng.normal(size=(count, 4, 4)), 7 * rng.normal(size=(count, 8, 8))
    image, *found = frames(drawn(kernels, responses))
    assert image[0, -1].tolist() == [255] * 3
    for cells, values in ((found[::2], kernels), (found[1::2], responses)):
        limit = np.abs(values).max()
        for cell, value in zip(cells, values, strict=True):
            assert np.abs(values_in(cell, *value.shape, limit) - value).max() <= limit / 200 * 1.01


def test_what_is_left_out_and_what_is_broken_is_written():
    kernels, responses = np.ones((9, 3, 3)), np.ones((9, 6, 6))
    responses[1, 2, 2:4] = np.nan, np.inf
    kernels[0, 0, 0] = -np.inf
    picture = drawn(kernels, responses[:5], max_kernels=5, title="conv1", note="input channel 0 of 1")
    assert written(picture, "5 of 9 kernels, 4 left out")
    assert written(picture, "input channel 0 of 1")
    assert written(picture, "1 non-finite weights (magenta)")
    assert written(picture, "2 non-finite responses (magenta)")
    assert len(frames(picture)) == 1 + 2 * 5
    assert written(drawn(kernels, responses), "9 kernels")


@pytest.mark.parametrize(
    ("kernel", "size"),
    [((5,), (40,)), ((5,), (5000,)), ((3, 3, 3), (8, 9, 7)), ((1, 1), (300, 100)), ((7, 2), (1, 1))],
)
def test_pairs_of_every_rank_and_size_are_drawn(kernel, size):
    rng = np.random.default_rng(0)
    picture = drawn(rng.normal(size=(5, *kernel)), rng.normal(size=(5, *size)))
    assert len(frames(picture)) == 11
    assert max(picture.shape[:2]) < 1600


@pytest.mark.parametrize(("kernels", "responses", "cap"), [(3, 2, 64), (2, 3, 64), (0, 0, 64), (3, 3, 0)])
def test_numbers_that_do_not_fit_are_refused(kernels, responses, cap):
    with pytest.raises(ValueError, match=f"got {kernels} kernels, {responses} responses and max_kernels={cap}"):
        drawn(np.ones((kernels, 3, 3)), np.ones((responses, 5, 5)), max_kernels=cap)
