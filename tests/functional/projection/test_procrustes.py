"""A layout is laid on the last one by what means nothing in it, and by nothing else."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import minimize_scalar

from lightning_cnnviz.functional.projection.procrustes import align, movement

nan = np.nan


def turned(points, angle, mirror):
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]]) * (-1 if mirror else 1, 1)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0, -3.0])
def test_a_turned_mirrored_and_shifted_layout_comes_back(angle, mirror):
    last = np.random.default_rng(0).normal(size=(50, 2)) * (9, 3) + (100, -7)
    np.testing.assert_allclose(align(turned(last, angle, mirror) + np.array([5, 60]), last), last, atol=1e-9)


def test_distances_and_the_scale_stay():
    rng = np.random.default_rng(1)
    points, last = rng.normal(size=(40, 2)), 3 * rng.normal(size=(40, 2))
    aligned = align(points, last)
    before, after = (np.linalg.norm(some[:, None] - some, axis=-1) for some in (points, aligned))
    np.testing.assert_allclose(after, before, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_turn_lies_nearer(seed):
    rng = np.random.default_rng(seed)
    last = rng.normal(size=(30, 2))
    points = turned(last, seed, seed % 2) + 0.5 * rng.normal(size=(30, 2))
    here, there = points - points.mean(axis=0), last - last.mean(axis=0)
    ours = np.square(align(points, last) - last).sum()
    assert ours == pytest.approx(np.square(here @ orthogonal_procrustes(here, there)[0] - there).sum())
    for mirror in (False, True):
        for low in np.linspace(-np.pi, np.pi, 9)[:-1]:
            other = minimize_scalar(
                lambda angle, mirror=mirror: np.square(turned(here, angle, mirror) - there).sum(),
                bounds=(low, low + np.pi / 4),
                method="bounded",
            )
            assert ours <= other.fun + 1e-9


def test_only_samples_with_both_places_take_part_but_all_are_moved():
    last = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    points = turned(last, 1.0, True).astype(np.float32)
    points[3], last_known = nan, last.copy()
    last_known[[5, 6]] = nan
    aligned = align(points, last_known)
    assert aligned.dtype == np.float32
    assert np.isnan(aligned[3]).all()
    np.testing.assert_allclose(np.delete(aligned, 3, axis=0), np.delete(last, 3, axis=0), atol=1e-5)


@pytest.mark.parametrize("known", [0, 1])
def test_without_common_samples_nothing_moves(known):
    points, last = np.eye(4, 2), np.full((4, 2), nan)
    last[:known] = 7
    assert np.array_equal(align(points, last), points)


def test_movement_is_the_median_distance_over_the_deviation():
    rng = np.random.default_rng(0)
    last, shift = rng.normal(size=(101, 2)) * (3, 1), rng.normal(size=(101, 2))
    deviation = np.sqrt((last[:, 0].var() + last[:, 1].var()) / 2)
    distances = sorted((shift**2).sum(axis=1) ** 0.5)
    assert movement(last + shift, last) == pytest.approx(distances[50] / deviation)
    more, less = np.insert(last + shift, 4, nan, axis=0), np.insert(last, 4, 99, axis=0)
    less[4] = nan
    assert movement(more, less) == pytest.approx(distances[50] / deviation)


@pytest.mark.parametrize("last", [np.zeros((3, 2)), np.full((3, 2), nan), np.zeros((0, 2))], ids=str)
def test_movement_from_no_layout_is_unknown(last):
    assert np.isnan(movement(np.ones((len(last), 2)), last))
