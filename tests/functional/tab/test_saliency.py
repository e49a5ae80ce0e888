"""What the tab is given of saliency."""

import numpy as np
import pytest

from lightning_cnnviz.functional.tab.saliency import saliency_tab_data


def record(maps, **options):
    given = {"samples": [0, 1, 1], "classes": [4, 2, 7], "signed": True, "count": 2, **options}
    return saliency_tab_data(maps, "occlusion", None, **given)


def test_each_map_can_be_had_back_to_a_127th_of_its_largest_magnitude():
    maps = np.random.default_rng(0).normal(size=(3, 9, 5)).astype(np.float32) * np.float32([[[1]], [[100]], [[1e-6]]])
    arrays = record(maps).arrays
    largest = np.abs(maps).max(axis=(1, 2))
    np.testing.assert_allclose(arrays["largest"], largest)
    back = (arrays["values"].astype(float) - 128) / 127 * arrays["largest"][:, None, None]
    assert (np.abs(back - maps) <= largest[:, None, None] / 253).all()


def test_zero_stays_zero_and_what_is_not_finite_does_no_harm():
    maps = np.zeros((3, 2, 2), dtype=np.float32)
    maps[1, 0], maps[2, 0, 0] = np.nan, 3
    arrays = record(maps).arrays
    assert (arrays["values"][:2] == 128).all()
    assert arrays["largest"].tolist() == [0, 0, 3]


@pytest.mark.parametrize(("size", "stored"), [((300, 150), (60, 30)), ((40,), (1, 40)), ((4, 6, 6), (6, 6))])
def test_maps_of_all_sizes_become_small_pictures(size, stored):
    assert record(np.random.rand(3, *size)).arrays["values"].shape == (3, *stored)


def test_names_samples_and_classes():
    found = record(np.ones((3, 2, 2)), predicted=[4, 7])
    assert found.tag == "cnnviz/saliency/occlusion"
    assert found.info == {
        "samples": [0, 1],
        "rows": [0, 1, 1],
        "classes": [4, 2, 7],
        "signed": True,
        "predicted": [4, 7],
    }
