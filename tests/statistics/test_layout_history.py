"""Layouts of a run: from the last one the next goes on, few of them are kept, and a checkpoint has them."""

import io

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.projection.layout import Layout
from lightning_cnnviz.functional.projection.quality import LayoutQuality
from lightning_cnnviz.statistics.layout_history import LayoutHistory, LayoutSnapshot


def snapshot(step, samples=9, seed=None):
    points = np.random.default_rng(step if seed is None else seed).normal(size=(samples, 2)).astype(np.float32)
    return LayoutSnapshot(
        step, f"fc1 · step {step}", Layout(points, 3.0, 0.5), LayoutQuality(0.9, movement=0.1 * step)
    )


def filled(most, steps):
    history = LayoutHistory(most)
    for step in steps:
        history.add("fc1", "tsne", snapshot(step))
    return history


def steps_of(history, layer="fc1", method="tsne"):
    return [one.step for one in history.snapshots.get((layer, method), [])]


def test_the_last_layout_is_that_of_the_layer_and_method_and_of_as_many_samples():
    history = filled(10, [1, 2])
    history.add("fc1", "pca", snapshot(3))
    assert np.array_equal(history.last("fc1", "tsne", 9), snapshot(2).layout.points)
    assert np.array_equal(history.last("fc1", "pca", 9), snapshot(3).layout.points)
    assert history.last("fc1", "tsne", 8) is None
    assert history.last("conv1", "tsne", 9) is None


@pytest.mark.parametrize("most", [2, 3, 4, 5, 10, 60])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 200])
def test_of_many_layouts_few_are_kept_the_first_and_the_last_two_among_them(most, count):
    history = LayoutHistory(most)
    for step in range(1, count + 1):
        history.add("fc1", "tsne", snapshot(step))
        kept = steps_of(history)
        assert len(kept) <= most
        assert kept == sorted(set(kept))
        assert kept[-1] == step
        assert kept[0] == 1
    if count <= most:
        assert kept == list(range(1, count + 1))


def test_the_one_with_the_closest_neighbours_goes():
    assert steps_of(filled(4, range(1, 6))) == [1, 2, 3, 5]
    assert steps_of(filled(4, [1, 10, 20, 21, 30])) == [1, 10, 20, 30]


@pytest.mark.parametrize("most", [10, 50, 60])
def test_those_that_are_kept_are_spread_over_a_long_run(most):
    kept = steps_of(filled(most, range(1, 601)))
    assert len(kept) == most
    gaps = np.diff(kept)
    assert gaps[:-1].max() <= 2 * gaps[:-1].min()


@pytest.mark.parametrize("most", [0, 1])
def test_without_a_film_only_the_last_is_kept_to_go_on_from(most):
    assert steps_of(filled(most, range(1, 6))) == [5]


def test_layouts_of_another_number_of_samples_go_with_the_first_new_one():
    history = filled(10, [1, 2, 3])
    history.add("fc1", "tsne", snapshot(4, samples=8))
    assert steps_of(history) == [4]
    assert history.last("fc1", "tsne", 9) is None


@pytest.mark.parametrize(("step", "kept"), [(0, []), (1, [1]), (2, [1, 2]), (5, [1, 2, 4]), (99, [1, 2, 4])])
def test_what_came_after_a_step_is_forgotten_and_at_the_beginning_everything(step, kept):
    history = filled(10, [1, 2, 4])
    history.add("fc2", "pca", snapshot(6))
    history.forget_after(step)
    assert steps_of(history) == kept
    assert steps_of(history, "fc2", "pca") == ([6] if step >= 6 else [])
    assert all(history.snapshots.values())


def test_a_checkpoint_gives_back_all_but_what_half_precision_leaves_out():
    history = filled(10, [1, 2, 4])
    history.add(
        "fc2", "pca", LayoutSnapshot(5, "", Layout(np.full((3, 2), np.nan, dtype=np.float32), None), LayoutQuality())
    )
    torch.save(history.state_dict(), file := io.BytesIO())
    file.seek(0)
    other = LayoutHistory(10)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other.snapshots.keys() == history.snapshots.keys()
    for key, expected in history.snapshots.items():
        for one, two in zip(other.snapshots[key], expected, strict=True):
            assert (one.step, one.title) == (two.step, two.title)
            assert one.layout.points.dtype == np.float32
            np.testing.assert_allclose(one.layout.points, two.layout.points, rtol=2**-10, atol=1e-6)
            assert one.layout[1:] == two.layout[1:]
            np.testing.assert_array_equal(one.quality, two.quality)


def test_what_was_taken_over_is_gone_on_from_and_is_a_copy():
    history = filled(10, [1, 2])
    other = LayoutHistory(10)
    other.load_state_dict(history.state_dict())
    other.add("fc1", "tsne", snapshot(3))
    assert steps_of(other) == [1, 2, 3]
    assert steps_of(history) == [1, 2]
