"""What is kept of activations until they are drawn."""

import numpy as np
import pytest
import torch

from lightning_cnnviz.model.shown_maps import block_means, shown_maps


@pytest.mark.parametrize("shape", [(2, 40, 96, 64), (2, 40, 96), (2, 40, 5, 96, 64)])
def test_maps_are_means_of_blocks(shape):
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = shown_maps(maps, channels=8, size=24).numpy()
    values = maps.double().numpy()[:, :8]
    values = values[:, :, 2] if values.ndim == 5 else values
    blocks = [part for side in values.shape[2:] for part in (side // 4, 4)]
    expected = values.reshape(2, 8, *blocks).mean(axis=tuple(range(3, 3 + len(blocks), 2)))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.mean(axis=(-1,)).mean(-1), expected.mean(axis=(-1,)).mean(-1), atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 4), (3,), (2, 4, 23, 23), (2, 4, 97, 89), (2, 4, 0, 5)])
def test_what_no_whole_blocks_fit_into_stays_as_it_is(shape):
    maps = torch.rand(shape)
    found = shown_maps(maps, channels=32, size=24)
    assert torch.equal(found, maps)
    assert not found.numel() or found.data_ptr() != maps.data_ptr(), "a copy"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_not_averaged_away(value):
    maps = torch.ones(1, 2, 64, 64)
    maps[0, 1, 3, 5] = value
    found = shown_maps(maps, channels=2, size=16)
    assert found.shape == maps.shape
    assert int((~found.isfinite()).sum()) == 1


def test_no_more_memory_is_held_than_what_is_shown():
    maps = torch.rand(4, 512, 32, 32)
    assert shown_maps(maps, channels=32, size=55).untyped_storage().nbytes() == 4 * 32 * 32 * 32 * 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_maps_of_other_precisions_are_averaged_in_single_precision(dtype):
    found = shown_maps(torch.ones(1, 1, 64, 64, dtype=dtype), channels=1, size=16)
    assert found.dtype == torch.float32
    assert found.shape == (1, 1, 16, 16)


@pytest.mark.parametrize("shape", [(2, 3, 130, 67), (2, 3, 130), (2, 3, 5, 130, 67), (2, 3, 200, 1)])
def test_means_of_blocks_are_no_larger_than_they_may_be(shape):
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = block_means(maps, 64).numpy()
    values = maps.double().numpy()
    values = values[:, :, 2] if values.ndim == 5 else values
    factor = 3 if 130 in shape else 4
    sides = [(side // min(factor, side), min(factor, side)) for side in values.shape[2:]]
    values = values[(..., *(slice(count * size) for count, size in sides))]
    blocks = [part for pair in sides for part in pair]
    expected = values.reshape(2, 3, *blocks).mean(axis=tuple(range(3, 3 + len(blocks), 2)))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert max(found.shape[2:]) <= 64


@pytest.mark.parametrize("shape", [(3, 4), (3,), (2, 4, 64, 64), (2, 4, 64)])
def test_maps_that_are_small_enough_stay_as_they_are(shape):
    maps = torch.rand(shape)
    assert torch.equal(block_means(maps, 64), maps)
