"""What is seen of a step is what autograd and NumPy give for the same step."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from helpers.tiny import TinyNet
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.model.training_setup import layer_setups
from lightning_cnnviz.statistics.step_look import MAX_SAMPLES, StepLook


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU()
        self.fc, self.tanh, self.head = nn.Linear(6 * 36, 10), nn.Tanh(), nn.Linear(10, 3)

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        return self.head(self.tanh(self.fc(x.flatten(1))))


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def step(net, optimizers, x, y, look=None, scale=None):
    """A training step, looked at; returns what was seen and what autograd gives in double precision."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    if look is not None:
        look.begin(len(x))
    loss = F.cross_entropy(net(x), y)
    if look is not None:
        look.before_backward([])
    (loss if scale is None else loss * scale).backward()
    for optimizer in optimizers:
        if look is not None:
            look.before_step(optimizer, scale)
        optimizer.step()
    return None if look is None else look.end(7, optimizers)


def looked_at(net, optimizers, x, y, **options):
    look = StepLook(net, layer_setups(net, optimizers))
    return step(net, optimizers, x, y, look, **options)


def hooks_of(net):
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [hook for part in net.modules() for name in names for hook in vars(part).get(name, {}).values()]


X, Y = random(20, 2, 8, 8), torch.arange(20) % 3


def test_gradients_and_updates_are_those_of_autograd():
    net = Net()
    double = copy.deepcopy(net).double()
    F.cross_entropy(double(X.double()), Y).backward()
    before = {name: value.detach().double().clone() for name, value in net.named_parameters()}
    found = looked_at(net, [torch.optim.SGD(net.parameters(), lr=0.1)], X, Y)
    gradients = {name: value.grad.numpy() for name, value in double.named_parameters()}
    assert found.total_norm == pytest.approx(np.sqrt(sum((one**2).sum() for one in gradients.values())), rel=1e-4)
    assert list(found.gradients) == ["conv", "fc", "head"]
    for name, row in found.gradients.items():
        gradient, weight = gradients[f"{name}.weight"], before[f"{name}.weight"].numpy()
        assert row["norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
        assert row["update_ratio"] == pytest.approx(0.1 * np.linalg.norm(gradient) / np.linalg.norm(weight), rel=1e-3)
    assert (found.step, found.learning_rates, found.samples) == (7, (0.1,), 20)
    assert found.without_gradient == ()


def test_with_a_loss_scale_gradients_are_the_true_ones():
    one, other = Net(), Net()
    other.load_state_dict(one.state_dict())
    plain = looked_at(one, [torch.optim.SGD(one.parameters(), lr=0.0)], X, Y)
    scaled = looked_at(other, [torch.optim.SGD(other.parameters(), lr=0.0)], X, Y, scale=torch.tensor(1024.0))
    assert scaled.total_norm == pytest.approx(plain.total_norm, rel=1e-4)
    for name, row in scaled.gradients.items():
        assert row["norm"] == pytest.approx(plain.gradients[name]["norm"], rel=1e-4)


def test_what_layers_return_is_that_of_numpy():
    net, heard = Net(), {}
    net.norm.bias.data[:3] = -50  # three of six channels are dead
    net.fc.weight.data *= 100
    handles = [
        part.register_forward_hook(lambda _, __, result, name=name: heard.update({name: result.detach().clone()}))
        for name, part in net.named_children()
    ]
    found = looked_at(net, [torch.optim.SGD(net.parameters(), lr=0.1)], X, Y)
    for handle in handles:
        handle.remove()
    assert set(found.layers) == {"conv", "relu", "fc", "tanh", "head"}
    assert found.layers["relu"].dead == pytest.approx(
        (heard["relu"].numpy().max((0, 2, 3)) <= 0).mean()
    )  # all places are looked at, since they are few
    for name in ("fc", "tanh", "head"):  # whose values are few
        values = heard[name].double().numpy()
        one = found.layers[name]
        assert one.std == pytest.approx(values.std(), rel=1e-4)
        assert one.variation == pytest.approx((values.max(0) - values.min(0)).max() / np.abs(values).max(), rel=1e-4)
        assert math.isnan(one.dead)
        assert one.non_finite == 0
        assert one.values == values[0].size
    assert found.layers["tanh"].saturated == pytest.approx((heard["tanh"].abs() >= 0.98).double().mean().item())
    assert found.layers["tanh"].saturated > 0.5
    assert math.isnan(found.layers["head"].saturated)
    values = X.double().numpy()
    np.testing.assert_allclose(found.received, [values.min(), values.max(), values.mean(), values.std()], rtol=1e-5)


def test_of_large_maps_some_values_stand_for_all():
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 62 * 62, 3))
    net[0].bias.data[::2] = -100
    net[0].weight.data *= torch.arange(1, 9)[:, None, None, None]
    x, heard = random(80, 1, 64, 64), []
    handle = net[0].register_forward_hook(lambda _, __, result: heard.append(result.detach().double().clone()))
    found = looked_at(net, [torch.optim.SGD(net.parameters(), lr=0.1)], x, torch.arange(80) % 3)
    handle.remove()
    assert found.layers["1"].dead == 0.5
    assert found.layers["0"].std == pytest.approx(heard[0][:MAX_SAMPLES].std().item(), rel=0.02)
    assert found.samples == MAX_SAMPLES


@pytest.mark.parametrize("width", [1, 3, 6])
def test_the_directions_in_which_scores_differ_are_no_more_than_what_comes_before_leaves(width):
    net = nn.Sequential(nn.Flatten(), nn.Linear(128, width), nn.Tanh(), nn.Linear(width, 10), nn.LogSoftmax(1))
    found = looked_at(net, [torch.optim.SGD(net.parameters(), lr=0.1)], X, Y)
    assert found.layers["3"].directions == width
    assert found.layers["1"].directions == 0  # of the last layer only


