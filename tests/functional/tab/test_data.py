"""Data of the tab: the arrays say what the picture shows, and survive being packed."""

import json

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.kernels import select_kernels
from lightning_cnnviz.functional.tab.data import (
    TabData,
    channel_statistics,
    kernel_tab_data,
    map_tab_data,
    sample_tab_data,
    with_samples,
)

NAMES = ["cat", "dog"]


def unpacked(record):
    header, payload = record.packed()
    described, arrays, at = json.loads(header), {}, 0
    for one in described["arrays"]:
        dtype = np.dtype(one["dtype"]).newbyteorder("<")
        count = int(np.prod(one["shape"]))
        arrays[one["name"]] = np.frombuffer(payload, dtype, count, at).reshape(one["shape"])
        at += count * dtype.itemsize
    assert at == len(payload)
    return described, arrays


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "float16", "float32"])
def test_arrays_survive_being_packed(dtype):
    array = np.asfortranarray(np.arange(24).reshape(4, 6).astype(dtype))[::2]
    record = TabData("kind", {"layer": "fc1"}, {"channels": [1, 2]}, {"a": array, "none": np.zeros((0, 3), dtype)})
    described, arrays = unpacked(record)
    np.testing.assert_array_equal(arrays["a"], array)
    assert arrays["none"].shape == (0, 3)
    assert (described["layer"], described["channels"]) == ("fc1", [1, 2])
    assert record.tag == "cnnviz/kind/fc1"
    assert json.loads(record.metadata()) == {"schema": 1, "kind": "kind", "layer": "fc1"}


def test_what_json_can_not_hold_is_null():
    header, _ = TabData("kind", {}, {"a": [float("nan"), {"b": float("inf")}, (1.5, 2)]}, {}).packed()
    assert json.loads(header)["a"] == [None, {"b": None}, [1.5, 2]]


def test_kernels_are_the_weights():
    weight = torch.randn(7, 2, 3, 5, dtype=torch.float64)
    record = kernel_tab_data(select_kernels(weight, max_kernels=4), "conv")
    np.testing.assert_allclose(record.arrays["values"], weight[:4, 0], rtol=1e-3)
    np.testing.assert_allclose(record.arrays["low"], weight[:4].amin((1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(record.arrays["high"], weight[:4].amax((1, 2, 3)), rtol=1e-6)
    shown = weight[:4, 0]
    assert record.info.pop("range") == pytest.approx([float(shown.min()), float(shown.max())], rel=1e-3)
    assert record.info == {"channels": [0, 1, 2, 3], "mode": "slice", "input": 0}
    mean = kernel_tab_data(select_kernels(weight, "mean"), "conv")
    np.testing.assert_allclose(mean.arrays["values"], weight.mean(1), atol=2e-3)


@pytest.mark.parametrize(
    ("shape", "mode", "shown"),
    [
        ((4, 3, 5, 5), "rgb", (4, 5, 5, 3)),
        ((4, 2, 7), "slice", (4, 1, 7)),
        ((4, 2, 3, 5, 5), "slice", (4, 5, 5)),
    ],
)
def test_kernels_of_any_rank(shape, mode, shown):
    weight = np.random.default_rng(0).normal(size=shape)
    record = kernel_tab_data(select_kernels(weight), "conv")
    assert record.info["mode"] == mode
    assert record.arrays["values"].shape == shown
    if mode == "rgb":
        np.testing.assert_allclose(record.arrays["values"], np.moveaxis(weight, 1, -1), rtol=1e-3, atol=1e-4)


def test_maps_come_back_to_half_a_step_of_256():
    maps = np.random.default_rng(0).normal(size=(2, 5, 9, 11)).astype(np.float32)
    arrays = map_tab_data(maps, "conv", max_channels=3).arrays
    low, high = (arrays[name][..., None, None] for name in ("low", "high"))
    back = low + (high - low) * arrays["values"] / 255
    assert np.abs(back - maps[:, :3]).max() <= (high - low).max() / 510 * 1.01
    np.testing.assert_allclose(arrays["mean"], maps[:, :3].mean((2, 3)), rtol=1e-4, atol=1e-6)


def test_large_maps_are_means_over_squares():
    maps = np.random.default_rng(0).normal(size=(1, 2, 128, 130)).astype(np.float32)
    arrays = map_tab_data(maps, "conv").arrays
    assert arrays["values"].shape == (1, 2, 42, 43)
    means = maps[:, :, :126, :129].astype(np.float64).reshape(1, 2, 42, 3, 43, 3).mean((3, 5))
    low, high = (arrays[name][..., None, None] for name in ("low", "high"))
    np.testing.assert_allclose(low + (high - low) * arrays["values"] / 255, means, atol=0.01)


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 300), (2, 5, 130, 128), (2, 5, 3, 9, 9)])
def test_the_range_and_the_mean_of_a_channel_are_those_of_all_its_values(shape):
    maps = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    maps.reshape(2, 5, -1)[1, 2, 0] = 40  # one value that no average shows
    record = map_tab_data(maps, "conv", max_channels=4)
    assert record.info["reduced"] == (shape in [(2, 5, 300), (2, 5, 130, 128), (2, 5, 3, 9, 9)])
    arrays = {"channel_low": record.arrays["low"], "channel_high": record.arrays["high"], **record.arrays}
    flat = maps.reshape(2, 5, -1)[:, :4].astype(np.float64)
    np.testing.assert_allclose(arrays["channel_low"], flat.min(2), rtol=1e-6)
    np.testing.assert_allclose(arrays["channel_high"], flat.max(2), rtol=1e-6)
    np.testing.assert_allclose(arrays["mean"], flat.mean(2), rtol=1e-4, atol=1e-6)
    kept = map_tab_data(0 * maps, "conv", statistics=channel_statistics(maps, 4), max_channels=4).arrays
    np.testing.assert_array_equal(kept["channel_high"], arrays["channel_high"])


