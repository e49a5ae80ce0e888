"""Which samples a probe takes from the validation that goes by."""

from dataclasses import dataclass

import pytest
import torch
from helpers.numbered import (
    SKEWED,
    Labelled,
    Stream,
    counts,
    fit,
    labels_of,
    load,
    numbered,
    numbers,
    tensors,
)
from torch.utils.data import ConcatDataset, Subset, SubsetRandomSampler, TensorDataset

from lightning_cnnviz.data import probe as probe_module
from lightning_cnnviz.data.probe import Probe

TRAIN = load(tensors(labels_of(8), offset=1000))

# ---- which samples


@pytest.mark.parametrize(
    "dataset",
    [
        tensors(SKEWED),
        Labelled(SKEWED),
        Subset(Subset(tensors(SKEWED), list(range(200))), torch.arange(200).tolist()),
        ConcatDataset([tensors(SKEWED[:100]), tensors(SKEWED[100:], offset=100)]),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 8, 200])
def test_every_beginning_of_the_set_is_balanced(dataset, batch_size):
    probe = Probe(15)
    fit(probe, TRAIN, load(dataset, batch_size))
    samples = probe.samples
    assert probe.origin == "val"
    assert counts(samples.targets) == {0: 5, 1: 5, 2: 5}
    for end in range(1, 16):
        seen = counts(samples.targets[:end])
        assert max(seen.values()) - min(seen[label] for label in range(3)) <= 1
    assert len(set(numbers(samples))) == 15
    assert samples.targets.tolist() == SKEWED[numbers(samples)].tolist()  # each input with its own class


def test_rare_classes_give_all_they_have():
    probe = Probe(50)
    fit(probe, TRAIN, load(tensors(SKEWED)))
    assert counts(probe.samples.targets) == {0: 30, 1: 15, 2: 5}


def test_the_places_of_the_samples_are_their_batches_and_rows():
    probe = Probe(20)
    fit(probe, TRAIN, load(tensors(SKEWED)))
    assert [batch * 8 + row for batch, row in probe.places] == numbers(probe.samples)
    assert all(row < 8 for _, row in probe.places)


