"""A run on several processes, to be started as a script. Arguments: a folder, and the names of cases, run in turn."""

import os
import sys
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from helpers.tiny import TinyData, fit
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset

from lightning_cnnviz import ActivationMaximization, ClassReport, GradientFlow, KernelGrid, cnnviz_callbacks


class Still(pl.LightningModule):
    """Does not learn (its rate is 0), so that all that is measured can be computed again from its first weights."""

    def __init__(self, rate=0.0):
        super().__init__()
        self.rate = rate
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(144, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(torch.tanh(self.fc(torch.tanh(self.conv(x)).flatten(1))))

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(batch[0]), batch[1])

    validation_step = training_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.rate)


class Forgetful(Still):
    """One of its layers is not used."""

    def __init__(self):
        super().__init__()
        self.idle = nn.Linear(3, 3)


class Sharded(Still):
    def configure_model(self):
        if self.device_mesh is not None:
            for layer in (self.conv, self.fc, self.head):
                fully_shard(layer, mesh=self.device_mesh["data_parallel"])
            fully_shard(self, mesh=self.device_mesh["data_parallel"])


class Normed(Sharded):
    """With a layer of several input channels, and one that normalises."""

    def __init__(self):
        super().__init__()
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.GroupNorm(2, 4)

    def forward(self, x):
        return self.head(torch.tanh(self.fc(self.norm(self.second(self.conv(x))).flatten(1))))


class Uneven(pl.LightningDataModule):
    """Rank zero has batches of 8 and 5 batches to validate, the others batches of 4 and 2."""

    def train_dataloader(self):
        rank = self.trainer.global_rank
        return DataLoader(TinyData(32, seed=rank), 4 if rank else 8)

    def val_dataloader(self):
        rank = self.trainer.global_rank
        return DataLoader(Subset(TinyData(40, seed=1), range(32, 40) if rank else range(32)), 4 if rank else 8)


class Raise(pl.Callback):
    """Ends one rank in mid-epoch."""

    def __init__(self, rank):
        self.rank = rank

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_rank == self.rank and trainer.global_step == 4:
            raise RuntimeError("one rank is enough")


def fails(*_, **__):
    raise RuntimeError("no picture today")


class FailOnRankZero(pl.Callback):
    """Has a function of ours fail, on rank zero only."""

    def __init__(self, path):
        self.path = path

    def setup(self, trainer, pl_module, stage):
        module, _, name = self.path.rpartition(".")
        self.module = sys.modules[f"lightning_cnnviz.{module}"]
        self.name, self.sound = name, getattr(self.module, name)
        if trainer.is_global_zero:
            setattr(self.module, name, fails)

    def teardown(self, trainer, pl_module, stage):
        setattr(self.module, self.name, self.sound)


FAULTS = (
    "model.score_listener.split_batch",
    "statistics.epoch_means.predicted_classes",
    "statistics.class_tally.confidences",
    "statistics.class_tally.predicted_classes",
    "model.own_pass.record",
    "model.layers.evaluating",
    "callbacks.probing.split_batch",
    "callbacks.kernel_grid.conv_weight",
    "callbacks.gradient_flow.gradient_bars",
    "callbacks.gradient_flow.diagnose",
    "callbacks.class_report.class_accuracies",
    "callbacks.loss_accuracy.step_only_metrics",
)


def callbacks(on_error="raise"):
    options = {"num_samples": 12, "history": 0, "method": "pca", "on_error": on_error}
    return [*cnnviz_callbacks("full", **options), ActivationMaximization(steps=3, on_error=on_error)]


def numbers():
    return [*cnnviz_callbacks("minimal", on_error="raise"), ClassReport(on_error="raise")]


def gradients():
    return [GradientFlow(on_error="raise")]


def kernels():
    return [KernelGrid(on_error="raise")]


two = partial(dict, strategy="ddp", devices=2)
CASES = {
    "ddp3": {"strategy": "ddp", "devices": 3, "ours": callbacks},
    "ddp_spawn": {"strategy": "ddp_spawn", "devices": 2, "ours": callbacks},
    "ddp_fork": {"strategy": "ddp_fork", "devices": 2},
    "fsdp2": {
        "strategy": ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1),
        "devices": 2,
        "model": Sharded,
        "ours": callbacks,
    },
    "whole": {"strategy": "ddp", "devices": 3, "model": partial(Still, 0.1), "ours": gradients},
    "shards": {
        "strategy": ModelParallelStrategy(data_parallel_size=3, tensor_parallel_size=1),
        "devices": 3,
        "model": partial(Sharded, 0.1),
        "ours": gradients,
    },
    "weights": {
        "strategy": ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1),
        "devices": 2,
        "model": Normed,
        "ours": kernels,
    },
    "unused": two(strategy="ddp_find_unused_parameters_true", model=Forgetful),
    "static": two(strategy=DDPStrategy(static_graph=True, gradient_as_bucket_view=True)),
    "accumulating": two(accumulate_grad_batches=3),
    "uneven": two(use_distributed_sampler=False, limit_train_batches=4, data=Uneven),
    "raise0": two(more=[Raise(0)]),
    "raise1": two(more=[Raise(1)]),
    **{
        path: two(ours=partial(callbacks, "warn"), more=[FailOnRankZero(path)], max_epochs=1, limit_train_batches=2)
        for path in FAULTS
    },
}


def train(folder, ours=numbers, more=(), model=Still, data=None, **options):
    folder.mkdir(parents=True, exist_ok=True)
    loaders = (data(), None) if data else (DataLoader(TinyData(48), 8), DataLoader(TinyData(40, seed=1), 8))
    pl.seed_everything(7)
    net = model()
    torch.save(net.state_dict(), folder / f"weights{os.getpid()}.pt")
    run = fit(folder, [*ours(), *more], model=net, data=loaders, **options)
    (folder / f"finished{run.global_rank}").write_text(str(run.global_step))


if __name__ == "__main__":
    for case in sys.argv[2:]:
        train(Path(sys.argv[1]) / case, **CASES[case])
