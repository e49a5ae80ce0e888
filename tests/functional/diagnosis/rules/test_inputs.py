"""Rules about what the network is fed with."""

import math

import numpy as np
import pytest
from helpers.evidence import FACTS, looks_with, run, scores, stuck

from lightning_cnnviz.functional.diagnosis.rules.inputs import (
    augmentation_destroys_labels,
    inputs_not_normalized,
    leakage,
    preprocessing_differs,
)


@pytest.mark.parametrize(
    ("received", "told"),
    [
        ((0.0, 255.0, 73.0, 90.0), True),
        ((28.0, 32.0, 30.0, 1.0), True),
        ((0.0, 1e-3, 3e-4, 3e-4), True),
        ((5.0, 5.0, 5.0, 0.0), True),
        ((0.0, 1.0, 0.13, 0.31), False),
        ((0.0, 1.0, 0.45, 0.25), False),
        ((-2.1, 2.6, 0.0, 1.0), False),
        ((), False),
    ],
)
def test_values_of_another_order_than_one_are_told(received, told):
    found = list(inputs_not_normalized(run(looks=looks_with(received=received))))
    assert bool(found) == told
    assert all(one.layers == ("conv1",) for one in found)


def test_other_inputs_in_validation_are_told_if_it_is_worse():
    worse = [scores(300, 3.0, 0.3, samples=200, mean=2.0)]
    assert list(preprocessing_differs(run(vals=worse)))
    assert not list(preprocessing_differs(run(vals=[scores(300, 0.2, 0.9, samples=200, mean=2.0)])))
    assert not list(preprocessing_differs(run(vals=[scores(300, 3.0, 0.3, samples=200)])))


def test_other_inputs_in_training_are_told_of_augmentation_if_little_is_learned():
    other = [scores(300, 2.3, 0.1, samples=200, roughness=0.1)]
    random = [scores(step, 2.3, 0.1, rank=0.4) for step in range(5, 301, 5)]
    assert list(augmentation_destroys_labels(stuck(train=random, vals=other)))
    hard = [scores(step, 1.6, 0.4, rank=0.2) for step in range(5, 301, 5)]
    assert not list(augmentation_destroys_labels(run(1.6, train=hard, vals=other)))
    erased = [scores(step, 1.6, 0.4, rank=0.2, std=0.2) for step in range(5, 301, 5)]
    assert list(augmentation_destroys_labels(run(1.6, train=erased, vals=other)))
    assert not list(preprocessing_differs(stuck(vals=other)))
    assert not list(augmentation_destroys_labels(run(vals=other)))


def test_images_of_a_single_colour_are_told_of_augmentation():
    smooth = [scores(step, 2.3, 0.1, rank=0.4, roughness=0.0) for step in range(5, 301, 5)]
    assert list(augmentation_destroys_labels(stuck(train=smooth)))
    unknown = [scores(step, 2.3, 0.1, rank=0.4, roughness=math.nan) for step in range(5, 301, 5)]
    assert not list(augmentation_destroys_labels(stuck(train=unknown)))


def guessed(rank=0.3, accuracy=0.5, loss=1.6, received=1.0, facts=(FACTS,), **options):
    """A run whose images are known in validation, and guessed in training."""
    train = [scores(step, loss, accuracy, rank=rank) for step in range(5, 301, 5)]
    known = [scores(300, 0.5, 0.9, samples=200)]
    looks = looks_with(received=(-1.0, 3.0, 0.0, received))
    return run(loss, train=train, vals=known, looks=looks, loss_facts=facts, **options)


def test_images_that_are_guessed_in_training_and_known_in_validation_are_told_of_augmentation():
    (found,) = augmentation_destroys_labels(guessed())
    assert found.numbers["rank"] == pytest.approx(0.3)
    assert list(augmentation_destroys_labels(guessed(rank=0.45, received=0.85)))  # they are mixed in the step
    assert not list(augmentation_destroys_labels(guessed(rank=0.45)))  # as labels that are wrong
    assert not list(augmentation_destroys_labels(guessed(rank=0.3, accuracy=0.7, received=0.85)))  # noise, for example
    assert not list(augmentation_destroys_labels(guessed(rank=0.1)))  # as images that are hard
    assert not list(augmentation_destroys_labels(guessed(accuracy=0.8)))


def test_a_loss_that_expects_mixed_images_is_sound():
    assert not list(augmentation_destroys_labels(guessed(facts=(FACTS, FACTS), received=0.85)))
    assert not list(augmentation_destroys_labels(guessed(losses=np.full(300, 1.0), received=0.85)))
    assert not list(augmentation_destroys_labels(guessed(setup={"dropout": 0.5})))


def test_shared_samples_are_certain_and_equal_ones_likely():
    assert next(iter(leakage(run(setup={"shared_samples": 0.5})))).sure == "certain"
    assert next(iter(leakage(run(leaked=0.5)))).sure == "likely"
    assert not list(leakage(run(setup={"shared_samples": 0.0}, leaked=0.05)))
    assert not list(leakage(run()))
