import copy
import io
import pickle
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.capture import evaluating, first_tensor, isolated_rng, record
from lightning_cnnviz.layers import last_hidden_layer
from lightning_cnnviz.tap import Tap


class Net(nn.Module):
    """Everything that a look from outside could disturb: batch norm, dropout, an in-place ReLU, random numbers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4 * 16, 3)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("cache", torch.zeros(1), persistent=False)
        self.fail = False

    def forward(self, x):
        self.calls += 1
        self.cache = torch.ones(5)
        random.random(), np.random.random(), torch.rand(3)
        x = self.drop(self.relu(self.norm(self.conv(x))))
        if self.fail:
            raise RuntimeError("out of memory")
        return self.fc(x.flatten(1))


X = torch.randn(7, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def by_hand(net, x):
    """The forward pass in evaluation mode, written out."""
    conv = F.conv2d(x, net.conv.weight, net.conv.bias)
    norm = F.batch_norm(conv, net.norm.running_mean, net.norm.running_var, net.norm.weight, net.norm.bias)
    relu = norm.clamp(min=0)
    return {
        "conv": conv,
        "norm": norm,
        "relu": relu,
        "drop": relu,
        "fc": F.linear(relu.flatten(1), *net.fc.parameters()),
    }


def hooks(module):
    return sum(
        len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)
        for part in module.modules()
    )


def traces(module):
    """Everything that must be the same afterwards, to the bit."""
    return (
        [part.training for part in module.modules()],
        {name: (id(buffer), buffer.numpy().tobytes()) for name, buffer in module.named_buffers()},
        {name: (id(weight), weight.detach().numpy().tobytes()) for name, weight in module.named_parameters()},
        [weight.grad is None for weight in module.parameters()],
        hooks(module),
        random.getstate(),
        [part.tobytes() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],
        torch.get_rng_state().numpy().tobytes(),
        torch.is_grad_enabled(),
    )


# ---- record


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 64])
def test_record_gives_what_the_forward_pass_in_evaluation_gives(batch_size):
    net = Net()
    expected = by_hand(net, X)
    seen = record(net, X, ["conv", "norm", "relu", "drop", "fc"], batch_size)
    assert list(seen.layers) == list(expected)
    for name, activations in seen.layers.items():
        assert torch.allclose(activations, expected[name], atol=1e-6), name
    assert torch.allclose(seen.output, expected["fc"], atol=1e-6)
    assert (seen.layers["norm"] < 0).any()  # and not what the in-place ReLU made of it
    assert not any(activations.requires_grad for activations in [*seen.layers.values(), seen.output])


def test_an_input_is_what_the_layer_receives():
    net = Net()
    expected = by_hand(net, X)
    seen = record(net, X, ["conv.input", "relu.input", "fc.input"]).layers
    assert torch.equal(seen["conv.input"], X)
    assert torch.allclose(seen["relu.input"], expected["norm"], atol=1e-6)
    assert torch.allclose(seen["fc.input"], expected["relu"].flatten(1), atol=1e-6)


def frozen(net):
    net.train()
    net.norm.eval()
    return net


@pytest.mark.parametrize("prepare", [nn.Module.train, nn.Module.eval, frozen], ids=["train", "eval", "partly frozen"])
@pytest.mark.parametrize("fail", [False, True], ids=["", "forward fails"])
def test_record_leaves_no_trace(prepare, fail):
    net = prepare(Net())
    net(X)  # in training mode the batch norm has counted something
    before = traces(net)
    net.fail = fail
    if fail:
        with pytest.raises(RuntimeError, match="out of memory"):
            record(net, X, ["conv", "fc.input"], batch_size=3)
    else:
        record(net, X, ["conv", "fc.input"], batch_size=3)
    assert traces(net) == before


def test_training_goes_on_as_if_nobody_had_looked():
    nets = [Net(), Net()]
    for look, net in enumerate(nets):
        torch.manual_seed(5)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            net(X).square().mean().backward()
            if look:
                record(net, X, ["conv", "drop"])
            optimizer.step()
    for one, other in zip(nets[0].state_dict().items(), nets[1].state_dict().items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1])


class Expanded(nn.Module):
    """A mask whose entries share their memory, as expanded position numbers or masks do."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.ones(1).expand(4))
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x) * self.mask


def test_buffers_that_share_memory_can_stay():
    net = Expanded()
    assert torch.equal(record(net, torch.ones(2, 4), ["fc"]).output, net.fc(torch.ones(2, 4)))


