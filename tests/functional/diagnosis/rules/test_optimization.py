"""Rules about the optimizer, its schedule and what is done to gradients."""

import math

import numpy as np
from helpers.evidence import ROW, look, looks_with, run, stuck

from lightning_cnnviz.functional.diagnosis.rules.optimization import (
    clipping_every_step,
    gradients_not_cleared,
    learning_rate_too_high,
    learning_rate_too_low,
    momentum_too_high,
    schedule_ends_early,
    weight_decay_too_strong,
)
from lightning_cnnviz.model.training_setup import OptimizerSetup

STEPS = (1, 2, 4, 9, 17, 33, 65, 101, 200, 300)


def moving(ratio, **changes):
    """Looks at steps that change weights by this share."""
    return looks_with(gradients={name: {**ROW, "update_ratio": ratio} for name in ("conv1", "fc1")}, **changes)


def test_updates_as_large_as_the_weights_are_told_where_nothing_is_learned():
    (found,) = learning_rate_too_high(stuck(looks=moving(0.5)))
    assert found.numbers["update_ratio"] == 0.5
    assert not list(learning_rate_too_high(run(looks=moving(0.5))))
    assert not list(learning_rate_too_high(stuck(looks=moving(0.01))))


def test_a_gradient_that_is_large_before_the_first_step_is_no_matter_of_the_learning_rate():
    assert not list(learning_rate_too_high(stuck(looks=moving(0.5, total_norm=1e4))))


def test_a_loss_that_breaks_without_rising_is_no_matter_of_the_learning_rate():
    losses = np.r_[np.full(50, 2.0), np.full(50, math.nan)]
    assert not list(learning_rate_too_high(stuck(looks=moving(0.5), losses=losses)))
    risen = np.r_[np.geomspace(2, 1e6, 50), np.full(50, math.nan)]
    assert list(learning_rate_too_high(stuck(looks=moving(0.5), losses=risen)))


def test_updates_of_nothing_are_told_at_chance_unless_the_learning_rate_is_rising():
    (found,) = learning_rate_too_low(stuck(looks=moving(1e-7)))
    assert found.numbers["update_ratio"] == 1e-7
    assert not list(learning_rate_too_low(run(looks=moving(1e-7))))
    warming = [look(step, gradients=moving(1e-7)[0].gradients, learning_rates=(step * 1e-6,)) for step in STEPS]
    assert not list(learning_rate_too_low(stuck(looks=warming)))


def test_one_layer_that_moves_is_enough_for_the_learning_rate_not_to_be_too_low():
    rows = {"conv1": {**ROW, "update_ratio": 1e-9}, "fc1": {**ROW, "update_ratio": 1e-3}}
    assert not list(learning_rate_too_low(stuck(looks=looks_with(gradients=rows))))


def test_momentum_is_told_where_it_is_extreme_and_nothing_is_learned():
    sgd = {"optimizers": [OptimizerSetup("SGD", 0.999, 0.0)]}
    assert list(momentum_too_high(stuck(setup=sgd)))
    assert not list(momentum_too_high(run(setup=sgd)))
    assert not list(momentum_too_high(stuck(setup={"optimizers": [OptimizerSetup("SGD", 0.9, 0.0)]})))
    assert list(momentum_too_high(run(1.2, setup=sgd)))
    assert not list(momentum_too_high(run(1.2, setup={"optimizers": [OptimizerSetup("SGD", 0.99, 0.0)]})))


def test_weights_that_shrink_are_told_of_weight_decay():
    shrunk = [look(step, gradients={"fc1": {**ROW, "weight_norm": 10 * 0.98**step}}) for step in STEPS]
    decay = {"optimizers": [OptimizerSetup("SGD", 0.9, 0.1)]}
    (found,) = weight_decay_too_strong(stuck(setup=decay, looks=shrunk))
    assert found.numbers["share"] == 0.98**299
    assert not list(weight_decay_too_strong(stuck(looks=shrunk)))
    assert not list(weight_decay_too_strong(run(setup=decay, looks=shrunk)))


def test_clipping_is_told_if_every_step_is_clipped_by_far():
    clip = {"clip_norm": 0.01}
    (found,) = clipping_every_step(run(setup=clip))
    assert found.numbers["factor"] == 100
    assert not list(clipping_every_step(run(setup={"clip_norm": 0.5})))
    assert list(clipping_every_step(run(setup={**clip, "optimizers": [OptimizerSetup("SGD", 0.9, 0.0)]})))
    for name in ("AdamW", "RMSprop", "Adagrad", "NAdam", "Lion"):
        adaptive = {**clip, "optimizers": [OptimizerSetup(name, 0.9, 0.0)]}
        assert not list(clipping_every_step(run(setup=adaptive)))
    once = [*looks_with()[:-1], look(300, total_norm=0.001)]
    assert not list(clipping_every_step(run(setup=clip, looks=once)))


def test_a_learning_rate_of_nothing_is_told_long_before_the_end_only():
    def rates(end):
        return [look(step, learning_rates=(0.1 if step < end else 1e-7,)) for step in range(1, 301, 20)]

    (found,) = schedule_ends_early(run(looks=rates(100)))
    assert (found.since, found.sure) == (101, "certain")
    assert not list(schedule_ends_early(run(looks=rates(290))))
    assert not list(schedule_ends_early(run(looks=rates(1000))))
    assert not list(schedule_ends_early(run(looks=rates(100), setup={"waits_for_plateaus": True})))
    thousandth = [look(step, learning_rates=(0.1 if step < 100 else 1e-4,)) for step in range(1, 301, 20)]
    assert not list(schedule_ends_early(run(looks=thousandth)))
    warming = [look(step, learning_rates=(1e-7 if step < 100 else 0.1,)) for step in range(1, 301, 20)]
    assert not list(schedule_ends_early(run(looks=warming)))


def test_gradients_that_are_left_in_two_steps_are_told():
    (found,) = gradients_not_cleared(run(looks=looks_with(uncleared=8)))
    assert "8 parameters" in found.evidence
    assert not list(gradients_not_cleared(run(looks=[look(1, uncleared=8), look(2)])))
