"""Hooks by a layer's name: what they hear, and what is said of a name that is not there."""

import pytest
import torch
from helpers.stateful import Net, X, hooks
from torch import nn

from lightning_cnnviz.model.hooks import add_hook, listed, takes_hooks


def test_a_hook_hears_what_a_layer_returns_each_time_that_it_runs_until_it_is_removed():
    net, heard = Net().eval(), []
    handle = add_hook(net, "conv", heard.append)
    with torch.no_grad():
        net(X), net(2 * X)
        expected = [net.conv(X), net.conv(2 * X)]
    heard = heard[:2]  # the two calls that gave what was expected were heard as well
    assert all(torch.equal(one, other) for one, other in zip(heard, expected, strict=True))
    handle.remove()
    assert hooks(net) == 0


def test_with_the_suffix_a_hook_hears_what_a_layer_receives():
    net, heard = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)), []
    add_hook(net, "1.input", heard.append)
    x = torch.rand(3, 6)
    net(x)
    (((received,), options),) = heard
    assert options == {}
    assert torch.equal(received, net[0](x))


def test_a_hook_does_not_change_what_passes():
    net, x = nn.Sequential(nn.Linear(6, 4), nn.ReLU()), torch.rand(3, 6)
    expected = net(x)
    add_hook(net, "0", lambda result: None)
    add_hook(net, "0.input", lambda arguments: None)
    assert torch.equal(net(x), expected)


def test_a_layer_that_is_called_input_is_the_layer_itself():
    net, heard = nn.ModuleDict({"stem": nn.ModuleDict({"input": nn.Linear(2, 3)})}), []
    add_hook(net, "stem.input", heard.append)
    net["stem"]["input"](torch.ones(1, 2))
    assert [result.shape for result in heard] == [(1, 3)]


def test_the_model_itself_has_the_empty_name():
    net, heard = nn.Linear(2, 3), []
    add_hook(net, "", heard.append)
    net(torch.ones(1, 2))
    assert len(heard) == 1


@pytest.mark.parametrize("name", ["conv9", "conv9.input", "conv.weight", "Conv"])
def test_a_name_that_is_not_there_is_refused_with_those_that_are(name):
    net = Net()
    with pytest.raises(ValueError, match=f"no layer '{name}'; its layers are: conv, norm, relu, drop, fc$"):
        add_hook(net, name, print)
    assert hooks(net) == 0


def test_of_very_many_names_the_first_are_listed_and_the_others_counted():
    names = [f"layer{number}" for number in range(100)]
    assert listed(names) == ", ".join(names[:40]) + " and 60 more"
    assert listed(names[:40]) == ", ".join(names[:40])
    assert listed(names[:3], at_most=2) == "layer0, layer1 and 1 more"
    assert listed([]) == "none"


def test_what_torchscript_runs_calls_no_hooks():
    assert not takes_hooks(torch.jit.script(nn.Linear(4, 3)))
    assert not takes_hooks(torch.jit.trace(nn.Linear(4, 3), torch.rand(1, 4)))
    assert takes_hooks(nn.Linear(4, 3))
    assert takes_hooks(torch.compile(nn.Linear(4, 3)))
