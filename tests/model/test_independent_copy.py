"""An independent copy computes what the model computes, and leaves no trace in it."""

import threading
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from helpers.internals import broken_by
from helpers.tiny import TinyNet
from pytorch_lightning import LightningModule, Trainer
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import TensorDataset
from torchmetrics import MeanMetric

from lightning_cnnviz.errors import NotRunAgainError
from lightning_cnnviz.model import independent_copy as room
from lightning_cnnviz.model.evaluation import evaluating
from lightning_cnnviz.model.independent_copy import independent_copy

X = torch.rand(3, 4)


class Stateful(nn.Module):
    """Changes, in each forward pass, everything that a module can hold."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.register_buffer("seen", torch.zeros(1))
        self.calls, self.history, self.cache = 0, [], {"last": None, "kept": [torch.zeros(2)]}
        self.state = torch.zeros(4)
        self.metric, self.metrics = MeanMetric(), {"in a dict": MeanMetric()}
        self.own, self.torch_own = np.random.default_rng(0), torch.Generator().manual_seed(0)
        self.double = lambda x: self.fc(x) * 2
        self.bound, self.part = self.triple, partial(self.triple)
        self.lock = threading.Lock()

    def triple(self, x):
        self.calls += 1
        return 3 * x

    def forward(self, x):
        self.fc.weight.data.mul_(1.5)
        self.fc.bias.data = self.fc.bias.data + 1
        self.seen += 1
        self.history.append(len(x))
        self.cache["last"] = x
        self.cache["kept"][0].add_(1)
        self.state = self.state + x.sum(0)
        self.metric.update(x.mean())
        self.metrics["in a dict"].update(x.mean())
        noise = self.own.standard_normal() + torch.rand(1, generator=self.torch_own)
        with self.lock:
            return self.double(self.part(self.bound(x))) + noise + self.state


def everything(net):
    return {
        "weights": [p.detach().clone().tolist() for p in net.parameters()],
        "buffers": [b.clone().tolist() for b in net.buffers()],
        "calls": net.calls,
        "history": list(net.history),
        "cache": str(net.cache),
        "state": net.state.tolist(),
        "metrics": [net.metric.update_count, net.metrics["in a dict"].update_count, float(net.metric.mean_value)],
        "generators": [str(net.own.bit_generator.state), net.torch_own.get_state().tolist()],
        "training": [part.training for part in net.modules()],
    }


def test_a_pass_of_the_copy_leaves_everything_in_the_model_as_it_was():
    net, twin = Stateful(), Stateful()
    twin.load_state_dict(net.state_dict())
    before = everything(net)
    copied = independent_copy(net)
    result = copied(X)
    after = everything(net)
    assert after == before
    assert torch.equal(result, twin(X)), "the copy computes what the model would"


@pytest.mark.parametrize("most", [0, 10, 40])
def test_a_pass_that_would_write_into_what_is_shared_ends_before(monkeypatch, most):
    monkeypatch.setattr(room, "MAX_BYTES", most)
    net = Stateful()
    before = everything(net)
    with pytest.raises(NotRunAgainError, match="writes into a tensor"), evaluating(net) as copied:
        copied(X)
    assert everything(net) == before


def test_small_tensors_are_copied_before_large_ones(monkeypatch):
    net = nn.Linear(4, 4)
    net.kept, net.large = [torch.zeros(3), torch.zeros(40)], np.zeros(2)
    monkeypatch.setattr(room, "MAX_BYTES", 12 + 16 + 16 + 64)
    copied = independent_copy(net)
    assert copied.weight.data_ptr() != net.weight.data_ptr()
    assert copied.kept[1].data_ptr() == net.kept[1].data_ptr()
    assert copied.large.flags.writeable


def test_shared_weights_are_the_same_memory_and_copied_ones_are_not(monkeypatch):
    net = nn.Linear(4, 4)
    assert independent_copy(net).weight.data_ptr() != net.weight.data_ptr()
    monkeypatch.setattr(room, "MAX_BYTES", 0)
    shared = independent_copy(net)
    assert shared.weight.data_ptr() == net.weight.data_ptr()
    assert shared.weight is not net.weight


def test_weights_that_are_tied_stay_tied():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    copied = independent_copy(net)
    assert copied[1].weight is copied[0].weight


def test_gradients_are_not_copied():
    net = nn.Linear(4, 4)
    net(X).sum().backward()
    assert independent_copy(net).weight.grad is None
    assert net.weight.grad is not None


def test_a_dataset_is_not_copied():
    net = nn.Linear(4, 4)
    net.data = {"train": TensorDataset(X)}
    assert independent_copy(net).data["train"] is net.data["train"]


def test_the_copy_of_a_lightning_module_has_its_trainer_and_logs_nothing():
    class Logging(LightningModule):
        def __init__(self):
            super().__init__()
            self.part = TinyNet()

        def forward(self, x):
            self.log("mean", x.mean())
            self.part.log_dict({"more": x.max()})
            return x * self.trainer.max_epochs

    net = Logging()
    net.trainer = Trainer(max_epochs=7, accelerator="cpu", logger=False, barebones=True)
    copied = independent_copy(net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(copied(X), 7 * X), broken_by("lightning", "LightningModule._trainer")
    assert copied.trainer is not net.trainer
    assert copied.part.trainer is copied.trainer


def test_hooks_of_others_are_left_out_and_those_that_compute_weights_are_kept():
    net = nn.Sequential(prune.random_unstructured(nn.Linear(4, 4), "weight", 0.5), nn.Linear(4, 4))
    heard = []
    net[1].register_forward_hook(lambda *_: heard.append(True))
    net[1].register_forward_pre_hook(lambda *_: heard.append(True))
    net[0].weight_orig.data.add_(1)
    copied = independent_copy(net)
    result = copied(X)
    assert heard == []
    assert torch.equal(result, net(X))
    assert heard == [True, True]


def test_a_stored_result_of_a_pass_keeps_nothing_from_being_copied():
    net = nn.Linear(4, 4)
    net.last = [net(X)]  # with its graph, which deepcopy refuses
    copied = independent_copy(net)
    assert torch.equal(copied.last[0], net.last[0])
    assert copied.last[0] is not net.last[0]


def test_what_a_module_computes_for_evaluation_is_computed_in_the_copy():
    class Prepared(nn.Linear):
        ready = None

        def train(self, mode=True):
            if not mode:
                self.ready = 2 * self.weight
            return super().train(mode)

    net = Prepared(4, 4)
    assert torch.equal(independent_copy(net).eval().ready, 2 * net.weight)
    assert net.ready is None


def test_functions_that_refer_to_what_cannot_be_copied_are_called_as_they_are():
    class Locked(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, lock, library, seen = nn.Parameter(torch.ones(3)), threading.RLock(), np, []
            self.acquire, self.release = lock.acquire, lock.release

            def counted(x):
                seen.append(library.asarray(len(x)))
                return x * self.weight

            self.seen, self.counted = seen, counted

        def forward(self, x):
            self.acquire()
            try:
                return self.counted(x)
            finally:
                self.release()

    net = Locked()
    assert torch.equal(independent_copy(net)(torch.ones(2, 3)), torch.ones(2, 3))
    assert net.seen == []
