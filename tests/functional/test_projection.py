import pickle
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from brute_force import nearest_agree
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness

from lightning_cnnviz.functional.alignment import movement
from lightning_cnnviz.functional.projection import Layout, principal_components, project

nan, inf = np.nan, np.inf


pytestmark = pytest.mark.usefixtures("no_warnings")


def blobs(classes=4, each=25, dimensions=30, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, dimensions)) * 20
    labels = np.repeat(np.arange(classes), each)
    return (centres[labels] + rng.normal(size=(len(labels), dimensions))).astype(np.float32), labels


def by_hand(values):
    """The first two principal components, from a singular value decomposition in float64."""
    centred = values.astype(np.float64) - values.astype(np.float64).mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    return (u * s)[:, :2]


def assert_equal_up_to_signs(points, expected, tolerance=1e-3):
    signs = np.sign((points * expected).sum(axis=0))
    assert np.abs(points * signs - expected).max() <= tolerance * np.abs(expected).max()


# ---- PCA


@pytest.mark.parametrize(
    "shape", [(60, 8), (10, 300), (200, 120), (20, 2)], ids=["tall", "wide", "more than 50 dimensions", "plane"]
)
def test_pca_is_that_of_a_singular_value_decomposition_and_of_scikit_learn(shape):
    values = (np.random.default_rng(0).normal(size=shape) * np.geomspace(10, 1, shape[1])).astype(np.float32)
    layout = project(values, method="pca")
    assert layout.points.shape == (shape[0], 2)
    assert layout.points.dtype == np.float32
    assert layout.perplexity is None
    assert_equal_up_to_signs(layout.points, by_hand(values))
    assert_equal_up_to_signs(layout.points, PCA(2, svd_solver="full").fit_transform(values.astype(np.float64)))


