"""Rules about training and validation side by side."""

from helpers.evidence import run, scores, stuck

from lightning_cnnviz.functional.diagnosis.rules.generalization import dropout_too_strong, overfitting, underfitting


def validations(*losses, accuracy=0.6):
    return [scores(100 * (place + 1), loss, accuracy, samples=200) for place, loss in enumerate(losses)]


def test_a_validation_loss_that_rises_is_told_since_it_does():
    (found,) = overfitting(run(loss=0.05, vals=validations(0.5, 0.8, 1.2)))
    assert found.since == 200
    assert not list(overfitting(run(loss=0.05, vals=validations(0.5, 0.4, 0.3))))
    assert not list(overfitting(stuck(vals=validations(0.5, 0.8, 1.2))))


def test_a_gap_that_stays_is_told():
    assert list(overfitting(run(loss=0.01, vals=validations(1.0, 1.0, 1.0, 1.0, 1.0))))
    assert not list(overfitting(run(loss=0.01, vals=validations(1.0, 0.8, 0.6, 0.4, 0.2))))


def test_strong_dropout_is_told_where_training_is_worse():
    assert list(dropout_too_strong(stuck(setup={"dropout": 0.95})))
    assert not list(dropout_too_strong(stuck(setup={"dropout": 0.5})))
    assert not list(dropout_too_strong(run(setup={"dropout": 0.95})))


def test_a_high_loss_that_no_longer_falls_is_told():
    assert list(underfitting(run(loss=1.6)))
    assert not list(underfitting(run(loss=0.2)))
    falling = [scores(step, 2.2 - step / 400) for step in range(5, 301, 5)]
    assert not list(underfitting(run(train=falling)))
