"""Rules about the size of gradients."""

from helpers.evidence import ROW, look, looks_with, run, stuck

from lightning_cnnviz.functional.diagnosis.rules.gradients import exploding_gradients, vanishing_gradients


def test_a_gradient_out_of_proportion_is_told_where_nothing_is_learned():
    (found,) = exploding_gradients(stuck(looks=looks_with(total_norm=1e5)))
    assert (found.since, found.numbers["norm"]) == (1, 1e5)
    assert not list(exploding_gradients(run(looks=looks_with(total_norm=1e5))))
    assert not list(exploding_gradients(stuck(looks=looks_with(total_norm=5.0))))


def test_a_gradient_that_is_large_before_the_first_step_alone_is_not_told():
    once = [look(1, total_norm=100.0), *looks_with()[1:]]
    assert not list(exploding_gradients(stuck(looks=once)))
    assert list(exploding_gradients(stuck(looks=looks_with(total_norm=100.0))))


def test_early_layers_with_much_smaller_gradients_than_late_ones_are_told():
    sizes = {"conv1": 1e-9, "conv2": 1e-6, "fc1": 1e-3, "fc2": 1.0}
    rows = {name: {**ROW, "norm": size} for name, size in sizes.items()}
    (found,) = vanishing_gradients(stuck(looks=looks_with(gradients=rows)))
    assert (found.layers, found.numbers["ratio"]) == (("conv1", "conv2"), 1e-9)
    assert not list(vanishing_gradients(run(looks=looks_with(gradients=rows))))
    assert not list(vanishing_gradients(stuck()))
