"""Samples that are read from a dataset: those at chosen places, and test data."""

import random

import numpy as np
import pytest
import torch
from helpers.numbered import (
    SKEWED,
    Labelled,
    Model,
    Stream,
    counts,
    fit,
    labels_of,
    load,
    numbers,
    random_states,
    tensors,
)
from pytorch_lightning import Callback, LightningDataModule
from torch.utils.data import ConcatDataset, Subset, SubsetRandomSampler, random_split

from lightning_cnnviz.data import probe as probe_module
from lightning_cnnviz.data.probe import Probe
from lightning_cnnviz.data.reading import read_samples
from lightning_cnnviz.errors import ConfigurationError

TRAIN = load(tensors(labels_of(10, 10)))


class WithTests(LightningDataModule):
    def __init__(self, *test, **options):
        super().__init__()
        self.test, self.options = test, options

    def train_dataloader(self):
        return TRAIN

    def val_dataloader(self):
        return load(tensors(labels_of(10, 10), offset=100))

    def test_dataloader(self):
        return load(self.test[0], **self.options)


def show_tests(probe, dataset, **options):
    return fit(probe, None, datamodule=WithTests(dataset, **options))


# ---- chosen places


@pytest.mark.parametrize(("split", "offset"), [("train", 0), ("val", 100), ("test", 200)])
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_chosen_samples_are_shown_in_their_order(split, offset, batch_size):
    probe = Probe(split=split, indices=[12, 3, 19])
    sets = [load(tensors(labels_of(10, 10), offset=start), batch_size) for start in (0, 100)]
    if split == "test":
        show_tests(probe, tensors(labels_of(10, 10), offset=200), batch_size=batch_size)
    else:
        fit(probe, *sets)
    assert numbers(probe.samples) == [offset + 12, offset + 3, offset + 19]
    assert probe.samples.targets.tolist() == [1, 0, 1]
    assert probe.origin == split
    assert (probe.version, probe.places) == (0, [])


def test_without_validation_chosen_samples_are_those_of_the_training():
    probe = Probe(indices=[4, 2])
    collect = fit(probe, TRAIN)
    assert numbers(probe.samples) == [4, 2]
    assert probe.origin == "train"
    assert collect.offered == []  # the run's own batches are not needed


def test_nothing_but_the_chosen_samples_is_loaded():
    dataset = Labelled(SKEWED)
    show_tests(Probe(split="test", indices=[7, 150, 7]), dataset)
    assert dataset.loaded == [7, 150, 7]


def test_a_place_beyond_the_data_is_refused():
    with pytest.raises(ConfigurationError, match="expected indices below the dataset's size of 20, got 20"):
        fit(Probe(indices=[20]), TRAIN)


def test_a_stream_has_no_places():
    with pytest.raises(ConfigurationError, match="need a map-style dataset"):
        fit(Probe(indices=[0], split="train"), load(Stream(labels_of(8))))


def test_a_loader_that_makes_no_batches_has_no_places():
    with pytest.raises(ConfigurationError, match="need a map-style dataset"):
        fit(Probe(indices=[0], split="train"), load([next(iter(TRAIN))], batch_size=None))


# ---- test data


@pytest.mark.parametrize(
    "dataset",
    [
        Labelled(SKEWED, targets=SKEWED),
        Labelled(SKEWED, targets=SKEWED.tolist()),
        Labelled(SKEWED, labels=SKEWED.numpy()),
        random_split(tensors(SKEWED), [200, 0], generator=torch.Generator().manual_seed(0))[0],
        ConcatDataset(
            [
                Subset(Labelled(SKEWED, targets=SKEWED), range(190)),
                Subset(Labelled(SKEWED, labels=SKEWED), range(190, 200)),
            ]
        ),
    ],
)
def test_test_data_are_balanced_as_the_others(dataset):
    probe = Probe(15, split="test")
    show_tests(probe, dataset)
    assert probe.origin == "test"
    assert counts(probe.samples.targets) == {0: 5, 1: 5, 2: 5}
    assert probe.samples.targets[:3].tolist() == [0, 1, 2]
    assert len(set(numbers(probe.samples))) == 15
    assert probe.samples.targets.tolist() == SKEWED[numbers(probe.samples)].tolist()


def test_only_the_samples_that_are_shown_are_loaded_where_classes_are_known():
    dataset = Labelled(SKEWED, targets=SKEWED)
    show_tests(Probe(9, split="test"), dataset)
    assert len(dataset.loaded) == 9