def test_samples_come_from_all_over_the_validation():
    probe = Probe(20)
    fit(probe, TRAIN, load(tensors(torch.zeros(200, dtype=torch.long))))
    parts = [number // 50 for number in numbers(probe.samples)]
    assert set(parts) == {0, 1, 2, 3}
    assert numbers(probe.samples) != sorted(numbers(probe.samples))


def test_a_tensor_behind_the_classes_is_not_taken_for_them():
    probe = Probe(9)
    fit(probe, TRAIN, load(TensorDataset(numbered(200), labels_of(190, 5, 5), torch.arange(200))))
    assert counts(probe.samples.targets) == {0: 3, 1: 3, 2: 3}


def test_samples_without_class_numbers_have_none():
    probe = Probe(6)
    fit(probe, TRAIN, load(TensorDataset(numbered(30))))
    assert probe.samples.targets.tolist() == [-1] * 6
    assert probe.samples.class_names == []
    assert probe.samples.class_name(-1) == "-1"


def test_numbers_that_are_no_classes_but_names_of_samples_are_not_shown():
    probe = Probe(6)
    fit(probe, TRAIN, load(tensors(torch.arange(30) + 100_000)))
    assert probe.samples.targets.tolist() == [-1] * 6


def test_the_set_is_the_same_in_every_run_and_another_with_another_seed():
    probes = [Probe(12), Probe(12), Probe(12, seed=1)]
    for number, probe in enumerate(probes):
        torch.manual_seed(number)
        fit(probe, load(tensors(labels_of(8)), shuffle=True), load(tensors(SKEWED)))
    assert numbers(probes[0].samples) == numbers(probes[1].samples)
    assert numbers(probes[0].samples) != numbers(probes[2].samples)


def test_of_a_shuffled_validation_the_set_is_as_balanced():
    probe = Probe(50)
    fit(probe, TRAIN, load(tensors(SKEWED), shuffle=True))
    assert counts(probe.samples.targets) == {0: 30, 1: 15, 2: 5}
    assert probe.samples.targets.tolist() == SKEWED[numbers(probe.samples)].tolist()
    assert [batch * 8 + row for batch, row in probe.places] != numbers(probe.samples)


def test_once_chosen_the_set_stays():
    probe = Probe(6)
    fit(probe, TRAIN, load(tensors(SKEWED)), max_epochs=2)
    first, places = probe.samples, probe.places
    again = fit(probe, TRAIN, load(tensors(SKEWED, offset=1000)))
    assert probe.samples is first
    assert probe.places is places
    assert again.offered == []
    assert probe.version == 0  # nobody has seen another set before


def test_of_several_validations_in_an_epoch_the_first_counts():
    probes = [Probe(20), Probe(20)]
    fit(probes[0], TRAIN, load(tensors(SKEWED)), limit_train_batches=1)
    collect = fit(probes[1], load(tensors(labels_of(32))), load(tensors(SKEWED)), val_check_interval=1)
    assert numbers(probes[0].samples) == numbers(probes[1].samples)
    assert sum(kind == "val" for kind, _ in collect.offered) == 25


# ---- what of a batch


def test_batches_are_taken_apart_as_the_loader_makes_them():
    def collate(items):
        return {"label": torch.tensor([label for _, label in items]), "pixels": torch.stack([x for x, _ in items]) * 2}

    probe = Probe(6)
    fit(probe, TRAIN, load(tensors(SKEWED), collate_fn=collate))
    assert all(number % 2 == 0 for number in numbers(probe.samples))
    assert counts(probe.samples.targets) == {0: 2, 1: 2, 2: 2}
    assert probe.samples.targets.tolist() == SKEWED[torch.tensor(numbers(probe.samples)) // 2].tolist()


@dataclass
class Pair:
    left: torch.Tensor
    right: torch.Tensor
    sort: torch.Tensor


def test_keys_say_what_in_a_batch_is_what():
    def collate(items):
        x, y = torch.stack([x for x, _ in items]), torch.stack([y for _, y in items])
        return Pair(x, -x, y)

    probe = Probe(6, inputs="right", targets="sort")
    fit(probe, *(load(tensors(labels), collate_fn=collate) for labels in (labels_of(8), SKEWED)))
    assert max(numbers(probe.samples)) <= 0
    assert counts(probe.samples.targets) == {0: 2, 1: 2, 2: 2}


# ---- how many


def test_with_less_data_all_of_it_is_taken_and_said(told):
    probe = Probe(1000)
    fit(probe, TRAIN, load(tensors(SKEWED)))
    assert sorted(numbers(probe.samples)) == list(range(200))
    assert "Probe: using 200 samples instead of 1000: there are no more" in told()


def test_enough_data_are_nothing_to_tell(told):
    fit(Probe(200), TRAIN, load(tensors(SKEWED)))
    assert "Probe:" not in told()


@pytest.mark.parametrize("batch_size", [4, 200])
def test_a_set_that_takes_too_much_memory_is_cut_and_said(monkeypatch, told, batch_size):
    monkeypatch.setattr(probe_module, "MAX_PROBE_BYTES", 9 * 4 * 4)  # nine samples of four float32
    probe = Probe(60)
    fit(probe, TRAIN, load(tensors(SKEWED), batch_size))
    assert counts(probe.samples.targets) == {0: 3, 1: 3, 2: 3}
    assert len(probe.places) == 9
    assert "Probe: using 9 samples instead of 60: more would exceed 256" in told()


def test_one_sample_is_shown_however_large_it_is(monkeypatch):
    monkeypatch.setattr(probe_module, "MAX_PROBE_BYTES", 1)
    probe = Probe(10)
    fit(probe, TRAIN, load(tensors(SKEWED)))
    assert len(probe.samples.inputs) == 1


# ---- other data


def test_a_stream_is_taken_as_it_goes_by():
    probe, labels = Probe(12), torch.arange(64) % 3
    collect = fit(probe, load(Stream(labels)), load(Stream(labels)))
    assert collect.undisturbed
    assert counts(probe.samples.targets) == {0: 4, 1: 4, 2: 4}
    assert probe.samples.targets.tolist() == labels[numbers(probe.samples)].tolist()


def test_of_samples_of_several_sizes_those_of_the_most_frequent_are_used(told):
    probe = Probe(10)
    for batch, (count, size) in enumerate(((2, 4), (5, 6), (3, 8))):
        assert not probe.is_complete
        assert probe.awaits("val", 0, batch)
        probe.offer(torch.rand(count, 1, size, size), torch.zeros(count, dtype=torch.long), "val", batch)
    probe.end_validation()
    assert probe.is_complete
    assert not probe.awaits("val", 9, 0)
    assert probe.samples.inputs.shape == (5, 1, 6, 6)
    assert {batch for batch, _ in probe.places} == {1}
    assert "differ in size; 5 of 10, of size 1×6×6, are used" in told()


def test_of_a_dataset_that_samplers_split_only_the_validations_part_is_shown():
    order = torch.randperm(60, generator=torch.Generator().manual_seed(7)).tolist()
    parts = [SubsetRandomSampler(part) for part in (order[:40], order[40:])]
    probe = Probe(30)
    fit(probe, *(load(tensors(torch.arange(60) % 3), sampler=part) for part in parts))
    assert sorted(numbers(probe.samples)) == sorted(order[40:])
