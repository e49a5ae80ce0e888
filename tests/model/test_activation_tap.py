"""Every run of a layer is heard, as it is, while a batch runs, and nothing else; the model computes the same bits."""

import copy
import pickle

import pytest
import torch
from helpers.stateful import hooks
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lightning_cnnviz.model.activation_tap import MAX_FEATURES, ActivationTap, layers_within_reach


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.norm = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
        )
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(8, 4)

    def forward(self, x):
        x = self.relu(self.norm(self.conv1(x)))
        x = self.relu(self.conv2(x) + x)
        return self.head(x.mean((2, 3)))


@pytest.fixture
def net():
    return Residual().eval()


@pytest.fixture
def x():
    return torch.randn(5, 3, 9, 9)


def heard_of(net, layers, *batches, samples=None):
    """(layer, copy of its values, dimension of the channels) of each run, and the embedding of the last batch."""
    runs = []
    tap = ActivationTap(net, layers, lambda run: runs.append((run.layer, run.values.clone(), run.channels)))
    for batch in batches:
        tap.begin(len(batch) if samples is None else samples)
        net(batch)
        embedding = tap.end()
    tap.close()
    assert hooks(net) == 0
    return runs, embedding


def test_every_run_is_heard_before_something_in_place_changes_it(net, x):
    with torch.no_grad():
        runs, embedding = heard_of(net, ["conv1", "norm", "relu"], x)
        conv = net.conv1(x)
        norm = net.norm(conv)
        first = norm.relu()
        second = (net.conv2(first) + first).relu()
    assert [(name, channels) for name, _, channels in runs] == [("conv1", 1), ("norm", 1), ("relu", 1), ("relu", 1)]
    for (_, values, _), expected in zip(runs, (conv, norm, first, second), strict=True):
        torch.testing.assert_close(values, expected)
    torch.testing.assert_close(embedding, second.mean((2, 3)))


def test_what_runs_between_batches_is_not_heard(net, x):
    runs = []
    tap = ActivationTap(net, ["relu"], runs.append)
    net(x)
    tap.begin(5)
    tap.listening = False
    net(x)
    tap.end()
    net(x)
    assert runs == []
    tap.close()


def test_the_model_computes_the_same_with_gradients_too(net, x):
    net.train()
    twin = copy.deepcopy(net)
    tap = ActivationTap(net, ["conv1", "relu", "head"], lambda run: run.values.sum())
    tap.begin(5)
    results = [one(x) for one in (net, twin)]
    assert torch.equal(*results)
    for result in results:
        result.square().sum().backward()
    tap.close()
    for one, other in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


class Tokens(nn.Module):
    def __init__(self, turned):
        super().__init__()
        self.fc, self.relu, self.turned = nn.Linear(6, 12), nn.ReLU(), turned

    def forward(self, x):
        x = self.fc(x)
        return self.relu(x.transpose(1, 2) if self.turned else x + 0)


@pytest.mark.parametrize(("turned", "channels"), [(False, 2), (True, None)])
def test_of_tokens_the_features_are_last_unless_they_were_turned(turned, channels):
    runs, _ = heard_of(Tokens(turned), ["relu"], torch.randn(5, 7, 6))
    assert [found for *_, found in runs] == [channels]


def test_there_is_no_embedding_where_the_last_layer_is_a_convolution_or_of_tokens(x):
    assert (
        heard_of(nn.Sequential(nn.Flatten(), nn.Linear(243, 4), nn.Unflatten(1, (4, 1)), nn.Conv1d(4, 2, 1)), [], x)[1]
        is None
    )
    assert heard_of(Tokens(False), [], torch.randn(5, 7, 6))[1] is None
    assert heard_of(nn.Sequential(nn.Flatten(), nn.Linear(243, 4)), [], x, samples=7)[1] is None
    assert heard_of(nn.Linear(MAX_FEATURES + 1, 2), [], torch.randn(2, MAX_FEATURES + 1))[1] is None


