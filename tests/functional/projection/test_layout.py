import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.brute_force import nearest_agree
from helpers.clusters import blobs, structured
from sklearn.decomposition import PCA

from lightning_cnnviz.functional.projection.layout import Layout, principal_components, project
from lightning_cnnviz.functional.projection.procrustes import movement

nan, inf = np.nan, np.inf


pytestmark = pytest.mark.usefixtures("no_warnings")


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


def test_equal_seeds_give_equal_layouts():
    values, _ = blobs(each=15)
    first, second = (project(values, perplexity=8, seed=3).points for _ in range(2))
    assert np.array_equal(first, second)


def test_a_layout_lies_on_the_one_that_it_starts_from():
    values = structured(200)
    last = project(values, perplexity=15).points
    shifted = last @ np.float32([[0, 1], [1, 0]]) + np.float32([30, -5])  # mirrored and away from the centre
    assert movement(project(values, perplexity=15, init=shifted).points, shifted) <= 0.05


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


def test_everything_goes_through_pickle_and_imports_neither_torch_nor_lightning():
    layout = project(blobs(each=10)[0], perplexity=5)
    copy = pickle.loads(pickle.dumps(layout))
    assert isinstance(copy, Layout)
    assert np.array_equal(copy.points, layout.points)
    rooms = ("layout", "animation", "chart", "quality", "overview")
    script = "import sys\n" + "".join(f"import lightning_cnnviz.functional.projection.{room}\n" for room in rooms)
    script += "print([name for name in ('torch', 'pytorch_lightning', 'openTSNE', 'sklearn') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
