"""A run with the callbacks is the same to the last bit, whatever the user's module keeps, draws, logs or refers to."""

import copy
import random
import threading
from collections import deque
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyData, TinyNet
from helpers.untouched import Prepared, differing, everything
from torch import nn
from torch.ao.quantization import get_default_qat_qconfig, prepare_qat
from torch.nn.utils import parametrizations, prune, weight_norm
from torchmetrics import MeanMetric


class Remembering(Prepared):
    def build(self):
        self.seen, self.last, self.sizes = [], {"input": None, "kept": [torch.zeros(2)]}, set()
        self.recent = deque(maxlen=3)
        self.cache = torch.zeros(0, 8)  # grows, as that of keys and values
        self.bank, self.pointer = torch.zeros(50, 8), 0
        self.array = np.zeros(3)
        self.register_buffer("passes", torch.zeros(1), persistent=False)

    def before(self, x):
        self.calls += 1
        self.seen.append(len(x))
        self.recent.append(len(self.seen))
        self.sizes.add(len(x))
        self.last["input"] = x.detach().clone()
        self.last["kept"][0].add_(1)
        self.cache = torch.cat([self.cache, x[:1, 0, 0].detach()])
        self.bank[self.pointer % 50] = x[0, 0, 0].detach()
        self.pointer += 1
        self.array += len(x)
        self.passes += 1
        return x / (1 + 0.01 * self.calls)


class Drawing(Prepared):
    def build(self):
        self.generators = {"numpy": np.random.default_rng(0), "old": np.random.RandomState(0)}
        self.own, self.python = torch.Generator().manual_seed(0), random.Random(0)

    def before(self, x):
        drawn = self.generators["numpy"].random() + self.generators["old"].rand() + self.python.random()
        return x + 0.1 * drawn + 0.1 * torch.rand(1, generator=self.own) + 0.01 * torch.rand(1) * np.random.rand()


class Logging(Prepared):
    def build(self):
        self.metric, self.metrics = MeanMetric(), {"in a dict": MeanMetric()}

    def before(self, x):
        self.log("mean_in_forward", x.mean(), on_step=True, on_epoch=True)
        self.metric.update(x.mean())
        self.metrics["in a dict"].update(x.std())
        self.log_dict({"max": x.max(), "min": x.min()}, on_epoch=True)
        return x

    def on_train_epoch_end(self):
        self.log("metric", self.metric)
        self.log("metric_of_a_dict", self.metrics["in a dict"].compute())
        self.metrics["in a dict"].reset()

    def outcome(self):
        return [metric._update_count for metric in (self.metric, *self.metrics.values())]


class Reparametrized(Prepared):
    def build(self):
        self.conv1 = parametrizations.spectral_norm(self.conv1)
        self.conv2 = torch.nn.utils.spectral_norm(self.conv2)  # in its old form, with hooks
        self.fc1 = weight_norm(self.fc1)
        self.fc2 = prune.random_unstructured(self.fc2, "weight", 0.3)

    def before(self, x):
        self.norm.weight.data.clamp_(-0.1, 0.1)
        self.norm.bias.data = self.norm.bias.data * 0.99
        return x


class Quantised(TinyNet):
    def __init__(self):
        super().__init__()
        self.qconfig = get_default_qat_qconfig("fbgemm")
        prepare_qat(self.train(), inplace=True)


class Referring(Prepared):
    def build(self):
        self.by_lambda = lambda x: self.shift(x)
        self.bound, self.by_partial = self.shift, partial(self.shift)
        self.lock, self.numbers = threading.Lock(), (number for number in range(9))
        self.data, self.module = TinyData(4), pl.LightningDataModule()

    def shift(self, x):
        self.calls += 1
        return x * (1 + 0.001 * self.calls)

    def before(self, x):
        self.mine = self.trainer
        with self.lock:
            return self.by_lambda(self.bound(self.by_partial(x)))


class Recurrent(Prepared):
    """Keeps the hidden state of an LSTM from step to step, and the potentials of spiking neurons within one."""

    def build(self):
        self.lstm, self.hidden, self.spikes = nn.LSTM(8, 8, batch_first=True), None, []
        self.potential = None

    def before(self, x):
        out, state = self.lstm(x[:, 0], self.hidden)
        self.hidden = tuple(part.detach() for part in state)
        self.potential = x if self.potential is None else 0.5 * self.potential + x
        self.spikes.append(float((self.potential > 1).float().mean()))
        return x + 0.1 * out[:, None] * (self.potential > 1)

    def on_train_batch_start(self, *_):
        self.potential = None

    on_validation_batch_start = on_train_batch_start


class WithOthers(Prepared):
    """Has an average of itself that is no submodule, a frozen teacher and batch norm, and stochastic depth."""

    def build(self):
        self.average = [copy.deepcopy(self.conv1), nn.BatchNorm2d(1)]
        self.teacher = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).requires_grad_(False)
        self.extra = nn.Conv2d(1, 1, 3, padding=1)
        self.uncertain = nn.Dropout(0.5)

    def before(self, x):
        x = x + 0.01 * self.teacher(x) + 0.01 * self.average[1](self.average[0](x)[:, :1]).detach()
        x = self.uncertain(x)
        return x + self.extra(x) if self.training and torch.rand(1) < 0.5 else x

    def on_train_batch_start(self, *_):
        self.norm.eval()
        self.norm.requires_grad_(False)

    def on_validation_batch_start(self, *_):
        self.uncertain.train()

    def on_train_batch_end(self, *_):
        self.average[0].weight.data.lerp_(self.conv1.weight.data, 0.1)


@pytest.mark.filterwarnings("ignore:.*deprecated.*", "ignore:.*weight_norm.*")
@pytest.mark.parametrize(
    "kind",
    [Remembering, Drawing, Logging, Reparametrized, Referring, WithOthers],
    ids=lambda kind: kind.__name__,
)
def test_nothing_of_a_module_is_touched_whatever_it_keeps(kind, tmp_path):
    assert differing(tmp_path, kind) == []


@pytest.mark.filterwarnings("ignore:.*deprecated.*")
@pytest.mark.parametrize("kind", [Recurrent, Quantised], ids=lambda kind: kind.__name__)
def test_nothing_is_touched_of_a_module_on_which_some_picture_fails(kind, tmp_path):
    assert differing(tmp_path, kind, everything(on_error="warn")) == []


class Hooked(TinyNet):
    """Has hooks of every kind, which count, and one that changes what a layer returns."""

    def __init__(self):
        super().__init__()
        self.heard = {"forward": [], "before": 0, "backward": 0, "gradient": 0, "step": 0}
        self.conv1.register_forward_hook(lambda _, args, result: self.heard["forward"].append(float(args[0].sum())))
        self.conv1.register_forward_hook(lambda _, __, result: 0.5 * result)
        self.conv2.register_forward_pre_hook(lambda *_: self.count("before"))
        self.conv2.register_full_backward_hook(lambda *_: self.count("backward"))
        self.fc1.weight.register_hook(lambda *_: self.count("gradient"))
        self.register_forward_hook(lambda *_: self.count("forward of all"))

    def count(self, name):
        self.heard[name] = self.heard.get(name, 0) + 1


@pytest.mark.parametrize("options", [{}, {"every_n_train_steps": 1}], ids=["epochs", "steps"])
def test_hooks_of_the_user_hear_what_they_hear_in_a_bare_run(options, tmp_path):
    assert differing(tmp_path, Hooked, everything(**options)) == []
