import numpy as np
import pytest

from lightning_cnnviz.functional.input_partition.polygons import area, cut_by_largest, cut_by_signs, rectangle, split

SQUARE = rectangle((-1, 1, -1, 1))


def with_functions(corners, weights, offsets):
    return np.concatenate([corners, corners @ weights.T + offsets], axis=1)


@pytest.mark.parametrize("seed", range(20))
def test_parts_fill_the_whole_and_lie_on_their_side(seed):
    generator = np.random.default_rng(seed)
    weights, offsets = generator.normal(size=(6, 2)), generator.normal(size=6) / 2
    cell = with_functions(SQUARE, weights, offsets)
    parts = cut_by_signs(cell, slice(2, None), np.full(6, 1e-12))
    assert sum(area(part) for part in parts) == pytest.approx(4, abs=1e-12)
    for part in parts:
        values = part[:, :2] @ weights.T + offsets
        np.testing.assert_allclose(part[:, 2:], values, atol=1e-12)  # carried along exactly
        assert ((values > -1e-9).all(axis=0) | (values < 1e-9).all(axis=0)).all()
    signs = {tuple(part[:, 2:].mean(axis=0) > 0) for part in parts}
    points = generator.uniform(-1, 1, (200_000, 2))
    assert {tuple(row) for row in points @ weights.T + offsets > 0} <= signs
    assert len(signs) == len(parts)


def test_a_line_through_corners_makes_no_slivers():
    cell = with_functions(SQUARE, np.array([[1.0, -1.0]]), np.zeros(1))
    low, high = split(cell, cell[:, 2], 1e-12)
    assert (len(low), len(high)) == (3, 3)
    assert area(low) == area(high) == 2


@pytest.mark.parametrize("seed", range(20))
def test_the_largest_function_is_found_even_where_it_is_so_at_no_corner(seed):
    generator = np.random.default_rng(seed)
    weights, offsets = generator.normal(size=(5, 2)), generator.normal(size=5) / 2
    cell = with_functions(SQUARE, weights, offsets)
    found = cut_by_largest(cell, np.arange(2, 7), 1e-12)
    parts = [part for _, part in found]
    assert [int(part[:, 2:].mean(axis=0).argmax()) for part in parts] == [winner for winner, _ in found]
    assert sum(area(part) for part in parts) == pytest.approx(4, abs=1e-12)
    points = generator.uniform(-1, 1, (100_000, 2))
    assert {int(part[:, 2:].mean(axis=0).argmax()) for part in parts} >= set(
        (points @ weights.T + offsets).argmax(axis=1)
    )
    for part in parts:
        lead = part[:, 2:] - part[:, 2:].max(axis=1, keepdims=True)
        assert (lead.max(axis=0) >= -1e-9).any()
        assert (np.abs(lead).max(axis=0) < 1e-9).sum() == 1


def test_equal_functions_do_not_cut():
    cell = with_functions(SQUARE, np.array([[1.0, 0], [1, 0], [-1, 0]]), np.zeros(3))
    parts = cut_by_largest(cell, np.arange(2, 5), 1e-12)
    assert [(winner, area(part)) for winner, part in parts] == [(0, 2), (2, 2)]
    flat = with_functions(SQUARE, np.zeros((3, 2)), np.zeros(3))
    assert [(winner, area(part)) for winner, part in cut_by_largest(flat, np.arange(2, 5), 1e-12)] == [(0, 4)]
