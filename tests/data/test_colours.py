"""Inputs become images in their own colours where these can be known, otherwise on one scale that is told."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import Compose, Normalize, RandomApply, ToTensor, v2

from lightning_cnnviz.data.colours import Colours, Normalization, check_bands, normalization_in

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PHOTOS = torch.rand(6, 3, 9, 7, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.2, 1, 6).reshape(
    6, 1, 1, 1
)
PIXELS = (255 * PHOTOS).round().to(torch.uint8)
NORMALISED = (PHOTOS - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)


def differ(images, expected):
    return (images.int() - expected.int()).abs().max()


@pytest.mark.parametrize(
    ("inputs", "normalization"),
    [
        (PIXELS, None),
        (PHOTOS, None),
        (PHOTOS, Normalization(MEAN, STD)),  # of a transform that is not used here
        (NORMALISED, Normalization(MEAN, STD)),
        ((255 * PHOTOS - 120) / 60, Normalization((120.0,), (60.0,))),  # in units of 0…255
        (NORMALISED.half(), Normalization(MEAN, STD)),
    ],
    ids=["bytes", "0…1", "0…1 although", "normalised", "of 255", "half precision"],
)
def test_images_come_out_as_they_were(inputs, normalization):
    colours = Colours.of(inputs, normalization)
    assert colours.note == ""
    assert colours.images(inputs).dtype == torch.uint8
    assert differ(colours.images(inputs), PIXELS) <= 1


@pytest.mark.parametrize("normalization", [None, Normalization((9.0,), (50.0,)), Normalization(MEAN[:2], STD[:2])])
def test_what_is_normalised_by_something_unknown_has_one_scale_for_all_samples(normalization):
    colours = Colours.of(NORMALISED, normalization)
    low, high = float(NORMALISED.min()), float(NORMALISED.max())
    assert colours.note == f"one colour scale for all samples: {low:.3g}…{high:.3g}"
    expected = (255 * (NORMALISED - low) / (high - low)).round()
    assert differ(colours.images(NORMALISED), expected) == 0


def test_of_more_than_three_channels_the_mean_is_shown_and_called_one():
    bands = torch.rand(2, 5, 4, 4)
    colours = Colours.of(bands)
    assert colours.note == "mean over 5 bands"
    assert differ(colours.images(bands), (255 * bands.mean(1, keepdim=True)).round()) <= 1


def test_chosen_bands_are_red_green_and_blue():
    bands = torch.rand(2, 5, 4, 4)
    colours = Colours.of(bands, bands=[3, 2, 0])
    assert colours.note == ""
    assert differ(colours.images(bands), (255 * bands[:, [3, 2, 0]]).round()) == 0


def test_the_normalisation_of_all_channels_is_undone_before_some_are_chosen():
    bands = torch.rand(2, 5, 4, 4)
    mean, std = torch.linspace(0.1, 0.5, 5), torch.linspace(0.2, 0.6, 5)
    inputs = (bands - mean.reshape(5, 1, 1)) / std.reshape(5, 1, 1)
    colours = Colours.of(inputs, Normalization(tuple(mean.tolist()), tuple(std.tolist())), [4, 1, 0])
    assert differ(colours.images(inputs), (255 * bands[:, [4, 1, 0]]).round()) <= 1


@pytest.mark.parametrize("shape", [(4, 3, 20), (4, 1, 5, 6, 6)], ids=["signals", "volumes"])
def test_signals_and_volumes_have_colours_too(shape):
    inputs = torch.rand(shape)
    assert differ(Colours.of(inputs).images(inputs), (255 * inputs).round()) == 0


def test_features_and_waveforms_stay_as_they_are():
    inputs = torch.randn(4, 9)
    assert Colours.of(inputs).images(inputs) is inputs


def test_what_is_not_finite_stays_to_be_marked():
    inputs = PHOTOS.clone()
    inputs[0, 0, 0, 0] = torch.nan
    colours = Colours.of(inputs)
    assert colours.images(inputs[:1]).isnan().sum() == 1
    assert colours.images(inputs[1:]).dtype == torch.uint8


def test_constant_samples_have_a_colour():
    inputs = torch.full((2, 3, 4, 4), -7.0)
    assert Colours.of(inputs).images(inputs).unique().tolist() == [0]


def test_bands_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=re.escape("expected bands below the inputs' 3 channels, got [5, 1, 0]")):
        Colours.of(PHOTOS, bands=[5, 1, 0])


@pytest.mark.parametrize("bands", [[], [1, 2], [1, 2, 3, 4], "rgb", [0.5], [-1], 3])
def test_bands_are_three_or_one(bands):
    with pytest.raises(ValueError, match="bands"):
        check_bands(bands)


@pytest.mark.parametrize(("mean", "std"), [(0.5, None), (None, 0.5), ([0.5], [0.0]), ([0.1, 0.2], [0.3]), ("a", "b")])
def test_mean_and_deviation_that_do_not_fit_are_refused(mean, std):
    with pytest.raises(ValueError, match="expected mean and std"):
        Normalization.given(mean, std)


def test_mean_and_deviation_may_be_numbers_lists_arrays_and_tensors():
    expected = Normalization((0.5,), (0.25,))
    for kind in (float, lambda number: [number], np.array, torch.tensor):
        assert Normalization.given(kind(0.5), kind(0.25)) == expected


# ---- where it is found


class Wrapped:
    def __init__(self, transform):
        self.transform = transform


@pytest.mark.parametrize(
    "transforms",
    [
        Normalize(MEAN, STD),
        Compose([ToTensor(), Normalize(MEAN, STD)]),
        v2.Compose([v2.ToImage(), v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])]),
        [Wrapped(Compose([Normalize(MEAN, STD)]))],
        nn.Sequential(v2.RandomHorizontalFlip(), v2.Normalize(MEAN, STD)),
    ],
    ids=["alone", "composed", "v2", "wrapped", "sequential"],
)
def test_a_normalisation_is_found(transforms):
    found = normalization_in(transforms)
    assert found is not None
    np.testing.assert_allclose(found, (MEAN, STD), rtol=1e-6)


@pytest.mark.parametrize(
    "transforms",
    [
        None,
        ToTensor(),
        lambda image: (image - 0.5) / 0.5,
        Compose([Normalize(MEAN, STD), Normalize(MEAN, STD)]),
        RandomApply([ToTensor()]),
        Wrapped(Wrapped(None)),
    ],
    ids=["nothing", "none", "function", "two", "random", "empty"],
)
def test_what_is_uncertain_is_not_found(transforms):
    assert normalization_in(transforms) is None


def test_that_of_albumentations_is_found_if_it_is_by_mean_and_deviation():
    albumentations = pytest.importorskip("albumentations")
    composed = albumentations.Compose([albumentations.HorizontalFlip(), albumentations.Normalize(MEAN, STD)])
    np.testing.assert_allclose(normalization_in(composed), (MEAN, STD), rtol=1e-6)
    assert normalization_in(albumentations.Normalize(normalization="min_max")) is None


def test_that_of_timm_is_found():
    timm = pytest.importorskip("timm")
    np.testing.assert_allclose(normalization_in(timm.data.create_transform(64)), (MEAN, STD), rtol=1e-6)
