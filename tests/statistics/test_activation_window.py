"""Statistics over a window are those of NumPy over the same activations, whatever the batches."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lightning_cnnviz.model.activation_tap import LayerRun
from lightning_cnnviz.statistics.activation_window import BINS, SORTED, ActivationWindow


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def over(layer, batches, channels=1, samples=None):
    """The statistics of a layer whose output is given, batch by batch."""
    window = ActivationWindow(nn.Sequential(layer), samples or sum(map(len, batches)))
    for batch in batches:
        window.begin(len(batch))
        window.add(LayerRun("0", batch, channels))
        window.end(None)
    assert window.samples == sum(map(len, batches))
    return window.statistics()["0"]


@pytest.mark.parametrize("sizes", [[40], [7, 7, 7, 7, 7, 5], [1] * 40])
def test_all_of_it_is_that_of_numpy_whatever_the_batches(sizes):
    values = (random(40, 6, 5, 5) - 1).relu()
    values[:, 4] = 0
    row = over(nn.ReLU(), torch.split(values, sizes))
    array = values.double().numpy()
    assert row.mean == pytest.approx(array.mean(), rel=1e-6)
    assert row.std == pytest.approx(array.std(), rel=1e-5)
    assert (row.dead, row.units) == ((array.max((0, 2, 3)) <= 0).mean(), 6)
    assert math.isnan(row.saturated)
    histogram = row.histogram
    assert (histogram.low, histogram.high, histogram.number) == (array.min(), array.max(), array.size)
    assert histogram.total == pytest.approx(array.sum(), rel=1e-6)
    assert histogram.squares == pytest.approx((array**2).sum(), rel=1e-5)
    counts, edges = np.histogram(values.numpy(), BINS, (histogram.low, histogram.high))
    np.testing.assert_allclose(histogram.edges(), edges, rtol=1e-6)
    assert histogram.counts.sum() == array.size
    assert np.abs(histogram.counts - counts).sum() <= 4  # a value at an edge may be in either bin


def test_of_many_values_some_at_even_distances_stand_for_all():
    values = random(64, 8, 40, 40)  # 819,200
    histogram = over(nn.Identity(), torch.split(values, 16)).histogram
    counts, _ = np.histogram(values.numpy(), BINS, (histogram.low, histogram.high))
    assert histogram.counts.sum() == pytest.approx(values.numel())
    apart = np.abs(histogram.counts.cumsum() - counts.cumsum()).max() / values.numel()
    assert apart < 2 / math.sqrt(SORTED)  # Kolmogorov's distance of a sample
    assert (histogram.low, histogram.high) == (values.min(), values.max())


def test_no_place_in_maps_and_no_channel_is_left_out_by_the_distances():
    place = torch.arange(40 * 64).reshape(1, 40, 8, 8).expand(256, -1, -1, -1).float()  # a power of two times five
    window = ActivationWindow(nn.Sequential(nn.Identity()), 256)
    for batch in torch.split(place, 32):
        window.begin(32)
        window.add(LayerRun("0", batch, None))
        window.end(None)
    counts = window.statistics()["0"].histogram.counts
    np.testing.assert_allclose(counts, place.numel() / BINS, rtol=0.05)


def test_units_are_dead_that_no_sample_and_no_place_makes_positive():
    values = torch.zeros(6, 5, 3, 3)
    values[4, 2, 1, 1] = 1e-30
    row = over(nn.ReLU(), torch.split(values, 2))
    assert (row.dead, row.units) == (0.8, 5)
    tokens = over(nn.ReLU(), torch.split(values.permute(0, 2, 3, 1), 2), channels=3)
    assert (tokens.dead, tokens.units) == (0.8, 5)


@pytest.mark.parametrize(
    ("layer", "values", "channels"),
    [
        (nn.GELU(), random(6, 5).relu(), 1),  # no rectifier
        (nn.ReLU(), random(6, 5).relu(), None),  # the units are not known
        (nn.ReLU(), random(6, 5), 1),  # somebody's own, which is no rectifier
        (nn.ReLU(), torch.tensor([[1.0, math.nan]]), 1),
    ],
    ids=["GELU", "unknown units", "negative", "NaN"],
)
def test_where_it_means_nothing_there_is_no_share_of_dead_units(layer, values, channels):
    row = over(layer, [values], channels)
    assert math.isnan(row.dead)
    assert row.units == 0
    assert "dead" not in row.known()


@pytest.mark.parametrize(
    ("layer", "ends"),
    [
        (nn.Sigmoid(), (0.01, 0.99)),
        (nn.Tanh(), (-0.98, 0.98)),
        (nn.Hardtanh(-2, 2), (-1.96, 1.96)),
        (nn.ReLU6(), (-1, 5.94)),
        (nn.Hardsigmoid(), (0.01, 0.99)),
    ],
    ids=str,
)
def test_values_at_a_bound_are_saturated(layer, ends):
    values = layer(4 * random(50, 30))
    row = over(layer, torch.split(values, 20))
    array = values.numpy()
    assert row.saturated == ((array <= np.float32(ends[0])) | (array >= np.float32(ends[1]))).mean()
    assert 0 < row.saturated < 1


def test_beyond_the_bounds_there_are_none():
    assert math.isnan(over(nn.Tanh(), [torch.tensor([[1.5, 0.0]])]).saturated)


def test_what_is_not_finite_is_counted_and_the_rest_is_of_what_is():
    values = random(6, 5)
    values[2, 1:4] = math.inf
    row = over(nn.Sigmoid(), torch.split(values, 3))
    finite = values[values.isfinite()].double().numpy()
    assert row.non_finite == 3
    assert row.mean == pytest.approx(finite.mean(), rel=1e-6)
    assert row.std == pytest.approx(finite.std(), rel=1e-5)
    assert row.histogram.number == row.histogram.counts.sum() == 27
    assert math.isnan(row.saturated)
    nothing = over(nn.ReLU(), [torch.full((2, 3), math.nan)])
    assert (nothing.non_finite, nothing.histogram, nothing.known()) == (6, None, {})


def test_a_layer_that_gives_one_value_has_no_deviation_and_one_bin():
    row = over(nn.Identity(), [torch.full((4, 3), 0.1)] * 3)
    assert (row.mean, row.std) == (pytest.approx(0.1), 0.0)
    assert row.histogram.counts.tolist() == [36]


def test_all_runs_of_a_layer_count_and_each_has_its_own_units():
    window = ActivationWindow(nn.Sequential(nn.ReLU()), 8)
    first, second = random(8, 3).relu(), random(8, 5, seed=1).relu()
    second[:, :2] = 0
    for rows in (slice(0, 4), slice(4, 8)):
        window.begin(4)
        window.add(LayerRun("0", first[rows], 1))
        window.add(LayerRun("0", second[rows], 1))
        window.end(None)
    row = window.statistics()["0"]
    assert (row.dead, row.units) == (0.25, 8)
    assert row.mean == pytest.approx(torch.cat([first.flatten(), second.flatten()]).mean().item(), rel=1e-6)


def test_runs_whose_units_do_not_agree_have_no_share_of_dead_ones():
    assert math.isnan(over(nn.ReLU(), [random(4, 3).relu(), random(4, 5).relu()]).dead)


def test_layers_come_in_the_order_in_which_they_ran():
    window = ActivationWindow(nn.Sequential(nn.ReLU(), nn.ReLU()), 4)
    window.begin(4)
    for name in ("1", "0"):
        window.add(LayerRun(name, random(4, 3), 1))
    window.end(None)
    assert list(window.statistics()) == ["1", "0"]


def test_the_embedding_is_that_of_all_samples_or_there_is_none():
    def embedding(parts):
        window = ActivationWindow(nn.Sequential(), 8)
        for part in parts:
            window.begin(4)
            window.end(part)
        return window.embedding()

    parts = [random(4, 3), random(4, 3, seed=1)]
    assert torch.equal(embedding(parts), torch.cat(parts))
    assert embedding([parts[0], None]) is None
    assert embedding([parts[0], random(4, 5)]) is None
    assert embedding([]) is None
