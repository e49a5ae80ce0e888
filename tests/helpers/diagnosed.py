"""Runs that a diagnosis watches, and what it says of them."""

import torch
from torch import nn
from torch.nn import functional as F

from helpers.tiny import TinyNet
from lightning_cnnviz import Diagnosis


def rules(callback):
    return [one.rule for one in callback.findings()]


class Doubled(TinyNet):
    """A softmax before a loss that applies one."""

    def forward(self, x):
        return super().forward(x).softmax(1)


class Manual(TinyNet):
    """Two optimizers that take turns."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        x, y = batch
        for optimizer in self.optimizers():
            loss = F.cross_entropy(self(x), y)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    def configure_optimizers(self):
        early = [*self.conv1.parameters(), *self.norm.parameters(), *self.conv2.parameters()]
        late = [*self.fc1.parameters(), *self.fc2.parameters()]
        return torch.optim.SGD(early, lr=0.05, momentum=0.9), torch.optim.Adam(late, lr=0.01)


def told(caught):
    return [str(one.message) for one in caught if str(one.message).startswith("Diagnosis")]


def hooks_of(model):
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [hook for part in model.modules() for name in names for hook in vars(part).get(name, {}).values()]


class Kept(Diagnosis):
    """Keeps its evidence."""

    def _end(self, trainer):
        self.evidence = self._run.evidence(trainer.global_step) if self._run is not None else self.evidence
        super()._end(trainer)


class Root(nn.Module):
    def forward(self, x):
        return x.sqrt()


class Broken(TinyNet):
    """The square root of what becomes negative in the eighth batch."""

    def __init__(self):
        super().__init__()
        self.head, self.root = nn.Identity(), Root()  # defined in another order than they run
        self.batches = 0

    def forward(self, x):
        x = self.root(x.abs()) if self.batches < 8 else self.root(x - 9)
        return self.head(super().forward(x))

    def training_step(self, batch, batch_idx):
        self.batches += 1
        return super().training_step(batch, batch_idx)
