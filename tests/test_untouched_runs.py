"""A run with the callbacks is the same to the last bit, whatever the trainer is asked to do and the data are like."""

import os

import numpy as np
import pytest
import pytorch_lightning as pl
from helpers.tiny import TinyData, TinyNet, fit, image_steps, trainer
from helpers.untouched import differing, everything, left_behind
from torch.utils.data import DataLoader, Dataset, random_split


class Own(Dataset):
    """Draws from generators of its own and counts how often it is read."""

    classes = TinyData.classes

    def __init__(self, size=24, seed=0):
        self.data, self.reads, self.rng = TinyData(size, seed=seed), [], np.random.default_rng(seed)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        self.reads.append(index)
        image, target = self.data[index]
        return image + 0.05 * float(self.rng.standard_normal()), target


def of_one_dataset():
    train, val = random_split(Own(48), [24, 24])
    return DataLoader(train, 8, shuffle=True), DataLoader(val, 8)


def one_by_one():
    return DataLoader(Own(), 8, shuffle=True), DataLoader(Own(8, seed=1), 1)


def shuffled():
    return DataLoader(Own(), 8, shuffle=True), DataLoader(Own(seed=1), 8, shuffle=True)


def several():
    return DataLoader(Own(), 8, shuffle=True), [DataLoader(Own(seed=1), 8), DataLoader(Own(16, seed=2), 6)]


def without_validation():
    return DataLoader(Own(), 8, shuffle=True), None


class SeveralLoaders(TinyNet):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        super().validation_step(batch, batch_idx)


class Counting(SeveralLoaders):
    """What it computes depends on the number of its forward passes."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x / (1 + 0.01 * self.calls))


@pytest.mark.filterwarnings("ignore:.*shuffling enabled.*")
@pytest.mark.parametrize(
    "data", [of_one_dataset, one_by_one, shuffled, several, without_validation], ids=lambda data: data.__name__
)
def test_data_are_read_as_often_and_in_the_order_of_a_bare_run(data, tmp_path):
    assert differing(tmp_path, SeveralLoaders, data=data) == []


@pytest.mark.parametrize(
    ("options", "timing"),
    [
        ({"check_val_every_n_epoch": 2}, {"every_n_train_steps": 2}),
        ({"val_check_interval": 1 / 3, "num_sanity_val_steps": 0}, {}),
        ({"num_sanity_val_steps": 0, "max_epochs": 1}, {"every_n_train_steps": 1}),
        ({"num_sanity_val_steps": -1, "accumulate_grad_batches": 2}, {}),
        ({"max_steps": 4, "max_epochs": -1}, {"every_n_train_steps": 3}),
    ],
    ids=str,
)
def test_a_trainer_of_any_settings_runs_as_it_does_alone(options, timing, tmp_path):
    assert differing(tmp_path, Counting, everything(**timing), **options) == []


def test_a_resumed_run_goes_on_as_it_does_alone(tmp_path):
    found = []
    for name, used in (("bare", list), ("with", everything)):
        folder = tmp_path / name
        pl.seed_everything(7)
        first = fit(folder, used(), model=Counting, data=of_one_dataset(), max_steps=4, max_epochs=-1)
        first.save_checkpoint(folder / "mid.ckpt")
        pl.seed_everything(8)
        run = trainer(folder, used(), max_epochs=2)
        run.fit(Counting(), *of_one_dataset(), ckpt_path=folder / "mid.ckpt")
        found.append(left_behind(run, folder))
    assert image_steps(folder)
    bare, ours = found
    assert [name for name in {**bare, **ours} if bare.get(name) != ours.get(name)] == []


class InWorkers(TinyData):
    """Reads through a handle that each worker opens for itself, at its first read or as it starts."""

    handle = None

    def __init__(self, path, lazily, seed=0):
        super().__init__(16, seed=seed)
        self.path, self.lazily = path, lazily

    def open(self):
        self.handle = os.getpid(), self.path.open("rb")

    def __getitem__(self, index):
        if self.lazily and self.handle is None:
            self.open()
        assert self.handle is not None, "read in a process that has not opened the data"
        assert self.handle[0] == os.getpid(), "read through the handle of another process"
        return super().__getitem__(index)


def open_in_worker(_):
    from torch.utils.data import get_worker_info

    data = get_worker_info().dataset
    if not data.lazily:
        data.open()


@pytest.mark.parametrize("lazily", [True, False], ids=["at the first read", "as a worker starts"])
def test_a_handle_that_each_worker_opens_is_opened_nowhere_else(lazily, tmp_path):
    (tmp_path / "data").touch()

    def data():
        options = {"batch_size": 8, "num_workers": 1, "worker_init_fn": open_in_worker, "persistent_workers": True}
        return tuple(DataLoader(InWorkers(tmp_path / "data", lazily, seed), **options) for seed in (0, 1))

    assert differing(tmp_path, TinyNet, data=data) == []  # in which the data of this process have no handle