def test_many_maps_take_no_more_than_their_room():
    assert map_tab_data(np.zeros((8, 64, 64, 64)), "conv", max_channels=64).arrays["values"].nbytes <= 2**17


def test_maps_without_range_and_with_values_that_are_not_finite():
    maps = np.zeros((1, 3, 4, 4), dtype=np.float32)
    maps[0, 1] = 7
    maps[0, 2, 0, 0] = np.nan
    arrays = map_tab_data(maps, "conv").arrays
    assert arrays["low"][0, 1] == arrays["high"][0, 1] == 7
    assert arrays["values"][0, :2].max() == 0
    assert np.isnan(arrays["low"][0, 2])


def test_samples_of_another_probe_come_with_the_record():
    images, targets = np.random.default_rng(0).random((2, 1, 8, 8)), np.array([1, -1])
    plain = map_tab_data(np.zeros((2, 1, 3, 3)), "conv")
    found, alone = with_samples(lambda: plain, images, targets, NAMES), sample_tab_data(images, targets, NAMES)
    assert found.info == {**plain.info, "class_names": NAMES}
    assert found.arrays.keys() == plain.arrays.keys() | {"thumbnails", "targets"}
    for name, array in {**plain.arrays, **alone.arrays}.items():
        np.testing.assert_array_equal(found.arrays[name], array)


@pytest.mark.parametrize(
    ("shape", "side"),
    [
        ((3, 1, 28, 28), (28, 28)),
        ((3, 3, 224, 200), (32, 28)),
        ((1600, 1, 28, 28), (14, 14)),
        ((3, 2), (1, 2)),
        ((3, 2, 40), (1, 20)),
    ],
)
def test_thumbnails_are_small(shape, side):
    record = sample_tab_data(np.random.default_rng(0).random(shape), torch.zeros(shape[0]), ["cat"])
    assert record.arrays["thumbnails"].shape == (shape[0], *side, 3)
    assert record.arrays["targets"].dtype == np.int32


def test_a_waveform_is_a_strip():
    waves = np.sin(np.arange(400) * np.array([[0.02], [0.05]]))
    thumbnails = sample_tab_data(waves, np.array([0, 1]), ["low", "high"]).arrays["thumbnails"]
    assert thumbnails.shape == (2, 1, 30, 3)
    assert all(len(np.unique(strip)) > 10 for strip in thumbnails)
