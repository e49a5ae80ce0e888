"""Passes of our own leave a model, its buffers and all random states as they were."""

import random

import numpy as np
import pytest
import torch
from helpers.stateful import Net, X, frozen, traces
from torch import nn

from lightning_cnnviz.model.capture import record
from lightning_cnnviz.model.evaluation import awaits_input, evaluating


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


def test_the_models_own_train_and_eval_are_not_called_but_the_copys_are():
    calls = []

    class Listening(Net):
        def train(self, mode=True):
            calls.append((self, mode))
            return super().train(mode)

    net = Listening()
    with evaluating(net) as copied:
        assert calls == [(copied, False)]  # a list outside of the model, which is put back
    assert calls == []


def test_the_copy_is_in_evaluation_mode_without_gradients_and_the_model_stays_in_training():
    net = Net()
    with evaluating(net) as copied:
        assert not any(part.training for part in copied.modules())
        assert all(part.training for part in net.modules())
        assert not torch.is_grad_enabled()
        assert torch.equal(copied.drop(X), X)
    assert torch.is_grad_enabled()


def test_on_exit_a_model_and_all_random_states_are_as_they_were():
    net = frozen(Net())
    net(X)
    before = traces(net)
    with evaluating(net) as copied:
        copied.conv.register_forward_hook(lambda *_: None)
        copied(X)
        random.random(), np.random.random(), torch.rand(1)
        copied.norm.running_mean.add_(1)
        copied.cache = None
        copied.drop.training = True
        copied.fc.weight.data.add_(1)
    assert traces(net) == before


def test_so_it_is_after_an_error_too():
    net = frozen(Net())
    before = traces(net)
    with pytest.raises(ZeroDivisionError), evaluating(net) as copied:  # noqa: PT012
        copied.fc.register_forward_pre_hook(lambda *_: None)
        copied.norm.running_var.mul_(2)
        1 / 0  # noqa: B018
    assert traces(net) == before


def test_a_buffer_that_was_resized_has_its_old_size_again():
    class Growing(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.arange(3.0))

        def forward(self, x):
            self.seen.resize_(7).fill_(1)
            return x

    net = Growing()
    buffer = net.seen
    with evaluating(net) as copied:
        copied(torch.ones(1))
    assert net.seen is buffer
    assert net.seen.tolist() == [0, 1, 2]


@pytest.mark.parametrize("fused", [True, False])
def test_transformers_run_through_their_parts_and_are_fused_again_afterwards(fused):
    layer = nn.TransformerEncoderLayer(8, 2, batch_first=True).eval()
    heard = []
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fused)
    try:
        with evaluating(layer) as copied:
            copied.self_attn.register_forward_hook(lambda *_: heard.append(True))
            copied(torch.rand(2, 3, 8))
        assert heard == [True]
        assert torch.backends.mha.get_fastpath_enabled() is fused
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@pytest.mark.parametrize("layer", [nn.LazyLinear(3), nn.LazyConv2d(3, 1), nn.LazyBatchNorm1d()], ids=repr)
def test_a_lazy_layer_must_get_its_size_from_the_training(layer):
    net = nn.Sequential(layer)
    assert awaits_input(net)
    with pytest.raises(ValueError, match="lazy"), evaluating(net):
        pytest.fail("the model was run")
    net.train()
    net(torch.rand(2, 4, 2, 2) if isinstance(layer, nn.LazyConv2d) else torch.rand(2, 4))
    assert not awaits_input(net)
    with evaluating(net) as copied:
        assert not copied.training


def test_scripted_parts_can_be_evaluated():
    net = nn.Sequential(torch.jit.script(nn.BatchNorm1d(3)), nn.ReLU())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with evaluating(net) as copied:
        copied(torch.rand(5, 3))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(part.training for part in net.modules())
