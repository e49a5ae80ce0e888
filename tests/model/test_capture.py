import copy

import pytest
import torch
from helpers.stateful import Net, X, by_hand, frozen, hooks, traces
from torch import nn

from lightning_cnnviz.model import capture
from lightning_cnnviz.model.capture import Activations, check_one_input, record
from lightning_cnnviz.model.outputs import first_tensor


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


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 63, 64, 65, 128, 130])
def test_only_a_dimension_that_grows_with_the_samples_is_theirs(count):
    class Unrolled(nn.Module):
        def __init__(self):
            super().__init__()
            self.time, self.fc = nn.Identity(), nn.Linear(3, 2)
            self.steps = 0

        def forward(self, x):
            return self.fc(self.time(x.expand(self.steps, *x.shape)).mean(0))

    net, x = Unrolled(), torch.rand(count, 3)
    for net.steps in {1, 2, 3, 4, 5, count, min(count, 64)}:
        seen = record(net, x, ["time", "fc", "fc.input"])
        assert set(seen.layers) == {"fc", "fc.input"}
        torch.testing.assert_close(seen.layers["fc"], net.fc(x).detach())
        torch.testing.assert_close(seen.output, net.fc(x).detach())


@pytest.mark.parametrize("most", [2, 3, 7, 64])
@pytest.mark.parametrize("count", [5, 6, 7, 64, 65, 127, 128, 192, 1000])
def test_batches_are_of_two_sizes_within_the_maximum(count, most, monkeypatch):
    sizes = []

    def heard(_, chunk, __):
        sizes.append(len(chunk))
        return Activations(None, {})

    monkeypatch.setattr(capture, "_record", heard)
    record(nn.Linear(2, 1), torch.rand(count, 2), [], batch_size=most)
    assert sum(sizes) == count
    assert max(sizes) <= most
    if most > 3:
        assert len(set(sizes)) == 2
        assert min(sizes) > 1


def test_a_forward_pass_that_takes_keywords_only_is_said_to():
    class Keyword(nn.Module):
        def forward(self, **batch):
            return batch["x"]

    with pytest.raises(ValueError, match=r"got forward\(\*\*batch\); it takes its inputs by keyword"):
        check_one_input(Keyword())
