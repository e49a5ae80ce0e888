"""Activations and gradients of a batch are heard while somebody else runs it: those of its loss, and no others."""

import copy
import gc
import pickle
import warnings
import weakref

import pytest
import torch
from helpers.stateful import hooks
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lightning_cnnviz.model.gradient_tap import GradientTap

LAYERS = ("conv", "relu", "fc", "head", "fc.input")


class Net(nn.Module):
    """A convolution whose output an in-place ReLU overwrites, and linear layers."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.fc, self.head = nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Linear(48, 5), None
        self.head = nn.Linear(5, 4)
        self.saved = None

    def forward(self, x):
        return self.head(torch.tanh(self.fc(self.relu(self.conv(x)).flatten(1))))


def by_hand(net, x, y):
    """Activations, and gradients of the mean loss with respect to them, in float64."""
    twin = copy.deepcopy(net).double().requires_grad_()
    found = {"conv": twin.conv(x.double())}
    found["relu"] = found["conv"].clamp(min=0)
    found["fc.input"] = found["relu"].flatten(1)
    found["fc"] = twin.fc(found["fc.input"])
    found["head"] = twin.head(torch.tanh(found["fc"]))
    loss = F.cross_entropy(found["head"], y)
    gradients = torch.autograd.grad(loss, list(found.values()))
    return {name: (value.detach(), gradient) for (name, value), gradient in zip(found.items(), gradients, strict=True)}


def whole(rows):
    return rows


def tapped(net, x, layers=LAYERS, rows=2, part=whole):
    return GradientTap(net, x, dict.fromkeys(layers, part), rows)


def backward(tap, loss, scale=None, **options):
    tap.begin_backward(scale)
    loss.backward(**options)
    tap.end_backward()


def check(heard, net, x, y, layers=LAYERS, rows=2):
    assert set(heard.layers) == set(layers)
    expected = by_hand(net, x, y)
    for name, (activations, gradient) in heard.layers.items():
        for found, right in zip((activations, gradient), expected[name], strict=True):
            torch.testing.assert_close(found.double(), right[:rows], rtol=1e-5, atol=1e-7)


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def x():
    return torch.randn(6, 1, 6, 6)


@pytest.fixture
def y():
    return torch.arange(6) % 4


# ---- what is heard


def test_gradients_are_those_of_autograd_written_out(net, x, y):
    tap = tapped(net, x)
    scores = net(x)
    backward(tap, F.cross_entropy(scores, y))
    heard = tap.close()
    check(heard, net, x, y)
    assert (heard.layers["conv"][0] < 0).any()  # and not what the in-place ReLU made of it
    assert (heard.layers["conv"][1] == 0).any()  # where it let nothing through
    assert torch.equal(heard.inputs, x[:2])
    assert torch.equal(heard.scores, scores[:2].detach())
    assert heard.in_batch


def test_training_is_the_same_to_the_bit(net, x, y):
    other = copy.deepcopy(net)
    tap = tapped(net, x)
    backward(tap, F.cross_entropy(net(x), y))
    tap.close()
    F.cross_entropy(other(x), y).backward()
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)


def test_a_scaled_loss_has_its_gradients_unscaled(net, x, y):
    tap = tapped(net, x)
    loss = F.cross_entropy(net(x), y)
    backward(tap, 1024 * loss, torch.tensor(1024.0))
    check(tap.close(), net, x, y)


def test_of_each_layer_only_a_part_is_kept(net, x, y):
    tap = GradientTap(net, x, {"conv": lambda rows: rows[:, 1:2, ::2], "fc": whole}, rows=3)
    backward(tap, F.cross_entropy(net(x), y))
    heard, expected = tap.close(), by_hand(net, x, y)
    for found, right in zip(heard.layers["conv"], expected["conv"], strict=True):
        torch.testing.assert_close(found.double(), right[:3, 1:2, ::2], rtol=1e-5, atol=1e-7)
        assert found.untyped_storage().nbytes() == 4 * found.numel()
    assert len(heard.layers["fc"][1]) == 3


def test_more_rows_than_samples_are_all(net, x, y):
    tap = tapped(net, x, rows=100)
    backward(tap, F.cross_entropy(net(x), y))
    check(tap.close(), net, x, y, rows=6)


# ---- which gradients


def test_without_a_backward_pass_nothing_is_heard(net, x):
    tap = tapped(net, x)
    net(x)
    assert tap.close().layers == {}


def test_a_layer_that_gets_no_gradient_is_missing(net, x, y):
    tap = tapped(net, x, [*LAYERS, "conv.input"])
    net.conv.requires_grad_(False)
    backward(tap, F.cross_entropy(net(x), y))
    check(tap.close(), net, x, y, ["fc", "head"])  # what comes before learns nothing


def test_gradients_of_something_else_are_not_heard(net, x, y):
    tap = tapped(net, x)
    x = x.requires_grad_()
    loss = F.cross_entropy(net(x), y)
    (slope,) = torch.autograd.grad(loss, x, retain_graph=True)  # as for an attack
    assert slope.abs().sum() > 0
    backward(tap, loss)
    (3 * net(x.detach()).sum()).backward()
    check(tap.close(), net, x.detach(), y)


def test_a_penalty_on_gradients_is_a_part_of_the_loss(net, x, y):
    tap = tapped(net, x, ["conv"])
    given = x.clone().requires_grad_()

    def loss(scores, given):
        (slope,) = torch.autograd.grad(F.cross_entropy(scores, y), given, create_graph=True)
        return F.cross_entropy(scores, y) + slope.square().sum()

    backward(tap, loss(net(given), given))
    ((_, found),) = tap.close().layers.values()
    twin = copy.deepcopy(net).double()
    wide = x.double().requires_grad_()
    maps = twin.conv(wide)
    scores = twin.head(torch.tanh(twin.fc(maps.clamp(min=0).flatten(1))))
    (expected,) = torch.autograd.grad(loss(scores, wide), maps)
    torch.testing.assert_close(found.double(), expected[:2], rtol=1e-4, atol=1e-6)


def test_what_two_losses_propagate_back_is_neither_ones(net, x, y):
    tap = tapped(net, x)
    scores = net(x)
    backward(tap, F.cross_entropy(scores, y), retain_graph=True)
    backward(tap, scores.square().sum())
    assert tap.close().layers == {}


# ---- which run


def test_of_a_layer_that_runs_several_times_the_last_run_counts(x, y):
    class Twice(Net):
        def forward(self, x):
            first = super().forward(x)
            return first + super().forward(x.flip(0))

    net = Twice()
    tap = tapped(net, x, ["head"])
    backward(tap, F.cross_entropy(net(x), y))
    (activations, gradient) = tap.close().layers["head"]
    twin = copy.deepcopy(net).double()
    last = Net.forward(twin, x.double().flip(0))
    (expected,) = torch.autograd.grad(F.cross_entropy(Net.forward(twin, x.double()) + last, y), last)
    torch.testing.assert_close(activations.double(), last[:2].detach(), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient.double(), expected[:2], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_the_backward_pass_runs_again_is_not_heard(x, y, reentrant):
    class Checkpointed(Net):
        def forward(self, x):
            return checkpoint(super().forward, x, use_reentrant=reentrant)

    net = Checkpointed()
    tap = tapped(net, x)
    backward(tap, F.cross_entropy(net(x.requires_grad_()), y))
    heard = tap.close()
    if reentrant:  # whose forward pass knows of no gradients
        assert heard.layers == {}
    else:
        check(heard, net, x.detach(), y)


class Written(nn.Module):
    """Is not called itself."""

    def __init__(self):
        super().__init__()
        self.net = Net()


def test_where_only_a_submodule_is_called_its_inputs_must_be_those_of_the_batch(x, y):
    model, layers = Written(), [f"net.{name}" for name in LAYERS]
    tap = tapped(model, x, layers)
    backward(tap, F.cross_entropy(model.net(x), y))
    heard = tap.close()
    check(heard._replace(layers={name[4:]: pair for name, pair in heard.layers.items()}), model.net, x, y)
    tap = tapped(model, x, layers)
    backward(tap, F.cross_entropy(model.net(x[torch.randperm(6)]), y))  # no row is known to be of a sample
    assert tap.close().layers == {}
    tap = tapped(model, x, layers)
    backward(tap, F.cross_entropy(model.net(x), y) + model.net(x).sum())
    assert tap.close().layers == {}


def test_other_inputs_than_the_batchs_come_with_what_they_are(net, x, y):
    tap = tapped(net, x)
    other = torch.randn(6, 1, 6, 6)
    backward(tap, F.cross_entropy(net(other), y))
    heard = tap.close()
    assert torch.equal(heard.inputs, other[:2])
    assert not heard.in_batch
    check(heard, net, other, y)


def test_of_several_passes_none_of_which_is_the_batchs_nothing_is_heard(net, x, y):
    tap = tapped(net, x)
    backward(tap, F.cross_entropy(net(x + 1) + net(x + 2), y))
    assert tap.close() is None


# ---- without a trace


def test_hooks_are_gone_and_the_graph_is_let_go(net, x, y):
    kept = []
    net.conv.register_forward_hook(lambda _, __, result: kept.append(result))
    before = hooks(net)
    tap = tapped(net, x)
    scores = net(x)
    backward(tap, F.cross_entropy(scores, y), retain_graph=True)
    heard = tap.close()
    assert hooks(net) == before
    assert not any(result._backward_hooks for result in kept)
    values = [gradient.clone() for _, gradient in heard.layers.values()]
    scores.sum().backward()  # of a graph that outlives the batch
    assert all(torch.equal(one, two[1]) for one, two in zip(values, heard.layers.values(), strict=True))
    gone = weakref.ref(kept[0])
    del scores
    kept.clear()
    gc.collect()
    assert gone() is None
    assert not any(part.requires_grad for pair in heard.layers.values() for part in pair)


@pytest.mark.parametrize("where", ["before the pass", "after the pass", "after the backward pass"])
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"]
)
def test_a_model_can_be_copied_or_saved_while_it_is_tapped(net, x, y, copied, where):
    tap = tapped(net, x)
    others = []

    def take(place):
        if place == where:
            others.append(copied(net))
            others[0](x + 2)  # what the copy does is not heard

    take("before the pass")
    loss = F.cross_entropy(net(x), y)
    take("after the pass")
    backward(tap, loss)
    take("after the backward pass")
    check(tap.close(), net, x, y)
    assert torch.equal(others[0](x), net(x))


def test_an_output_that_the_model_keeps_is_pickled_without_a_warning(x, y):
    class Keeping(Net):
        def forward(self, x):
            self.saved = [self.conv(x)]
            return self.head(torch.tanh(self.fc(self.saved[0].clamp(min=0).flatten(1))))

    net = Keeping()
    tap = tapped(net, x)
    loss = F.cross_entropy(net(x), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pickle.dumps(net.saved)
    backward(tap, loss)
    heard, net.saved = tap.close(), None
    check(heard, net, x, y, ["conv", "fc", "fc.input", "head"])


@pytest.mark.parametrize("passes", [1, 2], ids=["forward", "backward"])
def test_what_fails_is_raised_as_the_tap_is_closed_and_not_in_the_models_own_passes(net, x, y, passes):
    calls = []

    def broken(rows):
        calls.append(rows)
        if len(calls) == passes:
            raise ArithmeticError("no maps today")
        return rows

    tap = tapped(net, x, ["conv"], part=broken)
    backward(tap, F.cross_entropy(net(x), y))
    assert net.conv.weight.grad.abs().sum() > 0
    with pytest.raises(ArithmeticError, match="no maps today"):
        tap.close()
    assert hooks(net) == 0