def test_buffers_that_were_made_in_inference_mode_can_stay():
    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("cache", None)
            self.fc = nn.Linear(4, 4)

        def forward(self, x):
            self.cache = torch.arange(4.0) if self.cache is None else self.cache
            return self.fc(x) + self.cache

    net, x = Cached(), torch.ones(2, 4)
    with torch.inference_mode():  # in which Lightning validates
        net(x)
    net(x).sum().backward()
    assert torch.equal(record(net, x, ["fc"]).output, net(x))


def test_users_of_train_and_eval_are_not_called():
    class Stubborn(Net):
        def train(self, mode=True):
            raise AssertionError("somebody called train")

    seen = record(Stubborn(), X, ["drop"]).layers["drop"]
    assert torch.allclose(seen, by_hand(Net(), X)["drop"], atol=1e-6)


def test_of_a_layer_that_runs_several_times_the_last_run_counts():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            return self.fc(self.fc(x))

    net, x = Twice(), torch.ones(2, 3)
    assert torch.allclose(record(net, x, ["fc"]).layers["fc"], net(x))


class Branching(nn.Module):
    """Which layer runs depends on the samples."""

    def __init__(self):
        super().__init__()
        self.low, self.high, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.high(x) if x.mean() > 0 else self.low(x))


def test_layers_that_did_not_run_are_missing():
    seen = record(Branching(), torch.ones(4, 3), ["low", "high", "head"]).layers
    assert list(seen) == ["high", "head"]


@pytest.mark.parametrize("first", [1, -1])
def test_layers_that_ran_for_some_of_the_samples_only_are_missing(first):
    x = torch.cat([torch.full((2, 3), float(first)), torch.full((2, 3), float(-first))])
    seen = record(Branching(), x, ["low", "high", "head"], batch_size=2).layers
    assert list(seen) == ["head"]
    assert len(seen["head"]) == 4


def test_layers_without_one_row_per_sample_are_missing():
    class Summary(nn.Module):
        def forward(self, x):
            return x.mean(0)

    seen = record(nn.Sequential(nn.Linear(3, 3), Summary()), torch.ones(4, 3), ["0", "1"])
    assert list(seen.layers) == ["0"]


@pytest.mark.parametrize(
    "wrap", [lambda t: (t, 1), lambda t: [None, t], lambda t: {"logits": t}, lambda t: ({"a": t},)]
)
def test_the_first_tensor_of_what_is_returned_counts(wrap):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 2)

        def forward(self, x):
            return wrap(self.fc(x))

    net = Wrapped()
    expected = net.fc(torch.ones(4, 3))
    assert torch.equal(record(net, torch.ones(4, 3), []).output, expected)
    assert torch.equal(first_tensor(wrap(expected)), expected)


def test_without_a_tensor_there_is_none():
    assert first_tensor(None) is None
    assert first_tensor({"a": [1, "b"], "c": ()}) is None


def test_a_model_that_returns_a_single_number_shows_its_layers():
    class Loss(nn.Module):
        def forward(self, x):
            return x.sum()

    seen = record(nn.Sequential(nn.Linear(3, 2), Loss()), torch.ones(4, 3), ["0"], batch_size=2)
    assert seen.output is None
    assert seen.layers["0"].shape == (4, 2)


def test_record_owns_what_it_gives():
    class Echo(nn.Module):
        def forward(self, x):
            return x

    x = torch.ones(2, 3)
    seen = record(nn.Sequential(Echo()), x, ["0"])
    x.fill_(7)
    assert (seen.layers["0"] == 1).all()
    assert (seen.output == 1).all()


@pytest.mark.parametrize("in_place", [False, True], ids=["torch.compile", "Module.compile"])
def test_compiled_submodules_are_seen_and_stay_compiled(in_place):
    torch._dynamo.reset()  # it gives up on code that other tests had it compile too often
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    class Body(nn.Sequential):
        def forward(self, x):  # torch 2.6 compiles no code of its own
            return self[1](self[0](x))

    net = Net()
    plain = copy.deepcopy(net)
    body = Body(net.norm, net.relu)
    if in_place:
        body.compile(backend=backend)
    net.norm, net.relu = (body if in_place else torch.compile(body, backend=backend)), nn.Identity()
    net(X)
    graphs = len(compiled)
    assert graphs > 0
    norm, relu = ("norm.0", "norm.1") if in_place else ("norm._orig_mod.0", "norm._orig_mod.1")
    plain.load_state_dict({key.replace(norm, "norm"): value for key, value in net.state_dict().items()})
    seen, expected = record(net, X, [norm, relu]), by_hand(plain, X)
    assert torch.allclose(seen.layers[norm], expected["norm"], atol=1e-6)
    assert torch.allclose(seen.layers[relu], expected["relu"], atol=1e-6)
    assert torch.allclose(seen.output, expected["fc"], atol=1e-6)
    assert hooks(net) == 0
    net(X)
    assert len(compiled) == graphs  # neither looking nor training afterwards compiled anything


