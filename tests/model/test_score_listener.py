"""What a model made of each batch, against what it returned."""

import copy
import pickle

import pytest
import torch
from helpers.stateful import hooks
from torch import nn

from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.score_listener import ScoreListener


class Net(nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, outputs)

    def forward(self, x):
        return self.head(self.body(x))


COPIES = [copy.deepcopy, pytest.param(lambda one: pickle.loads(pickle.dumps(one)), id="pickle")]


def batch(samples=6):
    return torch.randn(samples, 4), torch.arange(samples) % 3


def test_scores_inputs_and_class_numbers_of_the_batch_are_heard():
    net, (x, y), listener = Net(), batch(), ScoreListener()
    listener.start(net, {"image": x, "label": y.to(torch.uint8)})
    expected = net(x)
    heard = listener.stop()
    assert torch.equal(heard.scores, expected)
    assert not heard.scores.requires_grad
    assert heard.inputs is x
    assert heard.targets.tolist() == y.tolist()
    assert heard.targets.dtype == torch.int64
    assert heard.logits is None
    assert hooks(net) == 0


def test_inputs_that_need_gradients_come_without_their_history():
    net, (x, y), listener = Net(), batch(), ScoreListener()
    x.requires_grad_()
    listener.start(net, (x, y))
    net(x).sum().backward()
    assert not listener.stop().inputs.requires_grad
    assert x.grad is not None


@pytest.mark.parametrize("given", [None, "text", (torch.ones(4, 4),), (torch.arange(4), torch.arange(4))])
def test_of_batches_without_inputs_and_class_numbers_nothing_is_heard(given):
    net, listener = Net(), ScoreListener()
    listener.start(net, given)
    assert hooks(net) == 0
    net(torch.rand(4, 4))
    assert listener.stop() is None


def test_of_a_named_layer_its_own_output_is_heard():
    net, (x, y), listener = Net(), batch(), ScoreListener()
    listener.start(net, (x, y), "body")
    net(x)
    assert torch.equal(listener.stop().scores, net.body(x))


def test_a_step_that_was_skipped_leaves_no_hooks_behind():
    net, (x, y), listener = Net(), batch(), ScoreListener()
    listener.start(net, (x, y))
    count = hooks(net)
    listener.start(net, (x + 1, y))
    assert hooks(net) == count
    expected = net(x + 1)
    assert torch.equal(listener.stop().scores, expected)
    assert hooks(net) == 0
    assert listener.stop() is None


def test_passes_of_our_own_are_not_taken_for_the_models():
    net, (x, y), listener = Net(), batch(), ScoreListener()
    listener.start(net, (x, y))
    expected = net(x)
    with evaluating(net):
        net(x + 1)
    assert torch.equal(listener.stop().scores, expected)


def test_once_the_model_was_heard_by_its_own_call_its_children_are_left_alone():
    net, (x, y), listener = Net(), batch(), ScoreListener()
    for number in range(3):
        listener.start(net, (x, y))
        assert bool(hooks(net.head)) == (number == 0)
        net(x)
        listener.stop()


def test_if_one_day_only_its_children_are_called_one_batch_is_missed_and_then_they_are_heard():
    net, (x, y), listener = Net(), batch(), ScoreListener()
    listener.start(net, (x, y))
    net(x)
    assert listener.stop() is not None
    heard = []
    for _ in range(3):
        listener.start(net, (x, y))
        expected = net.head(net.body(x))
        heard.append(listener.stop())
    assert heard[0] is None
    assert all(torch.equal(one.scores, expected) for one in heard[1:])


@pytest.mark.parametrize("shape", [(), (1,)], ids=["flat", "one column"])
def test_a_single_score_is_a_logit_from_the_first_one_on_that_can_be_no_probability(shape):
    class Given(nn.Module):
        def forward(self, x):
            return x[:, 0].reshape(-1, *shape)

    net, listener, y, logits = Given(), ScoreListener(), torch.tensor([0, 1]), []
    for values in ([0.1, 0.9], [0.5, 0.5], [-2.0, 0.5], [0.1, 0.9]):
        x = torch.tensor(values)[:, None].repeat(1, 2)
        listener.start(net, (x, y))
        net(x)
        logits.append(bool(listener.stop().logits))
    assert logits == [False, False, True, True]


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_hears_nothing_of_the_batch_and_begins_anew(copied):
    net, (x, y), listener = Net(), batch(), ScoreListener()
    listener.start(net, (x, y))
    other = copied(listener)
    net(x)
    assert other.stop() is None
    assert listener.stop() is not None
    other.start(net, (x, y))
    expected = net(x)
    assert torch.equal(other.stop().scores, expected)
