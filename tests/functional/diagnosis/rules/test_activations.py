"""Rules about what layers return."""

from dataclasses import replace

import pytest
from helpers.evidence import GOOD, NAMES, look, looks_with, run, stuck

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


def narrow(directions, values, head=1.0):
    """Looks at a network in which one layer, the third, has few values and the scores differ in few directions."""
    last = GOOD._replace(values=10, directions=directions, variation=head)
    third = GOOD._replace(values=values, variation=head)
    return looks_with(layers={**dict.fromkeys(NAMES, GOOD._replace(values=640)), "fc1": third, "fc2": last})


def test_a_narrow_layer_is_told_if_all_goes_through_it():
    for width in (1, 3):
        (found,) = bottleneck(stuck(looks=narrow(width, width)))
        assert (found.layers, found.numbers["units"]) == (("fc1",), width)
    assert not list(bottleneck(run(looks=narrow(3, 3))))
    assert not list(bottleneck(stuck(looks=narrow(4, 4))))
    assert not list(bottleneck(stuck(looks=narrow(9, 2))))  # it stands beside a wider one
    assert not list(bottleneck(stuck(looks=narrow(2, 80))))  # as where inputs have few values
    few = [replace(one, samples=7) for one in narrow(2, 2)]  # which differ in few directions in any case
    assert not list(bottleneck(stuck(looks=few)))


def test_a_narrow_layer_of_dead_units_is_told():
    (found,) = bottleneck(stuck(looks=narrow(0, 1, head=0.0)))
    assert (found.layers, found.numbers["units"]) == (("fc1",), 1)


def test_units_that_die_since_hardly_anything_reaches_them_are_no_cause():
    faded = {name: GOOD._replace(std=10.0 ** -(3 * place), dead=0.0) for place, name in enumerate(NAMES)}
    later = [replace(one, layers=layers(dead=0.9)) for one in looks_with()[1:]]
    assert list(dead_units(stuck(looks=[look(1), *later])))
    assert not list(dead_units(stuck(looks=[look(1, layers=faded | {"conv2": faded["fc1"]}), *later])))
    already = faded | {"conv2": faded["fc1"]._replace(dead=0.9)}
    assert list(dead_units(stuck(looks=[look(1, layers=already), *later])))


def test_a_layer_that_gives_the_same_for_all_samples_is_told():
    (found,) = bottleneck(stuck(looks=looks_with(layers=layers(variation=0.0))))
    assert (found.layers, found.sure) == (("conv2",), "certain")
    assert not list(bottleneck(stuck()))
