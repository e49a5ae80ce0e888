"""What a loss compares is read from its graph, whatever way the loss function was called, and nothing runs for it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.functional import cross_entropy

from lightning_cnnviz.model.loss_calls import loss_calls

CLASSES = torch.tensor([2, 0, 1, 2, 0])
BITS = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])


def scores(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), requires_grad=True)


@pytest.mark.parametrize(
    ("loss", "kind", "targets"),
    [
        (F.cross_entropy(scores(5, 3), CLASSES), "classes", CLASSES),
        (cross_entropy(scores(5, 3), CLASSES, label_smoothing=0.1), "classes", CLASSES),
        (nn.CrossEntropyLoss(weight=torch.ones(3))(scores(5, 3), CLASSES), "classes", CLASSES),
        (F.nll_loss(scores(5, 3).log_softmax(1), CLASSES), "classes", CLASSES),
        (nn.MultiMarginLoss()(scores(5, 3), CLASSES), "classes", CLASSES),
        (F.mse_loss(scores(5, 3).softmax(1), F.one_hot(CLASSES, 3).float()), "classes", CLASSES),
        (F.binary_cross_entropy_with_logits(scores(5, 3), F.one_hot(CLASSES, 3).float()), "classes", CLASSES),
        (F.binary_cross_entropy_with_logits(scores(5), BITS), "logits", BITS),
        (F.binary_cross_entropy(scores(5).sigmoid(), BITS), "probabilities", BITS),
        (F.mse_loss(scores(5), BITS), "values", BITS),
        (F.smooth_l1_loss(scores(5), BITS), "values", BITS),
        (nn.HuberLoss()(scores(5), BITS), "values", BITS),
    ],
)
def test_a_loss_function_is_found_with_its_targets(loss, kind, targets):
    (call,) = loss_calls(loss / 4 + 0.1)
    assert (call.kind, call.targets.tolist()) == (kind, targets.tolist())
    assert not call.scores.requires_grad


def test_the_scores_are_those_of_the_loss():
    given = scores(5, 3)
    (call,) = loss_calls(F.cross_entropy(given, CLASSES))
    torch.testing.assert_close(call.scores, given.detach().log_softmax(1))
    (call,) = loss_calls(F.mse_loss(given, torch.zeros(5, 3)))
    assert torch.equal(call.scores, given.detach())


def test_every_term_of_a_loss_is_found_once():
    shared = scores(5, 3)
    mixed = F.cross_entropy(shared, CLASSES) + 0.5 * F.cross_entropy(shared, 2 - CLASSES)
    calls = loss_calls(mixed + F.mse_loss(shared, torch.zeros(5, 3)))
    assert sorted(call.kind for call in calls) == ["classes", "classes", "values"]
    assert {int(call.targets[0]) for call in calls if call.kind == "classes"} == {0, 2}


def test_what_is_written_out_or_has_no_graph_tells_nothing():
    given = scores(5, 3)
    assert loss_calls(-(given.log_softmax(1).gather(1, CLASSES[:, None])).mean()) == []
    assert loss_calls(torch.tensor(1.0)) == []


def test_reading_leaves_the_backward_pass_as_it_is():
    grads = []
    for read in (False, True):
        given = scores(5, 3)
        loss = F.cross_entropy(given, CLASSES)
        if read:
            loss_calls(loss)
        loss.backward()
        grads.append(given.grad)
    assert torch.equal(*grads)


def test_of_a_graph_that_is_gone_nothing_is_read():
    loss = F.cross_entropy(scores(5, 3), CLASSES)
    loss.backward()
    assert loss_calls(loss) == []
