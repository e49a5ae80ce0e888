"""Rules about the loss."""

import math

import numpy as np
import pytest
from helpers.evidence import FACTS, ROW, look, run, scores, stuck

from lightning_cnnviz.functional.diagnosis.rules.loss import (
    half_precision_underflow,
    loss_does_not_fall,
    non_finite,
    softmax_before_loss,
    wrong_loss,
)
from lightning_cnnviz.model.loss_facts import LossFacts

GOOD = LossFacts("cross_entropy", "classes", 10, True, "", 0)


def test_a_softmax_below_the_loss_is_told_and_none_otherwise():
    (found,) = softmax_before_loss(run(loss_facts=[GOOD._replace(after_softmax="softmax")]))
    assert (found.rule, found.sure, found.since) == ("softmax_before_loss", "certain", 1)
    assert not list(softmax_before_loss(run(loss_facts=[GOOD])))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (GOOD._replace(outputs=1), "always 0"),
        (GOOD._replace(log_probabilities=False), "no logarithms"),
        (LossFacts("binary_cross_entropy_with_logits", "logits", 1, True, "", 0, beyond=True), "outside of 0…1"),
        (LossFacts("mse_loss", "values", 1, True, "", 7), "7 class indices"),
    ],
)
def test_a_loss_of_what_cannot_be_its_arguments_is_told(facts, words):
    (found,) = wrong_loss(run(loss_facts=[facts]))
    assert words in found.evidence


def test_class_indices_as_amounts_are_certain_only_where_the_dataset_has_class_names():
    facts = [LossFacts("mse_loss", "values", 1, True, "", 7)]
    assert next(iter(wrong_loss(run(loss_facts=facts)))).sure == "likely"
    assert next(iter(wrong_loss(run(loss_facts=facts, setup={"has_class_names": True})))).sure == "certain"
    assert not list(wrong_loss(run(loss_facts=[facts[0]._replace(class_indices=2)])))


def test_the_first_loss_that_is_no_number_has_its_step():
    losses = np.array([2.0, 1.0, math.nan, math.nan])
    (found,) = non_finite(run(losses=losses, loss_steps=np.array([1, 2, 3, 4])))
    assert (found.rule, found.since) == ("non_finite", 3)
    told = {"step": 3, "words": "It is infinite.", "layers": ("fc1",), "half": True}
    (found,) = non_finite(run(non_finite=told))
    assert (found.rule, found.layers, found.evidence) == ("half_precision_overflow", ("fc1",), "It is infinite.")
    assert found.sure == "likely"  # what is infinite may be so in any precision
    assert not list(non_finite(run()))


def test_gradients_of_zeros_are_told_of_half_precision_only():
    zeros = [look(step, gradients={"fc1": {**ROW, "zero_share": 0.9}}) for step in (1, 10, 20)]
    (found,) = half_precision_underflow(run(setup={"half": True}, looks=zeros))
    assert found.numbers["zero_share"] == 0.9
    assert not list(half_precision_underflow(run(looks=zeros)))


def test_a_loss_at_chance_is_told_and_one_that_falls_is_not():
    assert next(iter(loss_does_not_fall(stuck()))).sure == "likely"
    assert not list(loss_does_not_fall(run()))


def test_a_loss_a_little_below_chance_has_fallen():
    val = [scores(300, 2.2, 0.3, samples=200)]
    assert not list(loss_does_not_fall(stuck(vals=val)))
    assert not list(loss_does_not_fall(stuck(losses=np.full(300, 2.2) + 0.05 * np.sin(np.arange(300)))))
    weighted = [FACTS._replace(weights=tuple(range(1, 11)))]
    assert not list(loss_does_not_fall(stuck(losses=np.linspace(2, 1, 300), loss_facts=weighted)))


def test_a_loss_that_is_always_the_same_and_weights_that_never_change_are_certain():
    (found,) = loss_does_not_fall(run(losses=np.zeros(50)))
    assert "exactly 0 in all 50 steps" in found.evidence
    still = [look(step, gradients={"fc1": {**ROW, "update_ratio": 0.0}}) for step in (1, 10, 20)]
    (found,) = loss_does_not_fall(run(looks=still))
    assert (found.sure, "No weight has changed" in found.evidence) == ("certain", True)
