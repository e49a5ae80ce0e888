"""Updates and zeros against float64 by hand; of large weights from few entries, or not at all."""

import numpy as np
import pytest
import torch

from lightning_cnnviz.statistics.look_schedule import MAX_COPIED
from lightning_cnnviz.statistics.weight_updates import MAX_SAMPLE, WeightUpdates

LARGE = (2100, 2048)
"""A shape of more than `MAX_COPIED` entries."""


def means(updates):
    sums = updates.read()
    return (sums["update_ratios"] / sums["updates"]).tolist()


def norm(tensor):
    return np.linalg.norm(tensor.double().numpy())


def step(updates, weights, gradients, rate, skipped=None):
    """Returns the true ratios."""
    before = [weight.clone() for weight in weights]
    updates.begin(range(len(weights)), gradients)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight -= rate * gradient
    updates.end(skipped)
    return [norm(now - then) / norm(then) for now, then in zip(weights, before, strict=True)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("rate", [0.1, 1e-30])
def test_ratios_are_those_of_float64(dtype, rate):
    torch.manual_seed(0)
    weights = [torch.randn(30, 20, dtype=dtype), torch.zeros(4, dtype=dtype) + 2]
    if rate < 1e-9:
        weights = [weight * 1e-29 for weight in weights]  # so that the step is not lost in rounding
    gradients = [torch.randn(30, 20, dtype=dtype), torch.ones(4, dtype=dtype)]
    updates, true = WeightUpdates(weights), []
    for _ in range(2):
        before = [weight.to(torch.complex128).numpy().copy() for weight in weights]
        step_ratios = []
        updates.begin([0, 1], gradients)
        for weight, gradient, then in zip(weights, gradients, before, strict=True):
            weight -= rate * gradient
            step_ratios.append(np.linalg.norm(weight.to(torch.complex128).numpy() - then) / np.linalg.norm(then))
        updates.end()
        true.append(step_ratios)
    assert means(updates) == pytest.approx(np.mean(true, axis=0), rel=1e-5)


def large(of_gradient):
    torch.manual_seed(0)
    weights = [0.02 * torch.randn(LARGE)]
    updates = WeightUpdates(weights)
    true = [step(updates, weights, [of_gradient()], 0.1)[0] for _ in range(2)]
    return updates, np.mean(true)


def dense():
    return torch.randn(LARGE)


def of_few_rows():
    gradient = torch.zeros(LARGE)
    gradient[torch.randint(0, 2100, (100,))] = torch.randn(100, 2048)
    return gradient


def of_few_columns():
    return of_few_rows().view(2048, 2100).T.contiguous().view(LARGE)


@pytest.mark.parametrize("gradient", [dense, of_few_rows, of_few_columns])
def test_of_a_large_weight_few_entries_tell_the_ratio(gradient):
    updates, true = large(gradient)
    assert updates.read()["updates"].tolist() == [2]
    assert means(updates) == pytest.approx([true], rel=0.01)


def of_one_entry():
    gradient = torch.zeros(LARGE)
    gradient[5, 7] = 1000
    return gradient


def test_where_few_entries_do_not_tell_it_nothing_is_told():
    updates, true = large(of_one_entry)
    assert true > 1e-2
    assert updates.read()["updates"].tolist() == [0]
    assert updates.read()["inspected_steps"].tolist() == [2], "zeros are counted all the same"


@pytest.mark.parametrize("shapes", [[LARGE], [(1000, 1500)] * 6])
def test_what_is_copied_is_bounded(shapes):
    weights = [torch.ones(shape) for shape in shapes]
    updates = WeightUpdates(weights)
    most = 0
    for _ in range(12):
        updates.begin(range(len(weights)), weights)
        if updates.begun:
            most = max(most, sum(copy.before.untyped_storage().nbytes() // 4 for copy in updates._begun.copies))
        updates.end()
    assert 0 < most <= (MAX_SAMPLE if shapes == [LARGE] else MAX_COPIED)


# ---- steps that are no updates


def ratios(gradients, rate, skipped=None):
    weights = [torch.ones(3), torch.ones(4)]
    updates = WeightUpdates(weights)
    for _ in range(2):
        step(updates, weights, gradients, rate, skipped)
    return updates.read()["updates"].tolist()


def test_a_step_in_which_nothing_moves_that_has_a_gradient_was_skipped():
    assert ratios([torch.ones(3), torch.zeros(4)], rate=0.0) == [0, 0]
    assert ratios([torch.ones(3), torch.zeros(4)], rate=0.1) == [2, 2]


def test_weights_without_a_gradient_need_not_move():
    assert ratios([torch.zeros(3), torch.zeros(4)], rate=0.1) == [2, 2]


def test_a_step_that_the_scaler_skips_is_none_even_where_the_gradient_is_zero():
    assert ratios([torch.zeros(3), torch.zeros(4)], rate=0.1, skipped=torch.tensor(True)) == [0, 0]
    assert ratios([torch.zeros(3), torch.zeros(4)], rate=0.1, skipped=torch.tensor(False)) == [2, 2]


def test_tasks_in_turn_have_their_mean_though_not_all_layers_are_looked_at_together():
    """Of two halves of a network too large for one look, each moves in every second step."""
    weights = [torch.full((900, 1000), 0.01) for _ in range(8)]
    updates = WeightUpdates(weights)
    for number in range(120):
        moving = number % 2
        gradients = [torch.full_like(weight, float(row // 4 == moving)) for row, weight in enumerate(weights)]
        updates.begin(range(8), gradients)
        for row, weight in enumerate(weights):
            if row // 4 == moving:
                weight.mul_(1.01)
        updates.end()
    assert means(updates) == pytest.approx([0.005] * 8, rel=1e-3)
