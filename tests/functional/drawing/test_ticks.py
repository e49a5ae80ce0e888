"""Ticks at round numbers, whatever the range, with labels that say where they are."""

import math
from itertools import pairwise

import numpy as np
import pytest

from lightning_cnnviz.functional.drawing.caption import text_width
from lightning_cnnviz.functional.drawing.ticks import Axis, fitting, linear_axis, log_axis

RANGES = [
    (0.0, 1.0),
    (0.12, 0.48),
    (-3.0, 7.5),
    (0.5, 0.5 + 1e-7),
    (2.0, 2.0),
    (0.0, 0.0),
    (-1e38, 1e38),
    (1e-38, 1e-30),
    (5e-324, 1e-300),
    (-1.7e308, 1.7e308),
    (99_999.5, 100_000.5),
]


def value(label):
    return float(
        label.replace("×10", "e").replace("10", "1e", 1).translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    )


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("most", [2, 5, 10])
def test_labels_say_where_the_ticks_are(low, high, most):
    axis = linear_axis(low, high, most)
    assert axis.low <= low
    assert axis.high >= high
    assert 1 <= len(axis.ticks) <= most + 1
    size = max(abs(axis.low), abs(axis.high))
    for tick, label in zip(axis.ticks, axis.labels, strict=True):
        assert axis.low <= tick <= axis.high or math.isclose(tick, np.clip(tick, axis.low, axis.high))
        assert math.isclose(float(label), tick, rel_tol=1e-9, abs_tol=1e-9 * size)
    assert len(set(axis.labels)) == len(axis.labels)


@pytest.mark.parametrize("high", [1, 3, 7, 20, 33, 1000, 12_345])
def test_of_whole_numbers_no_tick_lies_between(high):
    axis = linear_axis(1.0, float(high), 8, whole=True, margin=0.05)
    assert all(tick == round(tick) for tick in axis.ticks)
    assert axis.labels == [str(round(tick)) for tick in axis.ticks]


@pytest.mark.parametrize(("low", "high"), [(-3.2, -0.9), (-45.0, 38.5), (-2.2, -1.3), (0.0, 1.0), (-9.3, -8.7)])
def test_labels_of_a_logarithmic_axis_are_the_values_themselves(low, high):
    axis = log_axis(low, high, 8)
    assert 2 <= len(axis.ticks) <= 8
    for tick, label in zip(axis.ticks, axis.labels, strict=True):
        assert low <= tick <= high
        exponent = label if "10" in label and ("⁻" in label or label[-1] in "⁰¹²³⁴⁵⁶⁷⁸⁹") else None
        assert math.isclose(math.log10(value(label) if exponent else float(label)), tick, abs_tol=1e-9)


def test_a_narrow_logarithmic_axis_has_ticks_between_the_round_numbers():
    axis = log_axis(math.log10(3.1e-3), math.log10(3.3e-3), 5)
    assert len(axis.ticks) >= 2
    for tick, label in zip(axis.ticks, axis.labels, strict=True):
        assert math.isclose(float(label), 10**tick, rel_tol=1e-3)


@pytest.mark.parametrize("room", [30, 100, 300, 1000])
@pytest.mark.parametrize("high", [9.0, 9e6, 9e12])
def test_labels_stand_side_by_side(room, high):
    axis = fitting(lambda most: linear_axis(0.0, high, most, whole=True), room)
    middles = axis.share(np.array(axis.ticks)) * room
    widths = [text_width(label) for label in axis.labels]
    ends = [(middle - width / 2, middle + width / 2) for middle, width in zip(middles, widths, strict=True)]
    assert all(left > right for (_, right), (left, _) in pairwise(ends)) or len(ends) <= 2


def test_shares_go_from_the_start_to_the_end():
    np.testing.assert_allclose(Axis(2.0, 4.0, [], []).share(np.array([2.0, 3.0, 4.0])), [0, 0.5, 1])
    np.testing.assert_allclose(Axis(4.0, 2.0, [], []).share(np.array([2.0, 3.0, 4.0])), [1, 0.5, 0])
    largest = np.finfo(np.float64).max
    np.testing.assert_allclose(Axis(-largest, largest, [], []).share(np.array([0.0, largest])), [0.5, 1])