def test_the_embedding_is_a_copy():
    class Changing(nn.Sequential):
        def forward(self, x):
            hidden = self[0](x)
            self.kept = hidden.clone()
            result = self[1](hidden)
            hidden.zero_()
            return result

    net = Changing(nn.Linear(4, 3), nn.Linear(3, 2))
    with torch.no_grad():
        _, embedding = heard_of(net, [], torch.randn(5, 4))
    assert torch.equal(embedding, net.kept)


def test_a_failure_is_told_at_the_end_and_not_in_the_forward_pass(net, x):
    def fail(run):
        raise ArithmeticError("no sums today")

    tap = ActivationTap(net, ["relu"], fail)
    tap.begin(5)
    net(x)
    with pytest.raises(ArithmeticError, match="no sums today"):
        tap.end()
    tap.close()


def test_a_model_can_be_copied_and_saved_meanwhile(net, x):
    runs = []
    tap = ActivationTap(net, ["relu"], lambda run: runs.append(run.layer))
    tap.begin(5)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        twin(x)
    assert runs == []
    net(x)
    assert runs == ["relu", "relu"]
    tap.close()


# ---- what is out of reach


def test_a_fused_transformer_stays_fused_and_its_bits_the_same():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    net = nn.Sequential(nn.Linear(8, 16), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)).eval()
    x = torch.randn(4, 7, 8)
    with torch.inference_mode():
        before = net(x)
        runs, _ = heard_of(net, list(layers_within_reach(net)), x)
        tap = ActivationTap(net, list(layers_within_reach(net)), lambda run: None)
        during = net(x)
        assert hooks(net) > 0
        assert all(hooks(layer) == 0 for layer in net[1].layers), "fused kernels are used only without"
        tap.close()
    assert torch.equal(before, during)
    assert {name for name, *_ in runs} == {"0", "1"}


def test_compiled_code_is_left_alone(x):
    net = nn.Sequential(nn.Flatten(), nn.Linear(243, 8), nn.ReLU())
    assert set(layers_within_reach(net)) == {"0", "1", "2"}
    net[1] = torch.compile(net[1], backend="eager")
    assert set(layers_within_reach(net)) == {"0", "2"}
    net[2].compile(backend="eager")
    assert set(layers_within_reach(net)) == {"0"}
    assert layers_within_reach(torch.compile(net, backend="eager")) == {}
    assert layers_within_reach(torch.jit.trace(nn.Sequential(nn.ReLU()), x)) == {}


def test_values_of_a_transform_integers_and_none_are_left_out(x):
    class Odd(nn.Module):
        def __init__(self, result):
            super().__init__()
            self.result = result

        def forward(self, x):
            return self.result

    for result in (None, torch.arange(5), torch.zeros(5, 0), {"rows": []}, torch.zeros(5, 3, dtype=torch.complex64)):
        runs, _ = heard_of(nn.Sequential(Odd(result)), ["0"], x)
        assert runs == []
    net, runs = nn.Sequential(nn.ReLU()), []
    tap = ActivationTap(net, ["0"], runs.append)
    tap.begin(5)
    torch.func.vmap(net)(x)
    tap.end()
    tap.close()
    assert runs == []


def test_what_is_computed_again_for_the_gradients_is_heard_unless_the_caller_stops_listening(x):
    class Checkpointed(nn.Sequential):
        def forward(self, x):
            return checkpoint(super().forward, x, use_reentrant=False)

    net = Checkpointed(nn.Flatten(), nn.Linear(243, 4), nn.ReLU())
    runs = []
    tap = ActivationTap(net, ["2"], lambda run: runs.append(run.layer))
    tap.begin(5)
    loss = F.mse_loss(net(x), torch.zeros(5, 4))
    tap.listening = False
    loss.backward()
    tap.close()
    assert runs == ["2"]
