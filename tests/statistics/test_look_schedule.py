"""Which weights are looked at when: often enough, never too many at once, and without a beat."""

import numpy as np
import pytest

from lightning_cnnviz.statistics.look_schedule import MAX_COPIED, LookSchedule

SIZES = {
    "small": [10] * 5,
    "deep": [MAX_COPIED // 4] * 40,
    "mixed": [MAX_COPIED, 10, MAX_COPIED // 2, 999, MAX_COPIED],
}


def looks(sizes, steps, present=lambda step, row: True):
    """Mask of shape (steps, weights), and of the steps in which each weight takes part."""
    schedule = LookSchedule(sizes)
    looked, there = np.zeros((2, steps, len(sizes)), dtype=bool)
    for step in range(steps):
        rows = [row for row in range(len(sizes)) if present(step, row)]
        chosen = schedule.choose(rows)
        assert set(chosen) <= set(rows)
        assert chosen == sorted(chosen)
        there[step, rows], looked[step, chosen] = True, True
    return looked, there


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_no_step_copies_more_than_the_bound(sizes):
    looked, _ = looks(sizes, 500)
    assert (looked @ np.array(sizes)).max() <= MAX_COPIED


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_each_weight_is_looked_at_soon_and_then_as_often_as_the_others(sizes):
    looked, _ = looks(sizes, 4000)
    rounds = 2 * -(-sum(sizes) // MAX_COPIED)
    assert looked[: 2 * rounds].any(axis=0).all()
    shares = looked.mean(axis=0)
    expected = min(1 / 8, MAX_COPIED / (2 * sum(sizes)))
    assert shares == pytest.approx(np.full(len(sizes), expected), rel=0.1)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("period", [2, 3, 4, 5, 8, 16, 26])
def test_nothing_periodic_hides_between_the_looks(sizes, period):
    looked, _ = looks(sizes, 8000)
    for row in range(len(sizes)):
        phases = np.bincount(np.flatnonzero(looked[:, row]) % period, minlength=period)
        assert phases.min() > 0.5 * phases.mean()


def test_each_weight_counts_its_own_steps():
    looked, there = looks(SIZES["small"], 3000, lambda step, row: step % (row + 1) == 0)
    for row in range(5):
        alone, _ = looks([10], int(there[:, row].sum()))
        np.testing.assert_array_equal(looked[there[:, row], row], alone[:, 0])


def test_weights_that_take_part_at_random_are_looked_at_as_often():
    rng = np.random.default_rng(0)
    takes_part = rng.random((6000, 40)) < 0.7
    looked, there = looks(SIZES["deep"], 6000, lambda step, row: takes_part[step, row])
    assert (looked @ np.array(SIZES["deep"])).max() <= MAX_COPIED
    shares = looked.sum(axis=0) / there.sum(axis=0)
    assert shares == pytest.approx(np.full(40, 1 / 20), rel=0.15)


def test_a_new_window_begins_with_a_look():
    schedule = LookSchedule([5])
    for _ in range(7):
        schedule.choose([0])
    schedule.clear()
    assert [schedule.choose([0]) for _ in range(3)] == [[0], [0], []]
