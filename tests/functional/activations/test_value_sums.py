"""Sums over the values of activations are those of NumPy in double precision, whatever their size and number."""

import math

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.activations.value_sums import value_sums


def expected(values, bounds):
    array = values.double().numpy().ravel()
    finite = array[np.isfinite(array)]
    return {
        "mean": finite.mean(),
        "std": finite.std(),
        "low": finite.min(),
        "high": finite.max(),
        "non_finite": len(array) - len(finite),
        "saturated": np.count_nonzero((array <= bounds[0]) | (array >= bounds[1])),
    }


def found(values, bounds=(-math.inf, math.inf)):
    total, squares, low, high, non_finite, saturated = value_sums(values, bounds).tolist()
    number = values.numel() - non_finite
    std = math.sqrt(max(squares / number - (total / number) ** 2, 0))
    return {"mean": total / number, "std": std, "low": low, "high": high, "non_finite": non_finite,
            "saturated": saturated}  # fmt: skip


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


CASES = {
    "maps": random(8, 16, 28, 28),
    "rectified": random(8, 16, 28, 28).relu(),
    "one value": torch.tensor([[3.5]]),
    "a scalar": torch.tensor(-2.0),
    "zeros": torch.zeros(4, 100),
    "a constant": torch.full((300, 1000), -1000.1),
    "far from zero": -1000 + 0.01 * random(64, 5000),
    "very small": 1e-30 * random(100, 100),
    "very large": 1e30 * random(100, 100),
    "not in order of memory": random(8, 28, 28, 16).permute(0, 3, 1, 2),
    "with gaps": random(40, 300)[::2, ::3],
    "half precision": random(64, 700).half(),
    "bfloat16": random(64, 700).bfloat16(),
    "double precision": random(64, 700).double() * 1e100,
}


@pytest.mark.parametrize("case", CASES)
def test_mean_deviation_and_extremes_are_those_of_numpy(case):
    sums, truth = found(CASES[case]), expected(CASES[case], (-math.inf, math.inf))
    size = max(abs(truth["low"]), abs(truth["high"]))
    assert sums["mean"] == pytest.approx(truth["mean"], rel=1e-5, abs=1e-6 * truth["std"] + 1e-12 * size)
    assert sums["std"] == pytest.approx(truth["std"], rel=1e-4, abs=1e-7 * size)
    assert (sums["low"], sums["high"], sums["non_finite"]) == (truth["low"], truth["high"], 0)


def test_more_values_than_single_precision_can_count():
    values = torch.ones(2**24 + 2**20)
    values[::2] = 3
    sums = found(values)
    assert sums["mean"] == pytest.approx(2, rel=1e-6)
    assert sums["std"] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_counted_and_left_out(broken):
    values = random(50, 60)
    values[3, 4:9] = broken
    sums, truth = found(values), expected(values, (-math.inf, math.inf))
    assert sums["non_finite"] == 5
    for name in ("mean", "std", "low", "high"):
        assert sums[name] == pytest.approx(truth[name], rel=1e-5)


def test_where_nothing_is_finite_there_are_no_extremes():
    assert value_sums(torch.full((2, 3), math.nan)).tolist() == [0, 0, math.inf, -math.inf, 6, 0]


@pytest.mark.parametrize("bounds", [(-1.0, math.inf), (-math.inf, 0.5), (-1.0, 0.5)])
def test_values_at_bounds_are_counted(bounds):
    values = random(30, 40)
    values[0, :3], values[1, :4] = -1.0, 0.5
    assert found(values, bounds)["saturated"] == expected(values, bounds)["saturated"]


def test_what_is_summed_stays_as_it_is():
    values = random(8, 16, 28, 28).requires_grad_()
    before = values.detach().clone()
    assert not value_sums(values).requires_grad
    assert torch.equal(values, before)
