"""Photographs: whatever the normalisation, in their own proportions."""

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.drawing.photograph import photograph, photographs

MAGENTA = [255, 0, 255]

pytestmark = pytest.mark.usefixtures("no_warnings")


def test_a_photograph_undoes_any_normalisation():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 5))
    pixels[:, 0, 0], pixels[:, 0, 1] = 0, 255
    normalised = (pixels / 255 - 0.4) / 0.2
    assert np.abs(photograph(torch.from_numpy(normalised)) - pixels.transpose(1, 2, 0)).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_than_three_channels_are_averaged_to_grey(channels):
    values = np.random.default_rng(0).normal(size=(channels, 4, 6))
    mean = values.mean(axis=0)
    expected = (mean - mean.min()) / (mean.max() - mean.min()) * 255
    picture = photograph(values)
    assert picture.shape == (4, 6, 3)
    assert np.abs(picture - expected[..., None]).max() <= 0.51


def test_signals_and_volumes_have_photographs():
    signal = np.float32([[0, 1, 2]])
    assert photograph(signal)[0, :, 0].tolist() == [0, 128, 255]
    volume = np.random.default_rng(0).normal(size=(1, 3, 4, 5)).astype(np.float32)
    assert (photograph(volume) == photograph(volume[:, 1])).all()


@pytest.mark.parametrize("constant", [0.0, 1.0, -5.0])
def test_a_constant_photograph_is_black(constant):
    assert (photograph(np.full((1, 2, 2), constant)) == 0).all()


def test_a_photograph_marks_what_is_not_finite_and_scales_by_the_rest():
    picture = photograph(np.float32([[[0, np.nan, 10], [np.inf, 5, -np.inf]]]))
    assert picture[0].tolist() == [[0, 0, 0], MAGENTA, [255, 255, 255]]
    assert picture[1].tolist() == [MAGENTA, [128, 128, 128], MAGENTA]
    assert (photograph(np.full((3, 2, 2), np.nan)) == MAGENTA).all()


def test_a_photograph_with_opposite_infinities_in_one_pixel_is_magenta_there():
    image = np.zeros((3, 1, 2))
    image[:, 0, 0] = np.inf, -np.inf, 0
    assert photograph(image)[0].tolist() == [MAGENTA, [0, 0, 0]]


def test_a_large_photograph_is_reduced_by_averaging_its_values():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 48, 36))
    pixels[:, 0, 0], pixels[:, 0, 1] = 0, 255
    expected = pixels.reshape(3, 12, 4, 9, 4).mean(axis=(2, 4)).transpose(1, 2, 0)
    for image in (pixels.astype(np.uint8), (pixels / 255 - 0.4) / 0.2):
        assert np.abs(photograph(image, 12) - expected).max() <= 1
    broken = pixels.astype(np.float32)
    broken[1, 20, 8] = np.nan
    picture = photograph(broken, 12)
    assert np.argwhere((picture == MAGENTA).all(-1)).tolist() == [[5, 2]]


def test_each_of_several_photographs_is_scaled_by_itself():
    images = np.random.default_rng(0).normal(size=(4, 3, 6, 5)) * np.array([1, 10, 1e38, 0])[:, None, None, None]
    images[1, 0, 2, 2] = np.nan
    images[2, :, 0, 0] = 3e38
    images[2, :, 0, 1] = -3e38
    for image, picture in zip(images, photographs(images), strict=True):
        np.testing.assert_array_equal(picture, photograph(image))
        finite = image[np.isfinite(image)]
        expected = (image - finite.min()) / ((np.ptp(finite)) or 1) * 255
        marked = ~np.isfinite(image).all(axis=0)
        assert (picture[marked] == MAGENTA).all()
        assert np.abs(picture - expected.transpose(1, 2, 0))[~marked].max() <= 0.51
    assert photographs(np.zeros((0, 1, 4, 4))).shape == (0, 4, 4, 3)


@pytest.mark.parametrize("shape", [(3, 1), (1, 1), (3, 1, 1), (1, 5)])
def test_the_smallest_photographs_can_be_marked_and_changed(shape):
    image = np.zeros(shape, dtype=np.float32)
    image[0, 0] = np.nan
    picture = photograph(image)
    assert picture[0, 0].tolist() == MAGENTA
    picture[:] = 7
