"""Gradient maps as data of the tab: signed, symmetric, and zero where the gradient is."""

import numpy as np
import pytest

from lightning_cnnviz.functional.tab.gradient_maps import gradient_map_tab_data


def record(activations, gradients, **options):
    count = len(activations)
    images = np.random.default_rng(1).random((count, 3, 20, 20))
    batch = {"images": images, "targets": np.arange(count) - 1, "class_names": ["cat", "dog"]}
    return gradient_map_tab_data(activations, gradients, "conv", **batch, **options)


def decoded(arrays):
    """As a reader of the record computes it."""
    largest = np.maximum(-arrays["gradient_low"], arrays["gradient_high"])[..., None, None].astype(np.float64)
    return (arrays["gradients"].astype(np.float64) - 128) / 127 * largest, largest


@pytest.mark.parametrize("shape", [(3, 5, 9, 11), (3, 5, 40), (3, 5)])
def test_gradients_come_back_to_half_a_step_and_zero_as_zero(shape):
    rng = np.random.default_rng(0)
    activations = rng.normal(size=shape)
    gradients = 1e-6 * rng.normal(size=shape) * (rng.random(shape) < 0.5)
    gradients[1, 2] = 0  # of a dead channel
    found = record(activations, gradients, max_channels=4)
    assert found.tag == "cnnviz/gradient_maps/conv"
    assert (found.info["samples"], found.info["channels"]) == ([0, 1, 2], [0, 1, 2, 3])
    back, largest = decoded(found.arrays)
    expected = gradients[:, :4].reshape(back.shape)
    assert (np.abs(back - expected) <= largest / 254 * 1.001).all()
    assert (back[expected == 0] == 0).all()
    np.testing.assert_allclose(found.arrays["gradient_low"], expected.min((2, 3)), rtol=1e-6)
    np.testing.assert_allclose(found.arrays["gradient_high"], expected.max((2, 3)), rtol=1e-6)
    low, high = (found.arrays[name][..., None, None] for name in ("low", "high"))
    maps = activations[:, :4].reshape(back.shape)
    assert np.abs(low + (high - low) * found.arrays["values"] / 255 - maps).max() <= (high - low).max() / 509 + 1e-6


def test_the_samples_are_in_the_record_with_their_classes():
    found = record(np.zeros((2, 1)), np.zeros((2, 1)), predicted=[4, 0])
    assert found.arrays["thumbnails"].shape == (2, 20, 20, 3)
    assert found.arrays["targets"].tolist() == [-1, 0]
    assert found.info["predicted"] == [4, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_says_so(value):
    gradients = np.ones((1, 2, 3, 3))
    gradients[0, 1, 0, 0] = value
    arrays = record(np.zeros((1, 2, 3, 3)), gradients).arrays
    with np.errstate(invalid="ignore"):
        back, _ = decoded(arrays)
    assert (back[0, 0] == 1).all()
    assert np.isnan(back[0, 1]).all()


def test_large_maps_are_stored_as_their_activations_are():
    maps = np.random.default_rng(0).normal(size=(1, 2, 128, 130))
    arrays = record(maps, 2 * maps).arrays
    assert arrays["gradients"].shape == arrays["values"].shape == (1, 2, 42, 43)
    means = 2 * maps[:, :, :126, :129].reshape(1, 2, 42, 3, 43, 3).mean((3, 5))
    back, largest = decoded(arrays)
    assert (np.abs(back - means) <= largest / 254 * 1.01).all()


def test_gradients_of_other_activations_are_refused():
    with pytest.raises(ValueError, match=r"a gradient for each activation, got shapes \(1, 2\) and \(1, 3\)"):
        record(np.zeros((1, 2)), np.zeros((1, 3)))