def test_activations_of_any_shape_and_dtype_are_flattened():
    values = torch.randn(20, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = project(values.numpy().reshape(20, 60), method="pca").points
    assert np.array_equal(project(values.requires_grad_(), method="pca").points, expected)
    assert_equal_up_to_signs(project(values.double(), method="pca").points, expected)


def test_one_dimension_becomes_a_line():
    layout = project(np.arange(10.0)[:, None], method="pca")
    assert np.abs(np.abs(layout.points[:, 0]) - np.abs(np.arange(10.0) - 4.5)).max() < 1e-5
    assert (layout.points[:, 1] == 0).all()


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_the_last_layout_settles_the_signs_of_pca(signs):
    values, _ = blobs()
    last = project(values, method="pca").points * np.float32(signs)
    moved = project(values + 0.01, method="pca", init=last).points
    assert np.abs(moved - last).max() < 0.05 * np.abs(last).max()


# ---- t-SNE


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


def test_equal_seeds_give_equal_layouts():
    values, _ = blobs(each=15)
    first, second = (project(values, perplexity=8, seed=3).points for _ in range(2))
    assert np.array_equal(first, second)


def test_a_warm_start_moves_points_little_where_a_cold_start_jumps():
    values = np.random.default_rng(1).normal(size=(120, 10)).astype(np.float32)  # nothing holds them in place
    last = project(values, perplexity=10).points
    scale = np.linalg.norm(last - last.mean(axis=0), axis=1).mean()
    warm = project(values, perplexity=10, init=last, seed=9).points
    cold = project(values + np.random.default_rng(2).normal(size=values.shape) * 1e-2, perplexity=10, seed=9).points
    moved = [np.linalg.norm(points - last, axis=1).mean() / scale for points in (warm, cold)]
    assert moved[0] < 0.05
    assert moved[1] > 3 * moved[0]


def structured(samples=600):
    """Clusters of many sizes, and samples between them, as in a layer of a network."""
    rng = np.random.default_rng(0)
    centres, nearness = rng.normal(size=(12, 40)) * 3, rng.dirichlet(np.full(12, 0.15), samples)
    return (nearness @ centres + rng.normal(size=(samples, 40)) * 0.5).astype(np.float32)


@pytest.mark.parametrize("make", [structured, lambda: blobs(each=100)[0]], ids=["structured", "blobs"])
def test_points_whose_features_have_not_changed_hardly_move_after_a_first_layout_and_later(make):
    values = make()
    layouts = [project(values)]
    for _ in range(3):
        layouts.append(project(values, init=layouts[-1].points))
    assert max(movement(now.points, last.points) for last, now in pairwise(layouts)) <= 0.02


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


def test_a_layout_lies_on_the_one_that_it_starts_from():
    values = structured(200)
    last = project(values, perplexity=15).points
    shifted = last @ np.float32([[0, 1], [1, 0]]) + np.float32([30, -5])  # mirrored and away from the centre
    assert movement(project(values, perplexity=15, init=shifted).points, shifted) <= 0.02


def test_the_layout_that_it_starts_from_stays_as_it_is():
    values, _ = blobs(each=10)
    last = project(values, perplexity=5).points
    before = last.copy()
    project(values, perplexity=5, init=last)
    project(values, method="pca", init=last)
    assert np.array_equal(last, before)


@pytest.mark.parametrize(("samples", "asked", "used"), [(5, 30, 4 / 3), (31, 30, 10), (91, 30, 30), (40, 7.5, 7.5)])
def test_perplexity_is_lowered_to_a_third_of_the_neighbours_and_reported(samples, asked, used):
    values = np.random.default_rng(0).normal(size=(samples, 6))
    layout = project(values, perplexity=asked)
    assert layout.perplexity == pytest.approx(used)
    assert np.isfinite(layout.points).all()


@pytest.mark.parametrize("dimensions", [1, 2])
def test_tsne_of_few_dimensions_is_finite_and_no_single_point(dimensions):
    values = np.random.default_rng(0).normal(size=(30, dimensions))
    points = project(values, perplexity=5).points
    assert np.isfinite(points).all()
    assert len(np.unique(points, axis=0)) == 30


def test_repeated_samples_do_not_break_tsne():
    values = np.random.default_rng(0).normal(size=(10, 6)).repeat(4, axis=0)
    assert np.isfinite(project(values, perplexity=5).points).all()


# ---- both


def test_fifty_components_are_as_good_as_the_activations():
    values, labels = blobs(dimensions=80)
    broken = np.insert(values, 3, nan, axis=0).reshape(-1, 4, 20)
    components = principal_components(broken)
    assert components.shape == (101, 50)
    assert np.isnan(components).all(axis=1).nonzero()[0].tolist() == [3]
    components = np.delete(components, 3, axis=0)
    assert_equal_up_to_signs(components[:, :10], PCA(10, svd_solver="full").fit_transform(values.astype(np.float64)))
    assert_equal_up_to_signs(project(components, method="pca").points, by_hand(values))
    assert nearest_agree(project(components, perplexity=10).points, labels, 5) == 1


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_samples_that_are_not_finite_have_no_place_and_the_others_keep_theirs(method, bad):
    values, _ = blobs(each=10)
    broken = np.insert(values, [0, 7], values[:2], axis=0)
    broken[[0, 8], 3] = bad
    layout = project(broken, method=method, perplexity=5)
    assert np.isnan(layout.points).any(axis=1).nonzero()[0].tolist() == [0, 8]
    expected = project(values, method=method, perplexity=5)
    assert layout.perplexity == expected.perplexity
    assert np.array_equal(layout.points[np.isfinite(layout.points).all(axis=1)], expected.points)


def test_opposite_infinities_in_one_sample_are_not_finite():
    values = np.random.default_rng(0).normal(size=(10, 4))
    values[2] = inf, -inf, 0, 0
    assert np.isnan(project(values, method="pca").points).any(axis=1).nonzero()[0].tolist() == [2]


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("size", [1e-12, 1e15])
def test_very_small_and_very_large_activations_have_a_place(method, size):
    values, labels = blobs(each=10)
    points = project(values * np.float32(size), method=method, perplexity=5).points
    assert nearest_agree(points, labels, 3) == 1


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_samples_without_a_last_place_get_one(method):
    values, _ = blobs(each=10)
    last = project(values, method=method, perplexity=5).points
    last[[3, 20]] = nan
    moved = project(values, method=method, perplexity=5, init=last).points
    assert np.isfinite(moved).all()


def test_a_last_layout_without_any_place_is_as_good_as_none():
    values, labels = blobs(each=10)
    points = project(values, perplexity=5, init=np.full((40, 2), nan, dtype=np.float32)).points
    assert nearest_agree(points, labels, 3) == 1


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize(("samples", "broken"), [(4, 0), (1, 0), (8, 4), (6, 6)])
def test_fewer_than_five_finite_samples_are_refused_with_their_number(method, samples, broken):
    values = np.random.default_rng(0).normal(size=(samples, 3))
    values[:broken, 1] = nan
    message = f"expected at least 5 samples with finite activations, got {samples - broken}"
    with pytest.raises(ValueError, match=message):
        project(values, method=method)


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("value", [0.0, -7.5])
def test_equal_samples_are_refused(method, value):
    with pytest.raises(ValueError, match="activations of all 9 samples are equal"):
        project(np.full((9, 4), value), method=method)


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"tsne.*pca.*umap.*'mds'"):
        project(np.random.default_rng(0).normal(size=(10, 4)), method="mds")


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_last_layout_of_other_samples_is_refused_with_both_numbers(method):
    values = np.random.default_rng(0).normal(size=(10, 4))
    with pytest.raises(ValueError, match=r"10.*8"):
        project(values, method=method, init=np.zeros((8, 2), dtype=np.float32))


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_the_global_random_state_and_the_activations_are_untouched(method):
    values, _ = blobs(each=10)
    before = values.copy()
    np.random.seed(7)
    expected = np.random.random(3)
    np.random.seed(7)
    project(values, method=method, perplexity=5)
    assert np.array_equal(np.random.random(3), expected)
    assert np.array_equal(values, before)


@pytest.mark.parametrize("count", [5, 8, 12, 20, 24, 32, 36, 40])
def test_few_samples_do_not_end_in_one_point(count):
    values = np.random.default_rng(count).normal(size=(count, 144)).astype(np.float32)
    cold = project(values).points
    assert np.ptp(cold, axis=0).min() > 1
    assert np.ptp(project(values, init=cold).points, axis=0).min() > 1
    assert np.ptp(project(values, init=1e-20 * cold).points, axis=0).min() > 1


def test_everything_goes_through_pickle_and_imports_neither_torch_nor_lightning():
    layout = project(blobs(each=10)[0], perplexity=5)
    copy = pickle.loads(pickle.dumps(layout))
    assert isinstance(copy, Layout)
    assert np.array_equal(copy.points, layout.points)
    rooms = ("projection", "projection_animation", "projection_chart", "projection_numbers", "projection_overview")
    script = "import sys\n" + "".join(f"import lightning_cnnviz.functional.{room}\n" for room in rooms)
    script += "print([name for name in ('torch', 'pytorch_lightning', 'openTSNE', 'sklearn') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