@pytest.mark.parametrize(("wanted", "read"), [(20, 64), (40, 80)])
def test_without_known_classes_the_set_is_balanced_as_far_as_what_was_read_allows(wanted, read):
    dataset, probe = Labelled(labels_of(500, 500)), Probe(wanted, split="test")
    show_tests(probe, dataset)
    assert counts(probe.samples.targets) == {0: wanted // 2, 1: wanted // 2}
    assert len(dataset.loaded) == read


def test_ragged_labels_of_a_dataset_are_no_classes():
    probe = Probe(5, split="test")
    show_tests(probe, Labelled(SKEWED, labels=[[0], [0, 1]] * (len(SKEWED) // 2)))
    assert len(probe.samples.inputs) == 5


def test_another_seed_gives_other_test_data():
    probes = [Probe(12, split="test", seed=seed) for seed in (0, 0, 1)]
    for probe in probes:
        show_tests(probe, tensors(SKEWED))
    assert numbers(probes[0].samples) == numbers(probes[1].samples) != numbers(probes[2].samples)


@pytest.mark.parametrize("known", [True, False])
def test_what_would_take_too_much_memory_is_not_even_read(monkeypatch, told, known):
    monkeypatch.setattr(probe_module, "MAX_PROBE_BYTES", 9 * 4 * 4)  # nine samples of four float32
    dataset, probe = Labelled(SKEWED, **({"targets": SKEWED} if known else {})), Probe(60, split="test")
    show_tests(probe, dataset, batch_size=4)
    assert len(probe.samples.inputs) == 9
    assert len(dataset.loaded) == 12
    assert "Probe: using 9 samples instead of 60: more would exceed 256" in told()


def test_missing_test_data_are_refused_with_the_cause():
    message = r"found no test data: WithTests\.test_dataloader\(\) raised IndexError: .*; create it in setup"
    with pytest.raises(ConfigurationError, match=message):
        fit(Probe(split="test"), None, datamodule=WithTests())


def test_the_model_may_hold_the_test_data():
    class Owner(Model):
        def test_dataloader(self):
            return [load(tensors(labels_of(4, 4), offset=200)), load(tensors(labels_of(4, 4), offset=300))]

    probe = Probe(8, split="test")
    fit(probe, TRAIN, model=Owner())
    assert sorted(numbers(probe.samples)) == list(range(200, 208))  # of several loaders the first


def test_of_a_dataset_that_samplers_split_only_the_tests_part_is_shown():
    part = list(range(40, 60))
    probe = Probe(30, split="test")
    show_tests(probe, tensors(torch.arange(60) % 3), sampler=SubsetRandomSampler(part))
    assert sorted(numbers(probe.samples)) == part


# ---- batches


def test_a_batch_without_inputs_is_refused():
    def collate(items):
        return [str(number) for _, number in items]

    with pytest.raises(ValueError, match=r"expected a batch with a floating-point or uint8 tensor .* Probe\(inputs="):
        show_tests(Probe(6, split="test"), Labelled(SKEWED), collate_fn=collate)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_transforms_on_the_device_see_the_stage_that_the_samples_belong_to(split):
    class Staged(Model):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            self.stages.append((self.trainer.training, self.trainer.validating, len(batch[0])))
            return batch[0] + (0.5 if self.trainer.training else 0.25), batch[1]

    model, probe = Staged(), Probe(split=split, indices=[5, 3, 1])
    collect = fit(probe, None, model=model, datamodule=WithTests(tensors(SKEWED)), num_sanity_val_steps=0)
    assert model.stages[0] == (split == "train", split != "train", 3)
    assert (probe.samples.inputs[:, 0, 0, 0] % 1 == (0.5 if split == "train" else 0.25)).all()
    assert (collect.training, collect.validating) == (True, False)


# ---- beside the trainer


class Noisy(Labelled):
    def __getitem__(self, index):
        noise = random.random() + np.random.random() + torch.rand(1).item()
        return super().__getitem__(index)[0] + noise * 0.1, int(self.numbers[index])


def test_random_states_are_untouched():
    probes = [Probe(6, split="test"), Probe(split="test", indices=[1, 2])]
    assert show_tests(probes, Noisy(SKEWED)).undisturbed


class Reads(Callback):
    """Reads samples as training starts, from a dataset that fails midway, and notes the state of things."""

    def on_train_start(self, trainer, pl_module):
        class Broken(Noisy):
            def __getitem__(self, index):
                if len(self.loaded) > 4:
                    raise OSError("file is gone")
                return super().__getitem__(index)

        before = random_states()
        with pytest.raises(OSError, match="file is gone"):
            read_samples(trainer, load(Broken(SKEWED)), (None, None), None, 20, 0, True, 2**20)
        self.same = random_states() == before
        self.training, self.validating = trainer.training, trainer.validating


def test_the_trainer_is_training_again_also_when_reading_failed():
    reads = Reads()
    fit([], TRAIN, callbacks=[reads])
    assert (reads.same, reads.training, reads.validating) == (True, True, False)
