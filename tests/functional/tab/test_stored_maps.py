"""Maps that are stored take a bounded number of bytes; see `test_data.py` for the maps of the records."""

import numpy as np
import pytest

from lightning_cnnviz.functional.tab.stored_maps import MAX_STORED_MAP_BYTES, downsampled, stored_maps, stored_side


@pytest.mark.parametrize("maps", [1, 7, 24, 128, 512, 4096, 10**6])
def test_so_many_maps_fit_into_their_room(maps):
    side = stored_side(maps)
    assert side == 64 or side == 1 or maps * (side + 1) ** 2 > MAX_STORED_MAP_BYTES
    assert side == 1 or maps * side**2 <= MAX_STORED_MAP_BYTES


def test_maps_are_means_over_squares_and_what_is_left_over_is_dropped():
    maps = np.random.default_rng(0).normal(size=(2, 40, 65, 70)).astype(np.float32)
    found = stored_maps(maps, max_channels=32)  # 64 of them may have 45 pixels
    expected = maps[:, :32, :64, :70].astype(np.float64).reshape(2, 32, 32, 2, 35, 2).mean((3, 5))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_flat_map_is_only_made_shorter():
    assert downsampled(np.ones((1, 2, 1, 100), np.float32), 64).shape == (1, 2, 1, 50)
