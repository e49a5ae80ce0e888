"""What is kept of a pass, and that nothing of the tap stays in the model or gets in its way."""

import copy
import pickle

import pytest
import torch
from helpers.stateful import Net, X, by_hand, hooks
from torch import nn

from lightning_cnnviz.model.forward_tap import ForwardTap

LAYERS = ["0", "1", "2", "2.input"]


def sequence():
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 3))


def written_out(net, x):
    first = x @ net[0].weight.T + net[0].bias
    return {"0": first, "1": first.clamp(min=0), "2": net[2](first.relu()), "2.input": first.relu()}


@pytest.fixture
def net():
    return sequence()


@pytest.fixture
def x():
    return torch.randn(6, 4)


@pytest.mark.parametrize("rows", [[2], [5, 0, 3], [1, 1], list(range(6))])
def test_of_the_layers_only_the_wanted_rows_are_kept(net, x, rows):
    tap = ForwardTap(net, x, LAYERS, rows)
    net(x)
    heard, expected = tap.close(), written_out(net, x)
    assert set(heard.layers) == set(expected)
    for name, layer in heard.layers.items():
        assert torch.allclose(layer, expected[name][rows], atol=1e-6), name
    assert len(heard.scores) == len(heard.inputs) == 6  # of inputs and scores all


def test_in_a_batch_that_is_too_short_for_the_rows_the_layers_are_missing(net, x):
    tap = ForwardTap(net, x, ["0"], rows=[2, 6])
    net(x)
    heard = tap.close()
    assert torch.equal(heard.inputs, x)
    assert heard.layers == {}


def test_a_layer_without_one_row_per_sample_is_missing(x):
    class Summary(nn.Module):
        def forward(self, x):
            return x.mean(0)

    net = nn.Sequential(nn.Linear(4, 3), Summary(), nn.Linear(3, 2), nn.Flatten(0))
    tap = ForwardTap(net, x, ["0", "1", "2", "3", "3.input"])
    net(x)
    assert list(tap.close().layers) == ["0"]


def test_layers_own_what_they_give_and_hold_no_graph(net, x):
    tap = ForwardTap(net, x, ["0", "2"])
    given = net(x)
    expected = given.detach().clone()
    given.data.fill_(7)
    heard = tap.close()
    assert torch.equal(heard.layers["2"], expected)
    assert not any(kept.requires_grad for kept in [*heard.layers.values(), heard.scores])
    assert given.requires_grad


def test_an_input_is_what_the_layer_receives():
    net = Net().eval()
    tap = ForwardTap(net, X, ["conv.input", "relu.input", "norm", "fc.input"])
    net(X)
    heard, expected = tap.close().layers, by_hand(net, X)
    assert torch.equal(heard["conv.input"], X)
    for name, layer in (("relu.input", "norm"), ("norm", "norm")):
        assert torch.allclose(heard[name], expected[layer], atol=1e-6)
    assert torch.allclose(heard["fc.input"], expected["relu"].flatten(1), atol=1e-6)


def test_an_unknown_layer_is_refused(net, x):
    with pytest.raises(ValueError, match="the model has no layer 'tail'; its layers are: 0, 1, 2"):
        ForwardTap(net, x, ["tail"])


# ---- without a trace


@pytest.mark.parametrize("calls", [0, 1])
def test_tap_is_gone_once_it_is_closed(net, x, calls):
    tap = ForwardTap(net, x, LAYERS)
    assert hooks(net) > 0
    for _ in range(calls):
        net(x)
    tap.close()
    assert hooks(net) == 0


def test_of_a_compiled_model_the_batchs_inputs_alone_are_given(x):
    net = torch.compile(sequence(), backend="eager")
    tap = ForwardTap(net, x, ["_orig_mod.0"])
    assert hooks(net) == 0
    net(x + 1)
    heard = tap.close()
    assert heard.inputs is x
    assert (heard.scores, heard.layers) == (None, {})


class Unreadable(dict):
    def values(self):
        raise RuntimeError("not for you")


class Opaque(nn.Module):
    def forward(self, x):
        return Unreadable()


@pytest.mark.parametrize("where", ["inputs", "layer"])
def test_what_cannot_be_looked_at_fails_as_the_tap_is_closed_and_not_in_the_models_own_pass(x, where):
    net = Opaque() if where == "inputs" else nn.Sequential(Opaque(), nn.Identity())
    tap = ForwardTap(net, x, [] if where == "inputs" else ["0"])
    assert net(Unreadable() if where == "inputs" else x) == {}
    with pytest.raises(RuntimeError, match="not for you"):
        tap.close()
    assert hooks(net) == 0


@pytest.mark.parametrize("layers", [[], LAYERS])
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"]
)
def test_a_model_can_be_copied_or_saved_while_it_is_tapped(net, x, copied, layers):
    tap = ForwardTap(net, x, layers)
    other = copied(net)
    expected = net(x + 1)
    assert torch.equal(other(x + 1), expected)
    other(x + 2)  # what the copy does is not heard
    heard, expected = tap.close(), written_out(net, x + 1)
    assert torch.allclose(heard.scores, expected["2"])
    assert all(torch.allclose(heard.layers[name], expected[name], atol=1e-6) for name in layers)
    assert hooks(net) == 0
