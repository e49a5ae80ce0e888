"""Colours, scales and words of the picture."""

import numpy as np
import pytest

from lightning_cnnviz.functional.drawing.colours import DIVERGING, NON_FINITE, SEQUENTIAL
from lightning_cnnviz.functional.saliency.saliency_sheet import FADED, overlay, saliency_sheet

IMAGES = np.zeros((2, 1, 8, 8), dtype=np.float32)
IMAGES[:, :, :, 4:] = 1


def colours_of(picture):
    return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}


def sheet(maps, samples=(0, 1), **options):
    labels = [str(place) for place in range(len(maps))]
    return saliency_sheet(IMAGES, [["a"], ["b"]], maps, list(samples), labels, **{"signed": False, **options})


def test_each_map_has_a_scale_of_its_own_from_zero():
    maps = np.zeros((2, 2, 2), dtype=np.float32)
    maps[0, 0, 0], maps[1, 1, 1] = 5, 0.01
    picture = sheet(maps)
    brightest = (picture == SEQUENTIAL[-1]).all(axis=2)
    assert brightest[:, : picture.shape[1] // 2].any()
    assert brightest[:, picture.shape[1] // 2 :].any()


def test_signed_maps_have_zero_in_the_middle():
    maps = np.array([[[-2, 0], [0, 1]], [[0, 0], [0, 3]]], dtype=np.float32)
    colours = colours_of(sheet(maps, signed=True))
    assert tuple(DIVERGING[0].tolist()) in colours
    assert tuple(DIVERGING[-1].tolist()) in colours
    half = DIVERGING[len(DIVERGING) // 2 + len(DIVERGING) // 4]
    assert tuple(half.tolist()) in colours  # 1 of a map whose magnitude is 2


def test_where_a_map_is_zero_the_input_shows_through():
    image = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32)
    values = np.zeros((16, 16), dtype=np.float32)
    values[:4] = 1
    drawn = overlay(image, values, 1.0, 64, signed=False)
    plain = overlay(image, np.zeros((16, 16), dtype=np.float32), 1.0, 64, signed=False)
    assert (drawn[6:] == plain[6:]).all()
    assert (drawn[:2] != plain[:2]).any(axis=2).all()
    assert (plain == plain[..., :1]).all()  # grey
    assert FADED <= plain.min() < plain.max() <= 255 - FADED


def test_a_coarse_map_is_smoothed_over_its_input_only():
    maps = np.zeros((2, 2, 2), dtype=np.float32)
    maps[:, 0, 0] = 1
    drawn = overlay(np.zeros((1, 8, 8), dtype=np.float32), maps[0], 1.0, 8, signed=False)
    assert len(np.unique(drawn[0].sum(axis=1))) > 4
    assert len(colours_of(sheet(maps)) & {tuple(colour) for colour in SEQUENTIAL.tolist()}) >= 2


def test_maps_of_one_sample_stand_side_by_side_and_others_may_have_none():
    one, three = sheet(np.ones((1, 4, 4)), [0]), sheet(np.ones((3, 4, 4)), [0, 0, 0])
    assert three.shape[1] > one.shape[1] + 200
    assert three.shape[0] == one.shape[0]


def test_zero_and_non_finite_maps_are_said():
    maps = np.zeros((2, 4, 4), dtype=np.float32)
    empty = sheet(maps)
    maps[1, 0, 0] = np.nan
    broken = sheet(maps)
    assert tuple(NON_FINITE.tolist()) not in colours_of(empty)
    assert tuple(NON_FINITE.tolist()) in colours_of(broken)
    assert broken.shape[0] > empty.shape[0]  # a line that counts them


@pytest.mark.parametrize("size", [(40,), (6, 6, 6)])
def test_signals_and_volumes(size):
    images, maps = np.random.rand(2, 1, *size), np.random.rand(2, *size)
    assert saliency_sheet(images, [[], []], maps, [0, 1], ["0", "1"], signed=True).ndim == 3


def test_features_are_a_strip():
    assert saliency_sheet(np.random.rand(1, 8), [[]], np.random.rand(1, 8), [0], ["0"], signed=True).ndim == 3


def test_large_maps_are_averaged_and_it_is_said():
    large = np.random.rand(1, 3, 300, 300)
    small = saliency_sheet(large, [[]], np.ones((1, 8, 8)), [0], ["0"], signed=False)
    averaged = saliency_sheet(large, [[]], np.ones((1, 300, 300)), [0], ["0"], signed=False)
    assert averaged.shape[0] > small.shape[0]


def test_numbers_that_do_not_fit():
    with pytest.raises(ValueError, match="2 images, 2 captions, 3 maps, 2 samples and 3 labels"):
        sheet(np.ones((3, 4, 4)))
    with pytest.raises(ValueError, match="at least one"):
        sheet(np.ones((0, 4, 4)), [])
    with pytest.raises(TypeError, match="list of lines"):
        saliency_sheet(IMAGES, ["a", "b"], np.ones((1, 4, 4)), [0], ["0"], signed=False)
