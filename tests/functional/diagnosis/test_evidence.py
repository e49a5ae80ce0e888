"""What follows from the evidence, compared with NumPy."""

import math

import numpy as np
import pytest

from lightning_cnnviz.functional.diagnosis.evidence import Evidence, Look, ScoreLook


def look(number, samples=40, classes=4, step=1, loss=None):
    rng = np.random.default_rng(number)
    true, predicted = rng.integers(0, classes, samples), rng.integers(0, classes, samples)
    losses = rng.random(samples) if loss is None else np.full(samples, loss)
    ranks = np.where(true == predicted, np.nan, rng.random(samples))
    return ScoreLook(step, classes, true, predicted, losses, ranks, rng.random(2), rng.random(2), float(rng.random()))


def test_numbers_of_a_batch_are_those_of_numpy():
    one = look(0)
    assert one.accuracy == (one.true == one.predicted).mean()
    assert one.mean_loss == one.losses.mean()
    assert one.mean_rank == pytest.approx(np.nanmean(one.ranks))
    assert one.mistakes == (one.true != one.predicted).sum()
    table = np.zeros((4, 4), int)
    for true, predicted in zip(one.true, one.predicted, strict=True):
        table[true, predicted] += 1
    assert (one.counts == table).all()
    assert (one.class_counts == table.sum(1)).all()


def test_a_sum_is_that_of_all_samples_with_pooled_moments():
    rng = np.random.default_rng(1)
    images = [rng.normal(number, 1 + number, (40, 2, 9)) for number in range(3)]
    looks = [
        ScoreLook(n, 4, *[look(n).true] * 2, look(n).losses, look(n).ranks, x.mean((0, 2)), x.std((0, 2)), 1.0)
        for n, x in enumerate(images)
    ]
    total, together = ScoreLook.sum_of(looks), np.concatenate(images)
    assert (total.step, total.samples) == (2, 120)
    np.testing.assert_allclose(total.means, together.mean((0, 2)))
    np.testing.assert_allclose(total.deviations, together.std((0, 2)))
    assert total.mean_loss == pytest.approx(np.concatenate([one.losses for one in looks]).mean())


def test_chance_is_the_entropy_of_the_classes():
    evidence = Evidence(scores=[look(number) for number in range(5)])
    shares = np.bincount(np.concatenate([look(number).true for number in range(5)])) / 200
    assert evidence.chance == pytest.approx(-(shares * np.log(shares)).sum())
    assert math.isnan(Evidence().chance)


def test_losses_first_and_recent():
    evidence = Evidence(losses=np.array([5.0, math.nan, 4, 3, 2, 1, 1]))
    assert evidence.first_loss == 5
    assert evidence.start_loss == pytest.approx((5 + 4 + 3 + 2) / 4)
    assert evidence.recent_loss(3) == pytest.approx(4 / 3)
    assert math.isnan(evidence.recent_loss(7))
    assert math.isnan(Evidence().first_loss)


def test_who_knows_too_few_scores_is_neither_stuck_nor_slow():
    few = Evidence(scores=[look(0, samples=60, loss=2.0)], step=5000)
    assert few.recent_scores is None
    assert not few.is_stuck
    assert not few.is_slow
    enough = Evidence(scores=[look(number, loss=2.0) for number in range(9)], step=5000)
    assert enough.is_stuck
    assert enough.is_slow
    learned = Evidence(scores=[look(number, loss=0.1) for number in range(9)], step=5000)
    assert not learned.is_stuck
    assert not learned.is_slow


def test_update_ratios_are_medians_and_maxima_over_layers():
    rows = [{name: {"update_ratio": value} for name, value in zip("abc", values, strict=True)} for values in
            ([0.1, 0.3, 0.2], [math.nan] * 3, [0.5, math.nan, 0.1])]  # fmt: skip
    evidence = Evidence(looks=[Look(step, gradients=row) for step, row in enumerate(rows)])
    assert evidence.update_ratios == [(0, pytest.approx(0.2), 0.3), (2, pytest.approx(0.3), 0.5)]
