"""Neighbours and trustworthiness agree with scikit-learn."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness as reference
from sklearn.neighbors import NearestNeighbors

from lightning_cnnviz.functional.projection import neighbours
from lightning_cnnviz.functional.projection.neighbours import nearest_neighbours, trustworthiness

nan = np.nan


def samples(count, dimensions=12, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimensions))


@pytest.mark.parametrize(("count", "k"), [(2, 1), (40, 39), (249, 5), (600, 90)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbours_are_those_of_a_search_by_brute_force(count, k, dtype):
    values = samples(count).astype(dtype) + 100  # far from the origin
    expected_distances, expected = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(values - 100).kneighbors()
    indices, distances = nearest_neighbours(values, k)
    assert (indices == expected).mean() > 0.999  # float32 may swap two that are nearly as near
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-4)


def test_no_sample_is_its_own_neighbour_where_all_coincide():
    indices, distances = nearest_neighbours(np.ones((30, 3)), 7)
    assert not (indices == np.arange(30)[:, None]).any()
    assert (distances == 0).all()


def test_of_too_many_samples_most_neighbours_are_found(monkeypatch):
    values = samples(500).astype(np.float32)
    _, exact = NearestNeighbors(n_neighbors=10).fit(values).kneighbors()
    monkeypatch.setattr(neighbours, "MAX_EXACT_SAMPLES", 499)
    found, distances = nearest_neighbours(values, 10)
    shared = [len(set(one) & set(other)) for one, other in zip(found.tolist(), exact.tolist(), strict=True)]
    assert np.mean(shared) > 9
    own = np.linalg.norm(values[:, None] - values[found], axis=-1)
    np.testing.assert_allclose(distances, own, rtol=1e-3)


@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("noise", [0.0, 1.0, 100.0])
def test_trustworthiness_is_that_of_scikit_learn(k, noise):
    values = samples(300)
    points = values[:, :2] + noise * samples(300, 2, seed=1)
    assert trustworthiness(values, points, k) == pytest.approx(reference(values, points, n_neighbors=k), abs=1e-12)


def test_samples_without_a_place_or_values_take_no_part():
    values, points = samples(120), samples(120, 2, seed=1)
    expected = reference(values, points)
    values, points = np.insert(values, [3, 50], nan, axis=0), np.insert(points, [3, 50], 0.5, axis=0)
    values, points = np.insert(values, 9, 0.5, axis=0), np.insert(points, 9, nan, axis=0)
    assert trustworthiness(values, points) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("count", "known"), [(0, False), (2, False), (3, True), (6, True)])
def test_few_samples_have_fewer_neighbours_or_no_number(count, known):
    values = samples(count)
    number = trustworthiness(values, samples(count, 2, seed=1))
    assert np.isfinite(number) == known
    assert not known or 0 <= number <= 1
