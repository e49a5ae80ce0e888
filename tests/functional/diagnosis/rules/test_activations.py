"""Rules about what layers return."""

import pytest
from helpers.evidence import GOOD, LAYER, NAMES, looks_with, run, stuck

from lightning_cnnviz.functional.diagnosis.rules.activations import (
    bottleneck,
    dead_units,
    no_nonlinearity,
    saturated_activations,
)
from lightning_cnnviz.model.loss_facts import GraphFacts


def layers(**changes):
    """What layers return, one of them, the second, with these facts."""
    return {name: GOOD._replace(**changes) if name == "conv2" else GOOD for name in NAMES}


@pytest.mark.parametrize(
    ("graph", "told"),
    [(GraphFacts(3, True), True), (GraphFacts(3, False), False), (GraphFacts(1, True), False), (None, False)],
)
def test_a_network_of_linear_layers_alone_is_told(graph, told):
    assert bool(list(no_nonlinearity(run(graph=graph)))) == told


def test_dead_units_are_told_by_how_little_is_learned():
    (found,) = dead_units(stuck(looks=looks_with(layers=layers(dead=0.9))))
    assert (found.layers, found.numbers["dead"], found.since) == (("conv2",), 0.9, 1)
    assert not list(dead_units(run(looks=looks_with(layers=layers(dead=0.9)))))
    assert list(dead_units(run(looks=looks_with(layers=layers(dead=1.0)))))
    assert not list(dead_units(stuck(looks=looks_with(layers=layers(dead=0.5)))))


def test_saturated_values_are_told_of_hidden_layers_only():
    (found,) = saturated_activations(stuck(looks=looks_with(layers=layers(saturated=0.9))))
    assert found.layers == ("conv2",)
    output = {**dict.fromkeys(NAMES, GOOD), "fc2": GOOD._replace(saturated=1.0)}
    assert not list(saturated_activations(stuck(looks=looks_with(layers=output))))
    assert not list(saturated_activations(run(looks=looks_with(layers=layers(saturated=0.9)))))


def test_a_layer_that_is_narrow_or_gives_the_same_for_all_samples_is_told():
    narrow = {"layers": {**dict.fromkeys(NAMES, LAYER), "fc1": LAYER._replace(units=1)}}
    (found,) = bottleneck(stuck(setup=narrow))
    assert (found.layers, found.numbers["units"]) == (("fc1",), 1)
    assert not list(bottleneck(run(setup=narrow)))
    (found,) = bottleneck(stuck(looks=looks_with(layers=layers(variation=0.0))))
    assert (found.layers, found.sure) == (("conv2",), "certain")
    assert not list(bottleneck(stuck()))