def test_a_layer_that_gives_all_samples_the_same_and_values_that_are_not_finite():
    net = Net()
    net.fc.weight.data.zero_()
    found = looked_at(net, [torch.optim.SGD(net.parameters(), lr=0.1)], X, Y)
    assert found.layers["fc"].variation == 0
    assert found.layers["conv"].variation > 0.1
    assert looked_at(net, [torch.optim.SGD(net.parameters(), lr=0.1)], X[:1], Y[:1]).layers["fc"].variation == math.inf
    net.fc.bias.data[0] = math.nan
    found = looked_at(net, [torch.optim.SGD(net.parameters(), lr=0.1)], X, Y)
    assert found.layers["fc"].non_finite == 20
    assert math.isnan(found.layers["fc"].variation)
    assert found.layers["conv"].non_finite == 0


def test_layers_that_are_cut_off_and_gradients_that_are_left():
    class Cut(Net):
        def forward(self, x):
            x = self.relu(self.norm(self.conv(x).detach()))
            return self.head(self.tanh(self.fc(x.flatten(1))))

    net = Cut()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    found = looked_at(net, [optimizer], X, Y)
    assert found.without_gradient == ("conv",)
    look = StepLook(net, layer_setups(net, [optimizer]))
    look.begin(20)
    loss = F.cross_entropy(net(X), Y)
    look.before_backward([optimizer])  # gradients of the step before are still there
    loss.backward()
    look.before_step(optimizer)
    optimizer.step()
    assert look.end(8, [optimizer]).uncleared == 6  # of norm, fc and head: weight and bias each


def test_optimizers_that_take_turns_have_cleared_what_is_theirs():
    net = Net()
    early = torch.optim.SGD([*net.conv.parameters(), *net.norm.parameters()], lr=0.1)
    late = torch.optim.Adam([*net.fc.parameters(), *net.head.parameters()], lr=0.2)
    step(net, [early, late], X, Y)
    look = StepLook(net, layer_setups(net, [early, late]))
    look.begin(20)
    for optimizer in (early, late):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(X), Y)
        look.before_backward([early, late])
        loss.backward()
        look.before_step(optimizer)
        optimizer.step()
    found = look.end(2, [early, late])
    assert found.uncleared == 0
    assert found.learning_rates == (0.1, 0.2)


def test_alike_units_are_told_until_they_differ():
    net = Net()
    nn.init.zeros_(net.head.weight)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    look = StepLook(net, layer_setups(net, [optimizer]))
    assert step(net, [optimizer], X[:0], Y[:0]) is None
    nn.init.constant_(net.fc.weight, 0.1)
    nn.init.constant_(net.fc.bias, 0.1)
    assert step(net, [optimizer], X, Y, look).alike == ("fc",)  # the head has got other gradients for each class
    net.fc.weight.data[0] += 1
    assert step(net, [optimizer], X, Y, look).alike == ()


def test_nothing_stays_on_the_model_and_nothing_changes():
    one, other = TinyNet(), TinyNet()
    other.load_state_dict(one.state_dict())
    x, y = random(8, 1, 8, 8), torch.arange(8) % 4
    for net, look in ((one, None), (other, StepLook(other, layer_setups(other, [])))):
        torch.manual_seed(3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            step(net, [optimizer], x, y, look)
        assert hooks_of(net) == []
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_a_look_may_be_begun_anew_closed_and_used_again():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    look = StepLook(net, layer_setups(net, [optimizer]))
    assert not look.begun
    with pytest.raises(RuntimeError, match=r"begin\(\)"):
        look.end(1, [optimizer])
    look.begin(20)
    hooks = len(hooks_of(net))
    look.begin(20)
    assert len(hooks_of(net)) == hooks
    look.close()
    look.close()
    assert hooks_of(net) == []
    first, second = (step(net, [optimizer], X, Y, look) for _ in range(2))
    assert first.total_norm != second.total_norm  # nothing of the first is in the second
    assert list(first.layers) == list(second.layers)


def test_a_failure_while_listening_is_raised_at_the_end_and_leaves_no_hooks():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    look = StepLook(net, layer_setups(net, [optimizer]))

    def fails(_):
        raise ValueError("deaf")

    look._hear = fails
    look.begin(20)
    F.cross_entropy(net(X), Y).backward()
    look.before_step(optimizer)
    optimizer.step()
    with pytest.raises(ValueError, match="deaf"):
        look.end(1, [optimizer])
    assert hooks_of(net) == []


def test_the_model_can_be_copied_meanwhile_and_the_copy_is_not_heard():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    look = StepLook(net, layer_setups(net, [optimizer]))
    look.begin(20)
    copied = pickle.loads(pickle.dumps(net))
    copied(X * 100)
    F.cross_entropy(net(X), Y).backward()
    look.before_step(optimizer)
    optimizer.step()
    found = look.end(1, [optimizer])
    assert found.received[1] == pytest.approx(X.max().item())
    assert found.layers["conv"].std < 10


def test_a_recurrent_layer_counts_among_the_first():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = nn.GRU(4, 6, batch_first=True), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.rnn(x)[0][:, -1])

    net, x = Recurrent(), 9 + random(20, 5, 4)
    found = looked_at(net, [torch.optim.SGD(net.parameters(), lr=0.1)], x, Y)
    assert found.received[2] == pytest.approx(x.mean().item(), rel=1e-5)
    assert set(found.gradients) == {"rnn.weight_ih_l0", "rnn.weight_hh_l0", "head"}
