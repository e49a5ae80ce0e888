"""Rules about batch normalisation and evaluation mode."""

from helpers.evidence import look, looks_with, run, scores

from lightning_cnnviz.functional.diagnosis.rules.normalization import (
    batch_norm_of_one,
    layers_in_evaluation_mode,
    normalization_statistics,
)
from lightning_cnnviz.model.input_tap import NormalizationLook

GOOD = NormalizationLook(samples=64, values=640, distance=0.1, ratio=0.1, batches=100)


def test_a_batch_of_one_is_told():
    assert list(batch_norm_of_one(run(looks=looks_with(normalizations={"norm1": GOOD._replace(samples=1)}))))
    assert not list(batch_norm_of_one(run(looks=looks_with(normalizations={"norm1": GOOD}))))
    assert not list(batch_norm_of_one(run()))


def test_statistics_far_from_the_batches_are_told_if_validation_is_worse():
    looks = looks_with(normalizations={"norm1": GOOD._replace(distance=3.0), "norm2": GOOD})
    bad = [scores(300, 3.0, samples=200)]
    assert next(iter(normalization_statistics(run(looks=looks, vals=bad)))).layers == ("norm1",)
    assert not list(normalization_statistics(run(looks=looks)))
    assert not list(normalization_statistics(run(looks=looks_with(normalizations={"norm1": GOOD}), vals=bad)))


def test_statistics_that_still_are_the_initial_ones_are_told_if_validation_is_worse():
    near = GOOD._replace(distance=0.3, ratio=0.1)
    bad = [scores(300, 3.0, samples=200)]
    (found,) = normalization_statistics(
        run(looks=looks_with(normalizations={"a": near._replace(remembered=0.8)}), vals=bad)
    )
    assert "80% of the initial values" in found.evidence
    assert not list(normalization_statistics(run(looks=looks_with(normalizations={"a": near}), vals=bad)))
    slow = looks_with(normalizations={"a": near._replace(remembered=0.8)})
    assert not list(normalization_statistics(run(looks=slow)))


def test_without_validation_a_long_memory_is_given_time():
    def seen(remembered, **setup):
        far = GOOD._replace(distance=3.0, remembered=remembered)
        return list(normalization_statistics(run(looks=looks_with(normalizations={"a": far}), vals=[], setup=setup)))

    assert not seen(0.8)
    assert seen(0.0)
    assert seen(1.0)  # they are never updated
    assert not seen(0.0, automatic=False)  # as where a discriminator sees batches of both kinds


def test_layers_that_do_not_train_are_told():
    assert list(layers_in_evaluation_mode(run(looks=looks_with(evaluating={"dropout": "Dropout"}))))
    assert not list(layers_in_evaluation_mode(run()))


def test_normalisation_that_is_put_into_evaluation_mode_is_told_since_when():
    trained = [look(step, normalizations={"norm1": GOOD}) for step in (1, 10)]
    put = [look(step, as_in_evaluation=("norm1",)) for step in (20, 30)]
    assert next(iter(layers_in_evaluation_mode(run(looks=[*trained, *put])))).since == 20
    assert not list(layers_in_evaluation_mode(run(looks=put)))
