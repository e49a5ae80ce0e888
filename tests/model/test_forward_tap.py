"""What a model receives, what its layers make of it and what it returns are heard while somebody else calls it."""

import pytest
import torch
from helpers.stateful import hooks
from torch import nn

from lightning_cnnviz.model.forward_tap import ForwardTap


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.relu, self.head = nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.relu(self.body(x)))


def written_out(net, x):
    body = x @ net.body.weight.T + net.body.bias
    return {"body": body, "relu": body.clamp(min=0), "head": net.head(body.relu()), "head.input": body.relu()}


def same(heard, net, x):
    """Whether the pass of these inputs, and no other, was heard."""
    expected = written_out(net, x)
    assert heard.layers
    return (
        torch.equal(heard.inputs, x)
        and torch.allclose(heard.scores, expected["head"])
        and all(torch.allclose(heard.layers[name], expected[name], atol=1e-6) for name in heard.layers)
    )


@pytest.fixture
def net():
    return Classifier()


@pytest.fixture
def x():
    return torch.randn(6, 4)


# ---- which pass


def test_the_pass_of_the_batch_is_heard(net, x):
    tap = ForwardTap(net, x, ["body", "head.input", "relu", "head"])
    net(x)
    heard = tap.close()
    assert set(heard.layers) == {"body", "head.input", "relu", "head"}
    assert same(heard, net, x)
    assert (heard.layers["body"] < 0).any()  # and not what the in-place ReLU made of it


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_baseline_before_or_after_is_not_heard(net, x, before, after):
    tap = ForwardTap(net, x, ["body", "head"])
    for _ in range(before):
        net(torch.zeros(6, 4))
    net(x)
    for _ in range(after):
        net(torch.zeros(6, 4))
        net.body(torch.zeros(6, 4))
    assert same(tap.close(), net, x)


def test_of_two_passes_of_the_batchs_inputs_the_first_counts(x):
    net = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    tap = ForwardTap(net, x, ["1"])
    first = net(x)
    net(x)
    assert torch.equal(tap.close().layers["1"], first)


def test_inputs_that_are_prepared_before_the_only_call_are_heard(net, x):
    tap = ForwardTap(net, x, ["body", "head"])
    net((x - 1) / 2)
    assert same(tap.close(), net, (x - 1) / 2)


@pytest.mark.parametrize("calls", [2, 3])
def test_of_several_calls_none_of_which_received_the_batchs_inputs_nobody_knows(net, x, calls):
    tap = ForwardTap(net, x, ["body"])
    for shift in range(calls):
        net(x + 1 + shift)
    assert tap.close() is None
    assert hooks(net) == 0


@pytest.mark.parametrize("pass_on", [lambda net, x: net(x=x), lambda net, x: net(x.view(6, 2, 2).flatten(1))])
def test_inputs_given_by_keyword_or_as_a_view_are_the_batchs_too(net, x, pass_on):
    tap = ForwardTap(net, x, ["body", "head.input"])
    net(torch.zeros(6, 4))
    pass_on(net, x)
    net(torch.zeros(6, 4))
    assert same(tap.close(), net, x)


def test_prepared_inputs_are_found_among_what_is_passed_by_keyword(x):
    class Several(Classifier):
        def forward(self, *, scale, batch):
            return super().forward(batch["image"] * scale)

    net = Several()
    tap = ForwardTap(net, x, ["body"])
    prepared = x + 1
    net(scale=torch.tensor(2.0), batch={"ids": torch.arange(6), "image": prepared})
    heard = tap.close()
    assert torch.equal(heard.inputs, prepared)
    assert torch.allclose(heard.layers["body"], written_out(net, prepared * 2)["body"], atol=1e-6)


def test_a_part_that_runs_before_the_model_is_not_heard(net, x):
    net.spare = nn.Linear(4, 4)
    tap = ForwardTap(net, x, ["spare", "body"])
    net.body(net.spare(torch.zeros(6, 4)))
    net(x)
    heard = tap.close()
    assert list(heard.layers) == ["body"]
    assert same(heard, net, x)


def test_a_part_that_runs_after_the_only_call_is_not_heard(net, x):
    tap = ForwardTap(net, x, ["body"])
    net(x + 1)
    net.body(torch.zeros(6, 4))
    assert same(tap.close(), net, x + 1)


def test_what_is_heard_of_a_view_is_what_the_model_received(net, x):
    tap = ForwardTap(net, x.view(6, 2, 2))
    net(x.view(6, 2, 2).flatten(1))
    assert tap.close().inputs.shape == (6, 4)


def test_where_the_models_own_forward_is_not_called_layers_that_run_once_are_heard(net, x):
    tap = ForwardTap(net, x, ["body", "relu", "head"])
    hidden = net.body(x)
    net.head(hidden)
    net.head(hidden + 1)
    heard = tap.close()
    assert list(heard.layers) == ["body"]
    assert torch.equal(heard.layers["body"], hidden)
    assert heard.inputs is x


def test_of_a_layer_that_runs_several_times_in_the_pass_the_last_run_counts(x):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x):
            return self.fc(self.fc(x))

    net = Twice()
    tap = ForwardTap(net, x, ["fc"])
    expected = net(x)
    assert torch.equal(tap.close().layers["fc"], expected)


def test_without_any_call_there_are_the_batchs_inputs_only(net, x):
    heard = ForwardTap(net, x, ["body"]).close()
    assert heard.inputs is x
    assert (heard.scores, heard.layers) == (None, {})
