"""What a model returns is heard while somebody else calls it, and nothing else is."""

import copy
import io
import pickle

import pytest
import torch
from helpers.stateful import hooks
from torch import nn

from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.output_tap import OutputTap


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.body(x))


def test_tap_hears_the_models_own_output():
    net, x = Classifier(), torch.rand(6, 4)
    tap = OutputTap(net, samples=6)
    expected = net(x)
    net.body(x)  # afterwards a part runs by itself
    heard = tap.close()
    assert torch.equal(heard, expected)
    assert not heard.requires_grad
    assert expected.requires_grad


def test_tap_hears_the_last_child_where_forward_is_not_called():
    net, x = Classifier(), torch.rand(6, 4)
    tap = OutputTap(net, samples=6)
    expected = net.head(net.body(x))
    assert torch.equal(tap.close(), expected)


def test_tap_hears_one_layer_only_where_told_so():
    net, x = Classifier(), torch.rand(6, 4)
    tap = OutputTap(net, samples=6, layer="body")
    net(x)
    assert torch.equal(tap.close(), net.body(x))


def test_tap_hears_nothing_that_is_no_score_of_these_samples():
    net = Classifier()
    for x in (torch.rand(5, 4), torch.rand(6, 2, 4), torch.rand(4)):
        tap = OutputTap(net, samples=6)
        net(x)
        assert tap.close() is None
    tap = OutputTap(nn.Sequential(nn.Identity()), samples=6)
    assert tap.close() is None


def test_tap_is_gone_once_it_is_closed():
    net, x = Classifier(), torch.rand(6, 4)
    tap = OutputTap(net, samples=6)
    assert hooks(net) > 0
    net(x)
    heard = tap.close()
    assert hooks(net) == 0
    net(x + 1)
    assert torch.equal(tap.close(), heard)


def test_a_compiled_child_is_captured_as_a_whole_without_compiling_it_again():
    net, x, compiled = Classifier(), torch.rand(6, 4), []
    net.head = torch.compile(net.head, backend=lambda graph, _: compiled.append(graph) or graph.forward)
    net.head(net.body(x))
    assert len(compiled) == 1
    tap = OutputTap(net, samples=6)
    expected = net.head(net.body(x))  # as a step that does not call the model itself
    assert torch.equal(tap.close(), expected)
    net.head(net.body(x))
    assert len(compiled) == 1


@pytest.mark.parametrize("copy_of", ["pickle", "deepcopy", "torch.save"])
def test_a_model_can_be_saved_while_it_is_tapped(copy_of):
    net, x = Classifier(), torch.rand(6, 4)
    tap = OutputTap(net, samples=6)
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


def test_a_loss_among_the_children_is_not_taken_for_the_scores():
    net = nn.ModuleDict({"head": nn.Linear(4, 3), "criterion": nn.CrossEntropyLoss(reduction="none")})
    tap = OutputTap(net, samples=5)
    scores = net["head"](torch.rand(5, 4))
    net["criterion"](scores, torch.zeros(5, dtype=torch.long))
    assert torch.equal(tap.close(), scores)


def test_tap_does_not_hear_passes_of_our_own():
    net, x = Classifier(), torch.rand(6, 4)
    tap = OutputTap(net, samples=6)
    expected = net(x)
    with evaluating(net) as copied:
        copied(x + 1)
        copied.head(copied.body(x + 1))
    assert torch.equal(tap.close(), expected)


def test_of_several_heads_nobody_knows_whose_classes_are_those_of_the_batch():
    net = nn.ModuleDict({"body": nn.Linear(4, 5), "left": nn.Linear(5, 3), "right": nn.Linear(5, 2)})
    tap = OutputTap(net, samples=6)
    hidden = net["body"](torch.rand(6, 4))
    net["left"](hidden), net["right"](hidden)
    assert tap.close() is None


def test_one_head_that_runs_twice_is_no_several_heads():
    net = nn.ModuleDict({"body": nn.Linear(4, 5), "head": nn.Linear(5, 3)})
    tap = OutputTap(net, samples=6)
    hidden = net["body"](torch.rand(6, 4))
    net["head"](hidden)
    expected = net["head"](hidden)
    assert torch.equal(tap.close(), expected)


def test_without_the_children_only_the_models_own_call_counts():
    net, x = Classifier(), torch.rand(6, 4)
    tap = OutputTap(net, samples=6, children=False)
    assert hooks(net.head) == 0
    net.head(net.body(x))
    assert not tap.captured_own
    assert tap.close() is None
    tap = OutputTap(net, samples=6, children=False)
    expected = net(x)
    assert tap.captured_own
    assert torch.equal(tap.close(), expected)


def test_a_compiled_model_is_not_listened_to():
    net = torch.compile(Classifier(), backend="eager")
    tap = OutputTap(net, samples=6)
    assert hooks(net) == 0
    net(torch.rand(6, 4))
    assert tap.close() is None


def test_what_cannot_be_looked_at_fails_as_the_tap_is_closed_and_not_in_the_models_own_pass():
    class Unreadable(dict):
        def values(self):
            raise RuntimeError("not for you")

    class Odd(nn.Module):
        def forward(self, x):
            return Unreadable()

    net = Odd()
    tap = OutputTap(net, samples=6)
    assert net(torch.rand(6, 4)) == {}
    with pytest.raises(RuntimeError, match="not for you"):
        tap.close()
    assert hooks(net) == 0


@pytest.mark.parametrize("first", [True, False])
def test_of_several_calls_that_of_the_batchs_inputs_counts(first):
    net, x = Classifier(), torch.rand(6, 4)
    tap = OutputTap(net, samples=6, inputs=x)
    passes = [x.view(6, 2, 2).flatten(1), torch.zeros(6, 4)]
    outputs = [net(given) for given in (passes if first else passes[::-1])]
    assert torch.equal(tap.close(), outputs[0 if first else 1])


def test_inputs_given_by_keyword_are_the_batchs_too():
    net, x = Classifier(), torch.rand(6, 4)
    tap = OutputTap(net, samples=6, inputs=x)
    expected = net(x=x)
    net(torch.zeros(6, 4))
    assert torch.equal(tap.close(), expected)


def test_of_several_calls_without_the_batchs_inputs_the_last_counts():
    net, x = Classifier(), torch.rand(6, 4)
    tap = OutputTap(net, samples=6, inputs=x)
    net(x + 1)
    expected = net(x + 2)
    assert torch.equal(tap.close(), expected)
