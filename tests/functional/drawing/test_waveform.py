"""Waveforms: each value lies where it belongs, and none is lost."""

import numpy as np
import pytest

from lightning_cnnviz.functional.drawing.waveform import is_waveform, waveform

MAGENTA = (255, 0, 255)

pytestmark = pytest.mark.filterwarnings("error")


def inked(picture):
    return (picture == 34).all(-1)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((16_000,), True),
        ((2, 16_000), True),
        ((32,), True),
        ((4,), False),  # features
        ((128, 100), False),  # a spectrogram
        ((1, 28, 28), False),
        ((), False),
        ((0, 100), False),
    ],
)
def test_what_is_a_waveform(shape, expected):
    assert is_waveform(shape) is expected


@pytest.mark.parametrize("length", [32, 96, 100, 16_000])
def test_each_column_holds_its_values(length):
    signal = np.random.default_rng(0).normal(size=length)
    picture = waveform(signal, 96)
    assert picture.shape == (48, 96, 3)
    rows = np.round((signal.max() - signal) / np.ptp(signal) * 47).astype(int)
    columns = np.searchsorted(np.arange(96) * length // 96, np.arange(length), side="right") - 1
    ink = inked(picture)
    assert ink[rows, columns].mean() > 0.98  # but for rounding at the edge of two rows
    assert ink[0].any()
    assert ink[-1].any()


def test_a_single_peak_among_many_values_is_not_lost():
    signal = np.zeros(100_000)
    signal[70_001] = 1
    picture = waveform(signal, 96)
    assert np.flatnonzero(inked(picture)[0]).tolist() in ([67], [67, 68])


def test_a_wave_is_in_one_piece():
    signal = np.sin(np.linspace(0, 40, 96))
    ink = inked(waveform(signal, 96))
    for left, right in zip(ink.T[:-1], ink.T[1:], strict=True):
        first, second = np.flatnonzero(left), np.flatnonzero(right)
        assert second.min() <= first.max() + 1
        assert second.max() >= first.min() - 1


def test_of_several_channels_their_range_is_drawn():
    signal = np.stack([np.full(64, -1.0), np.full(64, 3.0), np.full(64, 1.0)])
    assert inked(waveform(signal, 96)).all()


def test_zero_is_a_grey_line_where_it_lies_between():
    signal = np.concatenate([np.full(50, 1.0), np.full(50, -1.0)])
    assert (waveform(signal, 96) == 200).all(-1).sum() > 60
    assert not (waveform(signal + 5, 96) == 200).all(-1).any()


@pytest.mark.parametrize("constant", [0.0, 5.0, -3e38])
def test_a_constant_is_a_line_in_the_middle(constant):
    rows, columns = np.nonzero(inked(waveform(np.full(100, constant), 96)))
    assert set(columns) == set(range(96))
    assert set(rows) <= {23, 24}


def test_what_is_not_finite_is_magenta_and_leaves_the_scale_to_the_rest():
    signal = np.sin(np.linspace(0, 9, 960))
    signal[500], signal[700] = np.nan, np.inf
    picture = waveform(signal, 96)
    marked = (picture == MAGENTA).all(-1)
    assert np.flatnonzero(marked.all(axis=0)).tolist() == [50, 70]
    assert inked(picture)[0].any()
    assert (waveform(np.full(100, np.nan), 96) == MAGENTA).all()
