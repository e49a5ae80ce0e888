"""What follows from evidence."""

import math

import numpy as np
import pytest
from helpers.evidence import FACTS, look, run, scores, stuck
from scipy.stats import entropy

from lightning_cnnviz.functional.diagnosis.evidence import Evidence


def test_chance_is_the_entropy_of_the_classes():
    true = np.r_[np.zeros(30, int), np.ones(10, int)]
    evidence = run(train=[scores(step, 1.0, true=true, classes=2) for step in (5, 10)])
    assert evidence.chance == pytest.approx(entropy([0.75, 0.25]))
    assert math.isnan(Evidence().chance)


def test_recent_scores_are_of_the_last_third_of_the_steps():
    recent = run().recent_scores
    assert recent.step == 300
    assert recent.samples == 320
    assert run(train=[scores(5, 2.0, samples=500)]).recent_scores is None


def test_a_run_is_stuck_at_chance_and_slow_above_half_of_it():
    assert (stuck().is_stuck, stuck().is_slow) == (True, True)
    assert (run(loss=1.5).is_stuck, run(loss=1.5).is_slow) == (False, True)
    assert (run().is_stuck, run().is_slow) == (False, False)
    assert (stuck(steps=40).is_stuck, Evidence(step=500).is_stuck) == (False, False)
    few = [scores(step, 2.3, samples=2) for step in range(5, 301, 5)]
    assert not run(train=few).is_stuck


def test_update_ratios_leave_out_what_is_not_known():
    rows = {"a": {"update_ratio": math.nan}, "b": {"update_ratio": 0.1}, "c": {"update_ratio": 0.3}}
    evidence = Evidence(looks=[look(1, gradients=rows), look(2, gradients={"a": {"update_ratio": math.inf}})])
    assert evidence.update_ratios == [(1, pytest.approx(0.2), 0.3)]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (np.full(300, 5.0), True),
        (np.linspace(5, 4, 300), False),
        (np.full(150, 5.0), False),
        (np.linspace(-5, -4, 300), False),
        (np.r_[np.full(250, 5.0), np.full(50, math.nan)], True),
    ],
)
def test_without_classes_a_run_is_stuck_if_its_loss_is_no_lower_than_at_the_start(losses, expected):
    assert run(train=[], losses=losses).is_stuck == expected
    assert not run(train=[], losses=losses, setup={"automatic": False}).is_stuck


def test_a_weighted_loss_that_falls_is_not_stuck_whatever_the_cross_entropy():
    weighted = [FACTS._replace(weights=tuple(range(1, 11)))]
    assert not stuck(losses=np.linspace(2, 1, 300), loss_facts=weighted).is_stuck
    assert stuck(losses=np.full(300, 2.0), loss_facts=weighted).is_stuck


def test_a_plain_loss_is_the_cross_entropy_of_the_batch_alone():
    assert run().plain_loss
    assert not run(loss_facts=[FACTS, FACTS]).plain_loss
    assert not run(loss_facts=[FACTS._replace(weights=(1.0,) * 10)]).plain_loss
    assert not run(losses=np.full(300, 1.0)).plain_loss
    assert not Evidence().plain_loss


@pytest.mark.parametrize(("loss", "accuracy", "better"), [(2.25, 0.1, True), (2.4, 0.3, True), (2.31, 0.15, False)])
def test_better_than_chance_is_what_chance_does_not_explain(loss, accuracy, better):
    assert stuck(vals=[scores(300, loss, accuracy, samples=200)]).beats_chance == better
    assert not Evidence().beats_chance


@pytest.mark.parametrize(
    ("steps", "size", "classes", "enough"),
    [(300, 64, 10, True), (150, 640, 10, False), (300, 8, 10, False), (300, 64, 100, False), (400, 64, 100, True)],
)
def test_enough_are_some_thousand_samples_and_hundreds_of_each_class(steps, size, classes, enough):
    train = [scores(5, 2.3, classes=classes)]
    assert run(steps=steps, train=train, setup={"batch_size": size}).saw_enough == enough
