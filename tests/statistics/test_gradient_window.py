import pickle

import numpy as np
import pytest
import torch
from helpers.gradient_steps import STATISTICS, ByHand, Net, assert_agree, loss_of, train, weights_of
from torch import nn

from lightning_cnnviz.statistics.gradient_window import GradientWindow


@pytest.mark.parametrize("steps", [1, 2, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_statistics_over_steps_agree_with_autograd_summed_up_in_float64(steps, dtype):
    window, by_hand = train(Net(dtype), steps, side=lambda step: True)
    assert_agree(window, by_hand)


@pytest.mark.parametrize("steps", [63, 64, 65, 150])
def test_statistics_over_many_steps_agree_whatever_waits_to_be_summed_up(steps):
    def spoil(net, step):
        net.conv.weight.grad[torch.randn(3, 1, 3, 3, generator=torch.Generator().manual_seed(step)) > 1] = 0
        if step % 50 == 30:
            net.conv.weight.grad[0, 0, 0, : 1 + step % 3] = float("inf")

    window, by_hand = train(Net(), steps, side=lambda step: step % 7 == 1, spoil=spoil)
    assert by_hand.statistics()["conv"]["non_finite"] > 0
    assert by_hand.statistics()["conv"]["zero_share"] > 0.1
    assert_agree(window, by_hand)


def test_what_is_kept_does_not_grow_with_the_steps():
    def size(window):
        return len(pickle.dumps(window))

    early, late = (train(Net(), steps)[0] for steps in (100, 420))
    assert size(late) <= 2 * size(early), "but for up to 32 steps that wait to be added"


def tensors_in(window):
    """Bytes of all tensors that a window refers to."""
    seen, waiting = {}, [window._totals, window._updates]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, nn.Parameter):
            continue
        seen[id(value)] = value.untyped_storage().nbytes() if isinstance(value, torch.Tensor) else 0
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        waiting += [*parts, *getattr(value, "__dict__", {}).values()]
    return sum(seen.values())


def test_memory_is_bounded_whatever_weights_come_together():
    """As layers that are dropped at random have it: with each of 255 sets of eight, several times."""
    early = 0
    weights = {str(number): nn.Parameter(torch.ones(500)) for number in range(8)}
    window, by_hand = GradientWindow(weights), ByHand(weights)
    rng = np.random.default_rng(0)
    for step in range(600):
        together = rng.integers(1, 256) if step % 3 else 255
        for number, weight in enumerate(weights.values()):
            weight.grad = torch.randn(500) if together >> number & 1 else None
        window.add()
        by_hand.add()
        if step == 300:
            early = tensors_in(window)
    assert tensors_in(window) <= 1.2 * early
    assert_agree(window, by_hand)


def test_weights_without_any_gradient_are_left_out():
    window, by_hand = train(Net(), 3)
    assert_agree(window, by_hand, ["conv", "head"])


def test_a_weight_without_a_gradient_in_some_steps_leaves_the_others_complete():
    window, by_hand = train(Net(), 6, side=lambda step: step % 3 == 1)
    assert len(by_hand.steps["side"]) == 2
    assert len(by_hand.steps["conv"]) == 6
    assert_agree(window, by_hand)


def test_accumulated_gradients_are_those_of_the_whole_step():
    net = Net()
    (loss_of(net, 0) / 2).backward()
    (loss_of(net, 1) / 2).backward()
    window = GradientWindow(weights_of(net))
    window.add()
    together = Net()
    ((loss_of(together, 0) + loss_of(together, 1)) / 2).backward()
    by_hand = ByHand(weights_of(together))
    by_hand.add()
    assert_agree(window, by_hand)


def test_a_weight_used_twice_has_the_sum_of_both_gradients():
    torch.manual_seed(0)
    shared = nn.Linear(4, 4, bias=False)
    x = torch.randn(3, 4)
    shared(shared(x)).square().sum().backward()
    first = nn.Parameter(shared.weight.detach().clone())
    second = nn.Parameter(shared.weight.detach().clone())
    (x @ first.T @ second.T).square().sum().backward()
    expected = (first.grad + second.grad).double().numpy()
    window = GradientWindow({"shared": shared.weight})
    window.add()
    assert window.statistics()["shared"]["norm"] == pytest.approx(np.linalg.norm(expected), rel=1e-5)


# ---- several optimizers


def test_of_two_optimizers_each_steps_its_own_weights():
    net = Net()
    weights = weights_of(net)
    window, by_hand = GradientWindow(weights), ByHand(weights)
    owned = [[net.conv.weight, net.conv.bias], [net.head.weight, net.head.bias]]
    for step in range(8):
        net.zero_grad()
        loss_of(net, step).backward()  # gives both gradients, of which one is stepped
        parameters = owned[step % 2]
        window.add({id(parameter) for parameter in parameters})
        by_hand.add(parameters)
        with torch.no_grad():
            for parameter in parameters:
                parameter -= 0.1 * parameter.grad
        window.end_update()
    assert len(by_hand.steps["conv"]) == len(by_hand.steps["head"]) == 4
    assert_agree(window, by_hand)


def test_every_optimizer_that_takes_its_turn_has_its_updates_measured():
    net = Net()
    window = GradientWindow(weights_of(net))
    for step in range(40):
        net.zero_grad()
        loss_of(net, step).backward()
        weight = [net.conv.weight, net.head.weight][step % 2]
        window.add({id(weight)})
        with torch.no_grad():
            weight *= 0.99
        window.end_update()
    found = window.statistics()
    assert found["conv"]["update_ratio"] == pytest.approx(0.01, rel=1e-4)
    assert found["head"]["update_ratio"] == pytest.approx(0.01, rel=1e-4)


# ---- steps that are not finite


def spoil_at(*steps, value=float("nan")):
    def spoil(net, step):
        if step in steps:
            net.conv.weight.grad[0, 0, 1, 1] = value
            net.conv.weight.grad[1, 0, 0, :2] = 0

    return spoil


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_step_that_is_not_finite_is_counted_and_left_out_of_the_means(value):
    window, by_hand = train(Net(), 5, spoil=spoil_at(1, 3, value=value))
    assert by_hand.statistics()["conv"]["non_finite"] == 2
    assert_agree(window, by_hand)


def test_with_no_finite_step_the_means_are_unknown():
    window, by_hand = train(Net(), 2, spoil=spoil_at(0, 1))
    found = window.statistics()["conv"]
    assert [np.isnan(found[name]) for name in ("mean_abs", "max_abs", "norm")] == [True] * 3
    assert_agree(window, by_hand)


def test_a_finite_gradient_whose_sum_is_beyond_float32_is_no_lost_step():
    weight = nn.Parameter(torch.ones(4))
    weight.grad = torch.full((4,), 3e38)
    window = GradientWindow({"exploding": weight})
    window.add()
    found = window.statistics()["exploding"]
    assert found["max_abs"] == pytest.approx(3e38)
    assert found["mean_abs"] > 1e38
    assert found["non_finite"] == 0


def test_all_zero_gradients_are_all_zero():
    weight = nn.Parameter(torch.ones(3, 4))
    weight.grad = torch.zeros(3, 4)
    window = GradientWindow({"dead": weight})
    for _ in range(3):
        window.add()
    found = window.statistics()["dead"]
    assert [found[name] for name in STATISTICS] == [0, 0, 0, 1, 0]


# ---- mixed precision


@pytest.mark.parametrize("scale", [1024.0, 65536.0])
def test_the_loss_scale_is_divided_out(scale):
    net = Net()
    weights = weights_of(net)
    window, by_hand = GradientWindow(weights), ByHand(weights)
    for step in range(4):
        net.zero_grad()
        (loss_of(net, step) * scale).backward()
        if step == 2:
            net.conv.weight.grad[0, 0, 0, 0] = float("inf")
        window.add(loss_scale=torch.tensor(scale))
        by_hand.add(scale=scale)
    assert_agree(window, by_hand)


def test_half_precision_gradients_beyond_its_range_are_summed():
    weight = nn.Parameter(torch.ones(4000, dtype=torch.float16))
    weight.grad = torch.full((4000,), 1000.0, dtype=torch.float16)
    window = GradientWindow({"half": weight})
    window.add()
    found = window.statistics()["half"]
    assert found["mean_abs"] == pytest.approx(1000)
    assert found["norm"] == pytest.approx(1000 * 4000**0.5, rel=1e-5)
    assert found["non_finite"] == 0


@pytest.mark.parametrize("steps", [1, 40])
def test_a_norm_beyond_float32_is_summed_in_float64(steps):
    weight = nn.Parameter(torch.ones(8000))
    window = GradientWindow({"w": weight})
    for _ in range(steps):
        weight.grad = torch.full((8000,), 1e19)
        window.add()
    found = window.statistics()["w"]
    assert found["norm"] == pytest.approx(1e19 * np.sqrt(8000), rel=1e-5)
    assert found["mean_abs"] == pytest.approx(1e19, rel=1e-5)
    assert found["non_finite"] == 0


# ---- the weights


def test_weight_norm_is_that_of_the_weights_as_they_are():
    net = Net()
    window, _ = train(net, 3)
    for name, row in window.statistics().items():
        expected = np.linalg.norm(getattr(net, name).weight.detach().double().numpy())
        assert row["weight_norm"] == pytest.approx(expected, rel=1e-5)


# ---- the window itself


def test_weights_and_gradients_are_left_as_they_are():
    net, watched = Net(), Net()
    train(watched, 20)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(20):
        optimizer.zero_grad()
        loss_of(net, step).backward()
        optimizer.step()
    for one, other in zip(net.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)
        assert (one.grad is None and other.grad is None) or torch.equal(one.grad, other.grad)


def test_reading_twice_gives_the_same():
    window, by_hand = train(Net(), 3)
    window.statistics()
    assert_agree(window, by_hand)


def test_a_window_without_steps_or_weights_is_empty():
    assert GradientWindow(weights_of(Net())).statistics() == {}
    empty = GradientWindow({})
    empty.add()
    empty.end_update()
    assert empty.statistics() == {}


def test_a_weight_without_entries_is_left_out():
    weight = nn.Parameter(torch.zeros(0, 3))
    weight.grad = torch.zeros(0, 3)
    window = GradientWindow({"empty": weight})
    window.add()
    assert window.statistics() == {}


def test_sparse_gradients_of_an_embedding_count():
    torch.manual_seed(0)
    sparse = nn.Embedding(10, 4, sparse=True)
    dense = nn.Embedding.from_pretrained(sparse.weight.detach().clone(), freeze=False)
    window, by_hand = GradientWindow({"table": sparse.weight}), ByHand({"table": dense.weight})
    for tokens in ([1, 7, 7], [3, 1, 2]):
        for table in (sparse, dense):
            table.zero_grad()
            table(torch.tensor(tokens)).square().sum().backward()
        window.add()
        by_hand.add()
    assert_agree(window, by_hand)