# ---- guards


def test_random_states_come_back_also_after_an_error():
    def draws():
        return random.random(), np.random.random(), torch.rand(1).item()

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draws()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with isolated_rng():
        draws()
    with pytest.raises(ZeroDivisionError, match="division"), isolated_rng():
        draws()[0] / 0
    assert draws() == expected


def test_evaluating_sets_every_part_to_evaluation_without_gradients():
    net = Net()
    with evaluating(net):
        assert not any(part.training for part in net.modules())
        assert not torch.is_grad_enabled()
        assert torch.equal(net.drop(X), X)
    assert all(part.training for part in net.modules())
    assert torch.is_grad_enabled()


def test_finding_the_last_hidden_layer_leaves_no_trace():
    net = frozen(Net())
    net(X)
    before = traces(net)
    assert last_hidden_layer(net, X) == "relu"
    assert traces(net) == before


# ---- tap


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.body(x))


def test_tap_hears_the_models_own_output():
    net, x = Classifier(), torch.rand(6, 4)
    tap = Tap(net, samples=6)
    expected = net(x)
    net.body(x)  # afterwards a part runs by itself
    heard = tap.close()
    assert torch.equal(heard, expected)
    assert not heard.requires_grad
    assert expected.requires_grad


def test_tap_hears_the_last_child_where_forward_is_not_called():
    net, x = Classifier(), torch.rand(6, 4)
    tap = Tap(net, samples=6)
    expected = net.head(net.body(x))
    assert torch.equal(tap.close(), expected)


def test_tap_hears_one_layer_only_where_told_so():
    net, x = Classifier(), torch.rand(6, 4)
    tap = Tap(net, samples=6, layer="body")
    net(x)
    assert torch.equal(tap.close(), net.body(x))


def test_tap_hears_nothing_that_is_no_score_of_these_samples():
    net = Classifier()
    for x in (torch.rand(5, 4), torch.rand(6, 2, 4), torch.rand(4)):
        tap = Tap(net, samples=6)
        net(x)
        assert tap.close() is None
    tap = Tap(nn.Sequential(nn.Identity()), samples=6)
    assert tap.close() is None


def test_tap_is_gone_once_it_is_closed():
    net, x = Classifier(), torch.rand(6, 4)
    tap = Tap(net, samples=6)
    assert hooks(net) > 0
    net(x)
    heard = tap.close()
    assert hooks(net) == 0
    net(x + 1)
    assert torch.equal(tap.close(), heard)


@pytest.mark.parametrize("copy_of", ["pickle", "deepcopy", "torch.save"])
def test_a_model_can_be_saved_while_it_is_tapped(copy_of):
    net, x = Classifier(), torch.rand(6, 4)
    tap = Tap(net, samples=6)
    net(x)
    if copy_of == "pickle":
        other = pickle.loads(pickle.dumps(net))
    elif copy_of == "deepcopy":
        other = copy.deepcopy(net)
    else:
        torch.save(net, file := io.BytesIO())
        file.seek(0)
        other = torch.load(file, weights_only=False)
    expected = net(x)
    assert torch.equal(other(x), expected)
    other(x + 1)  # what the copy does is not heard
    assert torch.equal(tap.close(), expected)
    assert hooks(net) == 0


def test_tap_does_not_listen_to_compiled_parts():
    net, x = Classifier(), torch.rand(6, 4)
    net.head = torch.compile(net.head, backend="eager")
    tap = Tap(net, samples=6)
    assert hooks(net.head) == 0
    expected = net(x)
    assert torch.equal(tap.close(), expected)


def test_a_loss_among_the_children_is_not_taken_for_the_scores():
    net = nn.ModuleDict({"head": nn.Linear(4, 3), "criterion": nn.CrossEntropyLoss(reduction="none")})
    tap = Tap(net, samples=5)
    scores = net["head"](torch.rand(5, 4))
    net["criterion"](scores, torch.zeros(5, dtype=torch.long))
    assert torch.equal(tap.close(), scores)


def test_scores_are_found_behind_a_loss_and_features():
    class Output(nn.Module):
        def forward(self, x):
            return {"loss": x.sum(), "features": x, "logits": 2 * x}

    net, x = Output(), torch.rand(5, 3)
    tap = Tap(net, samples=5)
    net(x)
    assert torch.equal(tap.close(), 2 * x)
    assert torch.equal(record(net, x, []).output, 2 * x)
