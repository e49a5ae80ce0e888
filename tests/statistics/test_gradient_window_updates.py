"""What an optimizer step does to the weights."""

import copy

import numpy as np
import pytest
import torch
from helpers.gradient_steps import Net, loss_of, train, weights_of
from torch import nn

from lightning_cnnviz.statistics.gradient_window import GradientWindow


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_update_ratio_is_that_of_some_steps(dtype):
    net = Net(dtype)
    reference = copy.deepcopy(net)
    window, _ = train(net, 35, lr=0.5)
    ratios = {"conv": [], "head": []}
    for step in range(35):
        reference.zero_grad()
        loss_of(reference, step).backward()
        for name, of in ratios.items():
            weight = getattr(reference, name).weight
            before, gradient = weight.detach().double().numpy(), weight.grad.double().numpy()
            of.append(0.5 * np.linalg.norm(gradient) / np.linalg.norm(before))
        with torch.no_grad():
            for parameter in reference.parameters():
                if parameter.grad is not None:
                    parameter -= 0.5 * parameter.grad
    found = window.statistics()
    for name, of in ratios.items():
        looks = [of[step] for step in (0, 1, 10, 11, 26, 27)]
        assert found[name]["update_ratio"] == pytest.approx(np.mean(looks), rel=1e-3)
        assert np.ptp(looks) > 0.01 * of[0]


def test_a_weight_that_starts_at_zero_is_measured_once_it_has_a_size():
    weight = nn.Parameter(torch.zeros(4))
    window = GradientWindow({"head": weight})
    for _ in range(20):
        weight.grad = torch.ones(4)
        window.add()
        with torch.no_grad():
            weight -= 0.5
        window.end_update()
    ratios = [1 / step for step in (1, 10, 11)]  # of the steps that are looked at after the first
    assert window.statistics()["head"]["update_ratio"] == pytest.approx(np.mean(ratios), rel=1e-5)


def test_a_skipped_step_is_no_update():
    net = Net()
    window = GradientWindow(weights_of(net))
    for _ in range(2):
        loss_of(net, 0).backward()
        window.add()
        window.end_update()
    assert np.isnan(window.statistics()["conv"]["update_ratio"])
    weights = weights_of(net)
    before = weights["conv"].detach().clone()
    for _ in range(32):
        window.add()
        with torch.no_grad():
            weights["conv"] *= 1.5
        window.end_update()
    assert not torch.equal(before, weights["conv"])
    assert window.statistics()["conv"]["update_ratio"] == pytest.approx(0.5, rel=1e-5)
    assert window.statistics()["head"]["update_ratio"] == 0, "it did not move in a step that moved the other"


def test_tasks_in_turn_are_both_seen():
    one, other = (nn.Parameter(torch.ones(4)) for _ in range(2))
    window = GradientWindow({"one": one, "other": other})
    for step in range(64):
        one.grad, other.grad = torch.ones(4), torch.ones(4)
        window.add()
        with torch.no_grad():
            (other if step % 2 else one).mul_(1.1)
        window.end_update()
    found = window.statistics()
    assert found["one"]["update_ratio"] == pytest.approx(0.05, rel=1e-4)
    assert found["other"]["update_ratio"] == pytest.approx(0.05, rel=1e-4)


def test_without_a_look_at_the_update_it_is_unknown():
    net = Net()
    window = GradientWindow(weights_of(net))
    loss_of(net, 0).backward()
    window.add()
    assert np.isnan(window.statistics()["conv"]["update_ratio"])


def test_an_update_is_also_seen_at_the_next_step_where_nobody_said_that_it_ended():
    weight = nn.Parameter(torch.full((4,), 2.0))
    window = GradientWindow({"w": weight})
    weight.grad = torch.ones(4)
    window.add()
    with torch.no_grad():
        weight -= 0.5
    window.add()
    assert window.statistics()["w"]["update_ratio"] == pytest.approx(0.25)
