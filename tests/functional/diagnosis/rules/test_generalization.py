"""Rules about training and validation side by side."""

import numpy as np
from helpers.evidence import LAYER, look, run, scores, stuck

from lightning_cnnviz.functional.diagnosis.rules.generalization import (
    dropout_too_strong,
    overfitting,
    overfitting_of_a_loss,
    underfitting,
)


def validations(*losses, accuracy=0.6):
    return [scores(100 * (place + 1), loss, accuracy, samples=200) for place, loss in enumerate(losses)]


def test_a_validation_loss_that_rises_is_told_since_it_does():
    (found,) = overfitting(run(loss=0.05, vals=validations(0.9, 0.5, 0.8, 1.2)))
    assert found.since == 300
    assert not list(overfitting(run(loss=0.05, vals=validations(0.5, 0.4, 0.3))))
    assert not list(overfitting(stuck(vals=validations(0.5, 0.8, 1.2))))


def test_a_gap_that_stays_is_told():
    assert list(overfitting(run(loss=0.01, vals=validations(1.2, 1.0, 1.0, 1.0, 1.0))))
    assert not list(overfitting(run(loss=0.01, vals=validations(1.0, 0.8, 0.6, 0.4, 0.2))))


def test_a_validation_that_was_best_at_first_is_that_of_a_network_that_had_been_trained():
    assert not list(overfitting(run(loss=0.05, vals=validations(0.3, 0.8, 1.2, 1.4))))


def logged(*losses, train=0.02, start=1.0, **options):
    """A regression whose validation loss is logged each 30 steps."""
    kept = [(30 * (place + 1), loss) for place, loss in enumerate(losses)]
    return run(loss=train, start=start, train=[], vals=[], validation_losses=kept, **options)


RISING = (0.9, 0.4, 0.3, 0.35, 0.5, 0.6, 0.7, 0.8)


def test_a_logged_validation_loss_that_rises_is_told_where_the_training_loss_falls():
    (found,) = overfitting_of_a_loss(logged(*RISING))
    assert (found.rule, found.since) == ("overfitting", 120)
    assert not list(overfitting_of_a_loss(logged(*sorted(RISING, reverse=True))))
    assert not list(overfitting_of_a_loss(logged(*RISING, train=0.3)))  # which no longer falls either
    assert not list(overfitting_of_a_loss(logged(*sorted(RISING))))  # trained before
    assert not list(overfitting_of_a_loss(logged(*(20 * loss for loss in RISING))))  # another kind of loss
    assert not list(overfitting_of_a_loss(logged(*RISING, setup={"automatic": False})))
    assert not list(overfitting_of_a_loss(logged(*RISING, losses=np.linspace(0.5, -1, 300))))


def test_strong_dropout_is_told_where_training_is_worse():
    assert list(dropout_too_strong(stuck(setup={"dropout": 0.95})))
    assert not list(dropout_too_strong(stuck(setup={"dropout": 0.5})))
    assert not list(dropout_too_strong(run(setup={"dropout": 0.95})))
    assert list(dropout_too_strong(run(0.8, setup={"dropout": 0.9})))
    assert not list(dropout_too_strong(run(0.8, setup={"dropout": 0.8})))


def high(setup=None, weights=100, **options):
    layers = {"layers": {"fc1": LAYER._replace(weights=weights), "fc2": LAYER}, "epoch_steps": 100}
    return run(
        1.6,
        setup={**layers, **(setup or {})},
        **{"losses": np.full(300, 1.6), "vals": [scores(300, 1.6, samples=200)], **options},
    )


def test_a_high_loss_that_no_longer_falls_is_told():
    assert list(underfitting(high()))
    assert not list(underfitting(run(loss=0.2)))
    assert not list(underfitting(high(losses=np.linspace(2.2, 1.5, 300))))
    noisy = 1.6 + np.random.default_rng(0).normal(0, 0.5, 300)
    assert not list(underfitting(high(losses=noisy)))  # whether it falls cannot be told
    assert not list(underfitting(high(weights=10_000)))  # the data may not tell classes apart any better


def test_a_high_loss_that_has_another_reason_is_not_told_of_the_network():
    assert not list(underfitting(high(vals=[scores(300, 0.8, samples=200)])))
    assert not list(underfitting(high(setup={"dropout": 0.5})))
    frozen = {"layers": {"fc1": LAYER._replace(trainable=False, weights=100)}}
    assert not list(underfitting(high(setup=frozen)))
    slowed = [look(step, learning_rates=(1 / step,)) for step in (1, 2, 4, 100, 300)]
    assert not list(underfitting(high(looks=slowed)))
    two = [scores(step, 0.6, 0.6, classes=2) for step in range(5, 301, 5)]
    assert not list(underfitting(high(train=two, losses=np.full(300, 0.6), vals=[])))
