"""t-SNE against its definition and scikit-learn, and that a layout goes on from the last one."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.brute_force import nearest_agree
from helpers.clusters import blobs, structured
from sklearn.manifold import TSNE, trustworthiness

from lightning_cnnviz.functional.projection.layout import Layout, project
from lightning_cnnviz.functional.projection.procrustes import movement
from lightning_cnnviz.functional.projection.tsne import tsne, two_columns

pytestmark = pytest.mark.usefixtures("no_warnings")


def test_tsne_separates_what_is_well_separated():
    values, labels = blobs()
    layout = project(values, perplexity=10)
    assert layout.points.shape == (100, 2)
    assert layout.points.dtype == np.float32
    assert layout.perplexity == 10
    assert nearest_agree(layout.points, labels, 5) == 1
    distances = np.linalg.norm(layout.points[:, None] - layout.points, axis=-1)
    same = labels[:, None] == labels
    assert distances[same].max() < distances[~same].max()
    assert distances[~same].min() > np.median(distances[same])


def test_a_warm_start_moves_points_little_where_a_cold_start_jumps():
    values = np.random.default_rng(1).normal(size=(120, 10)).astype(np.float32)  # nothing holds them in place
    last = project(values, perplexity=10).points
    scale = np.linalg.norm(last - last.mean(axis=0), axis=1).mean()
    warm = project(values, perplexity=10, init=last, seed=9).points
    cold = project(values + np.random.default_rng(2).normal(size=values.shape) * 1e-2, perplexity=10, seed=9).points
    moved = [np.linalg.norm(points - last, axis=1).mean() / scale for points in (warm, cold)]
    assert moved[0] < 0.05
    assert moved[1] > 3 * moved[0]


@pytest.mark.parametrize("make", [structured, lambda: blobs(each=100)[0]], ids=["structured", "blobs"])
def test_points_whose_features_have_not_changed_hardly_move_after_a_first_layout_and_later(make):
    values = make()
    layouts = [project(values)]
    for _ in range(3):
        layouts.append(project(values, init=layouts[-1].points))
    assert max(movement(now.points, last.points) for last, now in pairwise(layouts)) <= 0.02


def forming(samples, strengths):
    """Activations in which ten clusters form as their strength grows, and their classes."""
    draw, classes = np.random.default_rng(1), np.arange(samples) % 10
    centres, own = draw.normal(size=(10, 40)), draw.normal(size=(samples, 40))
    return [(strength * centres[classes] + own).astype(np.float32) for strength in strengths], classes


@pytest.mark.parametrize("strengths", [(0.05, 0.35, 0.65, 0.8), (0.8, 0.8, 0.05), (0.8, 0.81, 0.82)])
def test_a_later_layout_is_as_good_as_a_first_one_of_the_same_activations(strengths):
    tables, classes = forming(300, strengths)
    later = project(tables[0])
    for values in tables[1:]:
        later = project(values, init=later.points)
    first = project(tables[-1])
    shares = [nearest_agree(layout.points, classes, 10) for layout in (later, first)]
    divergences = [divergence_by_definition(tables[-1], layout) for layout in (later, first)]
    assert divergences[0] <= 1.05 * divergences[1]
    assert abs(shares[0] - shares[1]) <= 0.02


def test_a_layout_whose_clusters_are_gone_is_begun_anew_like_a_first_one_and_lies_on_the_last():
    (apart, other), _ = forming(200, (1.0, 0.05))
    last = project(apart, perplexity=15)
    first, anew = project(other, perplexity=15), project(other, perplexity=15, init=last.points)
    assert (first.origin, anew.origin) == ("first", "anew")
    assert project(apart, perplexity=15, init=last.points).origin == "continued"
    left, right = (layout.points - layout.points.mean(axis=0) for layout in (first, anew))
    np.testing.assert_allclose(left @ left.T, right @ right.T, atol=1e-2 * np.abs(left @ left.T).max())
    assert ((anew.points - last.points) ** 2).sum() < ((first.points - last.points) ** 2).sum()


def test_a_refresh_is_as_true_as_a_layout_from_scratch_by_scikit_learn():
    values = structured(400)
    changed = values + np.random.default_rng(1).normal(size=values.shape).astype(np.float32) * 0.3
    refreshed = project(changed, init=project(values).points)
    cold = TSNE(random_state=0).fit_transform(changed)
    assert trustworthiness(changed, refreshed.points) > trustworthiness(changed, cold) - 0.005


def test_the_divergence_is_that_of_the_layout_and_falls():
    values = structured(150)
    first = project(values, perplexity=10)
    second = project(
        values + 0.01 * np.random.default_rng(0).normal(size=values.shape), perplexity=10, init=first.points
    )
    assert first.divergence == pytest.approx(divergence_by_definition(values, first), rel=0.1)
    assert second.divergence == pytest.approx(first.divergence, rel=0.1)
    random = Layout(np.random.default_rng(0).normal(size=(150, 2)) * 10, first.perplexity)
    assert first.divergence < 0.5 * divergence_by_definition(values, random)
    assert project(values, method="pca").divergence is None


def divergence_by_definition(values, layout):
    """Over all pairs, with each sample's width found by bisection."""
    squared = np.square(values[:, None].astype(float) - values).sum(-1)
    p = np.zeros_like(squared)
    for index, row in enumerate(squared):
        others = np.arange(len(row)) != index
        low, high = 1e-9, 1e9
        for _ in range(200):
            middle = np.sqrt(low * high)
            weights = np.exp(-(row[others] - row[others].min()) * middle)
            weights /= weights.sum()
            entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum()
            low, high = (middle, high) if entropy > np.log(layout.perplexity) else (low, middle)
        p[index, others] = weights
    p = (p + p.T) / (2 * len(p))
    q = 1 / (1 + np.square(layout.points[:, None].astype(float) - layout.points).sum(-1))
    np.fill_diagonal(q, 0)
    q /= q.sum()
    return (p[p > 1e-12] * np.log(p[p > 1e-12] / q[p > 1e-12])).sum()


