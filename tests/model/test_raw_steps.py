"""Steps of optimizers that Lightning does not announce are told, others not."""

import copy

import torch
from torch import nn

from lightning_cnnviz.model.raw_steps import RawSteps


def optimizers(count):
    return [torch.optim.SGD(nn.Linear(2, 1).parameters(), 0.1) for _ in range(count)]


def test_each_step_but_the_first_of_a_raw_optimizer_is_told_before_it_is_made():
    (optimizer,) = optimizers(1)
    weight = optimizer.param_groups[0]["params"][0]
    seen = []
    steps = RawSteps([optimizer], lambda _: seen.append(weight.detach().clone()))
    before = []
    for _ in range(3):
        weight.grad = torch.ones_like(weight)
        before.append(weight.detach().clone())
        optimizer.step()
    steps.close()
    assert len(seen) == 2
    assert all(torch.equal(one, other) for one, other in zip(seen, before[1:], strict=True))


def test_steps_that_lightning_announces_are_not_told_again():
    (optimizer,) = optimizers(1)
    seen = []
    steps = RawSteps([optimizer], seen.append)
    for _ in range(3):
        steps.announce(optimizer)
        optimizer.step()
    assert seen == []
    optimizer.step()  # from now on past Lightning
    optimizer.step()
    assert seen == [optimizer]
    steps.announce(optimizer)  # and back again
    optimizer.step()
    assert seen == [optimizer]


def test_each_optimizer_is_known_by_itself():
    one, other = optimizers(2)
    seen = []
    steps = RawSteps([one, other], seen.append)
    for _ in range(2):
        steps.announce(one)
        one.step()
        other.step()
    assert seen == [other]


def test_once_closed_nothing_is_told_and_no_hook_stays():
    (optimizer,) = optimizers(1)
    seen = []
    steps = RawSteps([optimizer], seen.append)
    optimizer.step()
    steps.close()
    optimizer.step()
    assert seen == []
    assert copy.deepcopy(optimizer.state_dict())
