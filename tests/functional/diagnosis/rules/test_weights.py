"""Rules about weights at the start, and weights that do not change."""

import pytest
from helpers.evidence import LAYER, NAMES, looks_with, run, stuck

from lightning_cnnviz.functional.diagnosis.rules.weights import bad_initialization, layer_not_trained


def layers(**changes):
    return {"layers": {name: LAYER._replace(**changes) if name == "fc1" else LAYER for name in NAMES}}


def test_units_that_stay_alike_are_told_unless_they_are_frozen():
    (found,) = bad_initialization(run(looks=looks_with(alike=("fc1",))))
    assert (found.layers, found.sure) == (("fc1",), "certain")
    assert not list(bad_initialization(run(looks=looks_with(alike=("fc1",)), setup=layers(trainable=False))))
    assert not list(bad_initialization(run(looks=[*looks_with(alike=("fc1",))[:3], *looks_with()[3:]])))


def test_large_weights_are_told_if_the_loss_begins_far_above_chance():
    (found,) = bad_initialization(run(setup=layers(scale=30.0), start=100.0))
    assert found.layers == ("fc1",)
    assert not list(bad_initialization(run(setup=layers(scale=30.0))))
    assert not list(bad_initialization(run(start=100.0)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"setup": layers(optimized=False)}, "no optimizer has its weights"),
        ({"looks": looks_with(without_gradient=("fc1",))}, "no gradient reaches it"),
        ({"setup": layers(trainable=False)}, "is frozen"),
    ],
)
def test_layers_that_learn_nothing_are_told(options, words):
    (found,) = layer_not_trained(run(**options))
    assert (found.layers, found.sure) == (("fc1",), "certain")
    assert words in found.evidence


def test_trained_weights_may_be_frozen_or_cut_off():
    assert not list(layer_not_trained(run(setup=layers(trainable=False, untrained=False))))
    assert not list(layer_not_trained(run(setup=layers(optimized=False, untrained=False))))
    cut = looks_with(without_gradient=("fc1",))
    assert not list(layer_not_trained(run(setup=layers(untrained=False), looks=cut)))
    assert not list(layer_not_trained(stuck()))