@pytest.mark.parametrize("dimensions", [1, 2])
def test_tsne_of_few_dimensions_is_finite_and_no_single_point(dimensions):
    values = np.random.default_rng(0).normal(size=(30, dimensions))
    points = project(values, perplexity=5).points
    assert np.isfinite(points).all()
    assert len(np.unique(points, axis=0)) == 30


def test_repeated_samples_do_not_break_tsne():
    values = np.random.default_rng(0).normal(size=(10, 6)).repeat(4, axis=0)
    assert np.isfinite(project(values, perplexity=5).points).all()


@pytest.mark.parametrize("count", [5, 8, 12, 20, 24, 32, 36, 40])
def test_few_samples_do_not_end_in_one_point(count):
    values = np.random.default_rng(count).normal(size=(count, 144)).astype(np.float32)
    cold = project(values).points
    assert np.ptp(cold, axis=0).min() > 1
    assert np.ptp(project(values, init=cold).points, axis=0).min() > 1
    assert np.ptp(project(values, init=1e-20 * cold).points, axis=0).min() > 1


def gradient_norm(points, values, perplexity):
    """Of the divergence by the definition, at a layout: near zero where it has settled."""
    layout = Layout(points.copy(), perplexity)
    base, step = divergence_by_definition(values, layout), 1e-2 * points.std()
    slopes = []
    for place in np.ndindex(3, 2):
        moved = points.copy()
        moved[place] += step
        slopes.append((divergence_by_definition(values, Layout(moved, perplexity)) - base) / step)
    return np.abs(slopes).max() * points.std() / base


def test_a_layout_has_settled_where_it_ends():
    values = structured(60).astype(np.float64)
    points = tsne(values, 8.0, None, 0).points
    random = np.random.default_rng(0).normal(scale=points.std(), size=points.shape)
    # not zero, since t-SNE leaves out the pairs that are far apart
    assert gradient_norm(points, values, 8.0) < 0.5 * gradient_norm(random, values, 8.0)


def test_the_divergence_that_is_returned_belongs_to_the_layout_and_a_refresh_does_not_raise_it():
    values = structured(120).astype(np.float64)
    first, divergence, _ = tsne(values, 10.0, None, 0)
    assert divergence == pytest.approx(divergence_by_definition(values, Layout(first, 10.0)), rel=0.1)
    second, refreshed, _ = tsne(values, 10.0, first, 0)
    assert refreshed <= divergence * 1.001
    assert movement(second, first) < 0.1


def test_a_start_that_is_one_point_is_as_good_as_none():
    values = structured(60)
    cold = tsne(values, 8.0, None, 0).points
    for start in (np.zeros((60, 2)), np.full((60, 2), 3.0), 1e-3 * cold / np.ptp(cold)):
        np.testing.assert_array_equal(tsne(values, 8.0, start, 0)[0], cold)


def test_neither_values_nor_start_are_written_to_and_equal_seeds_give_equal_layouts():
    values = structured(60)
    start = np.random.default_rng(0).normal(size=(60, 2))
    before = values.copy(), start.copy()
    one, other = (tsne(values, 8.0, start, 3)[0] for _ in range(2))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(start, before[1])


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_of_values_the_first_two_columns_or_zeros_beside_the_only_one(columns):
    values = np.random.default_rng(0).normal(size=(4, columns))
    found = two_columns(values)
    assert found.shape == (4, 2)
    np.testing.assert_array_equal(found[:, : min(columns, 2)], values[:, :2])
    assert (found[:, columns:] == 0).all()
