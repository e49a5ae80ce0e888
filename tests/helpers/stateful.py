"""A model that any careless look from outside would change, and what of it must stay."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    """Everything that a look from outside could disturb: batch norm, dropout, an in-place ReLU, random numbers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4 * 16, 3)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("cache", torch.zeros(1), persistent=False)
        self.fail = False

    def forward(self, x):
        self.calls += 1
        self.cache = torch.ones(5)
        random.random(), np.random.random(), torch.rand(3)
        x = self.drop(self.relu(self.norm(self.conv(x))))
        if self.fail:
            raise RuntimeError("out of memory")
        return self.fc(x.flatten(1))


X = torch.randn(7, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def by_hand(net, x):
    """The forward pass in evaluation mode, written out."""
    conv = F.conv2d(x, net.conv.weight, net.conv.bias)
    norm = F.batch_norm(conv, net.norm.running_mean, net.norm.running_var, net.norm.weight, net.norm.bias)
    relu = norm.clamp(min=0)
    return {
        "conv": conv,
        "norm": norm,
        "relu": relu,
        "drop": relu,
        "fc": F.linear(relu.flatten(1), *net.fc.parameters()),
    }


def hooks(module):
    return sum(
        len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)
        for part in module.modules()
    )


def traces(module):
    """Everything that must be the same afterwards, to the bit."""
    return (
        [part.training for part in module.modules()],
        {name: (id(buffer), buffer.numpy().tobytes()) for name, buffer in module.named_buffers()},
        {name: (id(weight), weight.detach().numpy().tobytes()) for name, weight in module.named_parameters()},
        [weight.grad is None for weight in module.parameters()],
        hooks(module),
        random.getstate(),
        [part.tobytes() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],
        torch.get_rng_state().numpy().tobytes(),
        torch.is_grad_enabled(),
    )


def frozen(net):
    net.train()
    net.norm.eval()
    return net


def assert_leaves_no_trace(run, fail):
    """Of a function of a model and inputs, also where the model fails."""
    net = frozen(Net())
    net(X)
    before = traces(net)
    net.fail = fail
    if fail:
        with pytest.raises(RuntimeError, match="out of memory"):
            run(net, X)
    else:
        run(net, X)
    assert traces(net) == before
