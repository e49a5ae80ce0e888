"""Samples that carry their own number, and a training run in which a `Probe` collects them."""

import random
from collections import Counter

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from lightning_cnnviz.data.batch import split_batch


def labels_of(*counts):
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def numbered(count):
    """Inputs of shape (count, 1, 2, 2) that are filled with their number."""
    return torch.arange(count, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()


def numbers(samples):
    return samples.inputs[:, 0, 0, 0].long().tolist()


def tensors(labels, offset=0):
    return TensorDataset(numbered(len(labels)) + offset, labels)


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)
        self.stages = []

    def training_step(self, batch, batch_idx):
        return next(self.parameters()).sum() * 0

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Collect(Callback):
    """Drives probes as `ProbingCallback` does, but takes the inputs from the batch itself.

    `pictures` has the samples that were seen after each of the training batches numbered in `picture_at`.
    """

    def __init__(self, *probes, early=True, picture_at=()):
        self.probes, self.early, self.picture_at = probes, early, picture_at
        self.pictures, self.offered, self.undisturbed = [], [], True

    def on_train_start(self, trainer, pl_module):
        before = random_states()
        for probe in self.probes:
            probe.collect(trainer, pl_module)
        self.undisturbed &= random_states() == before
        self.training, self.validating = trainer.training, trainer.validating

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.ask(trainer, batch_idx, "train")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.offer(batch, batch_idx, "train")
        if batch_idx in self.picture_at:
            self.pictures.append(self.probes[0].samples)

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self.ask(trainer, batch_idx, "sanity" if trainer.sanity_checking else "val")

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        self.offer(batch, batch_idx, "sanity" if trainer.sanity_checking else "val")

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            for probe in self.probes:
                probe.end_validation()

    def ask(self, trainer, batch_idx, kind):
        step = trainer.global_step
        self.asking = [probe for probe in self.probes if probe.awaits(kind, step, batch_idx, early=self.early)]

    def offer(self, batch, batch_idx, kind):
        before = random_states()
        for probe in self.asking:
            self.offered.append((kind, batch_idx))
            probe.offer(*split_batch(batch, probe.inputs, probe.targets), kind, batch_idx)
        self.undisturbed &= random_states() == before


def random_states():
    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()


def fit(probe, train, val=None, model=None, datamodule=None, early=True, picture_at=(), callbacks=(), **options):
    """Trains for a few batches; returns what the callback saw."""
    probes = probe if isinstance(probe, list) else [probe]
    collect = Collect(*probes, early=early, picture_at=picture_at)
    settings = {"max_epochs": 1, "limit_train_batches": 3, **options}
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*callbacks, collect],
        **settings,
    )
    trainer.fit(model or Model(), *([] if datamodule else [train, val]), datamodule=datamodule)
    return collect


def load(dataset, batch_size=8, **options):
    return DataLoader(dataset, batch_size=batch_size, **options)


SKEWED = labels_of(180, 15, 5)


def counts(targets):
    return Counter(targets.tolist())


class Labelled(Dataset):
    """A dataset that tells its class numbers without loading samples."""

    def __init__(self, numbers, **attributes):
        self.numbers, self.loaded = numbers, []
        vars(self).update(attributes)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        assert isinstance(index, int)
        self.loaded.append(index)
        return torch.full((1, 2, 2), float(index)), int(self.numbers[index])


class Stream(IterableDataset):
    def __init__(self, labels):
        self.numbers = labels

    def __iter__(self):
        yield from zip(numbered(len(self.numbers)), self.numbers, strict=True)
