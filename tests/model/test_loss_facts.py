"""What the graph of a loss tells, over kinds of losses and networks."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lightning_cnnviz.model.loss_facts import graph_facts, loss_facts

CLASSES = torch.tensor([0, 2, 1, 2, 0, 1])
SIGNS = torch.tensor([0.0, 1, 1, 0, 1, 0])


def scores(classes=3):
    return torch.randn(6, classes, generator=torch.Generator().manual_seed(0)).requires_grad_()


def after(loss, batch=()):
    return [one.after_softmax for one in loss_facts(loss, batch)]


DOUBLED = {
    "module": lambda: F.cross_entropy(nn.Softmax(1)(scores()), CLASSES),
    "function": lambda: nn.CrossEntropyLoss()(F.softmax(scores(), dim=1), CLASSES),
    "views": lambda: F.cross_entropy(scores().softmax(1)[:, None].squeeze(1).view(6, 3), CLASSES),
    "transposed": lambda: F.cross_entropy(scores().T.softmax(0).T, CLASSES),
    "permuted maps": lambda: F.cross_entropy(
        torch.randn(2, 5, 5, 3, requires_grad=True).softmax(3).permute(0, 3, 1, 2), torch.ones(2, 5, 5).long()
    ),
    "selected": lambda: F.cross_entropy(scores(5).softmax(1)[:, :3], CLASSES),
    "joined": lambda: F.cross_entropy(torch.cat([scores().softmax(1), scores().softmax(1)]), CLASSES.repeat(2)),
    "smoothed": lambda: F.cross_entropy(scores().softmax(1), CLASSES, label_smoothing=0.1),
    "probabilities": lambda: F.cross_entropy(scores().softmax(1), F.one_hot(CLASSES).float()),
    "log_softmax": lambda: F.nll_loss(scores().softmax(1).log_softmax(1), CLASSES),
    "with more": lambda: F.cross_entropy(scores().softmax(1), CLASSES) + scores().square().mean(),
}


@pytest.mark.parametrize("name", DOUBLED)
def test_a_softmax_before_one_is_found(name):
    assert "softmax" in after(DOUBLED[name]())


def test_a_sigmoid_before_one_is_found():
    assert after(F.binary_cross_entropy_with_logits(scores(1).sigmoid()[:, 0], SIGNS)) == ["sigmoid"]
    assert after(F.binary_cross_entropy_with_logits(nn.Sigmoid()(scores(1)), SIGNS[:, None])) == ["sigmoid"]
    assert after(F.cross_entropy(scores().sigmoid(), CLASSES)) == ["sigmoid"]


SOUND = {
    "plain": lambda: F.cross_entropy(scores(), CLASSES),
    "log_softmax twice": lambda: F.cross_entropy(scores().log_softmax(1), CLASSES),  # which changes nothing
    "nll": lambda: F.nll_loss(scores().log_softmax(1), CLASSES),
    "logarithm": lambda: F.nll_loss(scores().softmax(1).log(), CLASSES),
    "bce": lambda: F.binary_cross_entropy(scores(1).sigmoid()[:, 0], SIGNS),
    "logits": lambda: F.binary_cross_entropy_with_logits(scores(1)[:, 0], SIGNS),
    "gate": lambda: F.cross_entropy(scores() * scores().sigmoid(), CLASSES),
    "attention": lambda: F.cross_entropy(scores(6).softmax(1) @ scores(), CLASSES),
    "layer after it": lambda: F.cross_entropy(nn.Linear(3, 3)(scores().softmax(1)), CLASSES),
    "scaled": lambda: F.cross_entropy(10 * scores().softmax(1), CLASSES),
    "regression": lambda: F.mse_loss(scores().softmax(1), torch.rand(6, 3)),
    "no loss function": lambda: scores().softmax(1).square().sum(),
}


@pytest.mark.parametrize("name", SOUND)
def test_none_is_found_where_none_is_wrong(name):
    assert not any(after(SOUND[name]()))


def test_scores_that_are_no_logarithms():
    (raw,) = loss_facts(F.nll_loss(scores(), CLASSES), [])
    (fine,) = loss_facts(F.nll_loss(scores().log_softmax(1), CLASSES), [])
    assert (raw.log_probabilities, fine.log_probabilities) == (False, True)
    (crossed,) = loss_facts(F.cross_entropy(50 * scores(), CLASSES), [])
    assert crossed.log_probabilities
    (single,) = loss_facts(F.cross_entropy(scores(1), torch.zeros(6).long()), [])
    assert (single.kind, single.outputs) == ("classes", 1)


def test_class_indices_that_are_taken_for_amounts():
    batch = [torch.rand(6, 4), CLASSES]
    indices = {
        "column": F.mse_loss(scores(1)[:, 0], CLASSES.float()),
        "broadcast": F.mse_loss(scores(), CLASSES.float()[:, None].expand(6, 3)),
        "huber": F.huber_loss(scores(1)[:, 0], CLASSES.float()),
        "smooth": F.smooth_l1_loss(scores(1)[:, 0], CLASSES.float()),
    }
    for name, loss in indices.items():
        assert [one.class_indices for one in loss_facts(loss, batch)] == [3], name
    for words, numbers in {"ratings": [1, 5, 3, 4, 2, 5], "ages": [31, 4, 62, 18, 0, 47]}.items():
        given = torch.tensor(numbers)
        assert [one.class_indices for one in loss_facts(F.mse_loss(scores(1)[:, 0], given.float()), [given])] == [0], (
            words
        )
    amounts = F.mse_loss(scores(1)[:, 0], torch.rand(6))
    assert [one.class_indices for one in loss_facts(amounts, batch)] == [0]
    one_hot = F.mse_loss(scores(), F.one_hot(CLASSES).float())
    assert [one.class_indices for one in loss_facts(one_hot, batch)] == [0]
    assert [one.class_indices for one in loss_facts(indices["column"], [torch.rand(6, 4)])] == [0]


def test_targets_beyond_what_a_probability_can_be():
    assert [one.beyond for one in loss_facts(F.binary_cross_entropy_with_logits(scores(1)[:, 0], 2 * SIGNS), [])] == [
        True
    ]
    assert [one.beyond for one in loss_facts(F.binary_cross_entropy_with_logits(scores(1)[:, 0], SIGNS), [])] == [
        False
    ]


# ---- the network


class Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class Called(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Last(nn.Module):
    def forward(self, x):
        return x[0]


LINEAR = {
    "layers": nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)),
    "dropout": nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 8)),
    "residual": nn.Sequential(nn.Linear(8, 8), Residual(nn.Linear(8, 8)), nn.Linear(8, 8)),
    "scaled": nn.Sequential(nn.Linear(8, 8), Called(lambda x: x * 0.5 / 3 - 1), nn.Linear(8, 8)),
    "normalised": nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8)),
    "reshaped": nn.Sequential(nn.Linear(8, 8), nn.Unflatten(1, (2, 4)), nn.Flatten(), nn.Linear(8, 8)),
    "convolutions": nn.Sequential(
        nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 4, 1), nn.AvgPool2d(2), nn.Conv2d(4, 4, 1), nn.Flatten()
    ),
}
NONLINEAR = {
    **{
        type(layer).__name__: nn.Sequential(nn.Linear(8, 8), layer, nn.Linear(8, 8))
        for layer in (
            *(nn.ReLU(), nn.ReLU(inplace=True), nn.GELU(), nn.SiLU(), nn.Tanh(), nn.Sigmoid(), nn.LeakyReLU()),
            *(nn.ELU(), nn.SELU(), nn.Softplus(), nn.Hardswish(), nn.Mish(), nn.PReLU(), nn.Softmax(1), nn.Hardtanh()),
        )
    },
    "functional": nn.Sequential(nn.Linear(8, 8), Called(F.relu), nn.Linear(8, 8)),
    "written out": nn.Sequential(nn.Linear(8, 8), Called(lambda x: x * x), nn.Linear(8, 8)),
    "maximum": nn.Sequential(nn.Linear(8, 8), Called(lambda x: torch.maximum(x, -x)), nn.Linear(8, 8)),
    "unknown": nn.Sequential(nn.Linear(8, 8), Called(Custom.apply), nn.Linear(8, 8)),
    "recurrent": nn.Sequential(nn.Linear(8, 8), nn.GRU(8, 8), Last(), nn.Linear(8, 8)),
    "residual": nn.Sequential(nn.Linear(8, 8), Residual(nn.Sequential(nn.Linear(8, 8), nn.ReLU())), nn.Linear(8, 8)),
    "gated": nn.Sequential(nn.Linear(8, 16), nn.GLU(), nn.Linear(8, 8)),
    "attention": nn.Sequential(
        Called(lambda x: x[:, None]), nn.TransformerEncoderLayer(8, 2, 16), nn.Flatten(), nn.Linear(8, 8)
    ),
}


def facts(net):
    torch.manual_seed(0)
    return graph_facts(F.mse_loss(net(torch.randn(6, 8)), torch.randn(6, net(torch.randn(6, 8)).shape[1])))


@pytest.mark.parametrize("name", LINEAR)
def test_networks_without_activations_are_told(name):
    found = facts(LINEAR[name])
    assert found.linear
    assert found.products == sum(isinstance(part, (nn.Linear, nn.Conv2d)) for part in LINEAR[name].modules())


@pytest.mark.parametrize("name", NONLINEAR)
def test_networks_with_any_are_not(name):
    assert not facts(NONLINEAR[name]).linear


def test_a_single_layer_and_what_comes_after_the_last_are_nothing():
    assert facts(nn.Sequential(nn.Linear(8, 8), nn.ReLU())) is None
    assert facts(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.ReLU())).linear  # which acts on the output only


def test_where_nothing_is_known_nothing_is_said():
    inner = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    loss = checkpoint(inner, torch.randn(6, 8, requires_grad=True), use_reentrant=True).sum()
    assert graph_facts(loss) is None
    kept = checkpoint(inner, torch.randn(6, 8), use_reentrant=False).sum()
    assert graph_facts(kept) is None or not graph_facts(kept).linear
    for nothing in (torch.ones(()), torch.ones((), requires_grad=True)):
        assert graph_facts(nothing) is None
        assert loss_facts(nothing, [torch.ones(2)]) == []


def test_nothing_is_changed_and_the_loss_can_still_be_propagated():
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    loss = F.cross_entropy(net(torch.randn(6, 8)), CLASSES)
    loss_facts(loss, [CLASSES])
    graph_facts(loss)
    loss.backward()
    assert all(weight.grad is not None for weight in net.parameters())


def test_weights_of_classes_are_told():
    weights = torch.tensor([1.0, 1.0, 500.0])
    assert [one.weights for one in loss_facts(F.cross_entropy(scores(), CLASSES, weights), ())] == [(1.0, 1.0, 500.0)]
    assert [one.weights for one in loss_facts(F.cross_entropy(scores(), CLASSES), ())] == [()]
