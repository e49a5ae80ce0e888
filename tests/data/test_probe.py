import random
from dataclasses import dataclass

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
    numbered,
    numbers,
    random_states,
    tensors,
)
from pytorch_lightning import Callback, Trainer
from torch.utils.data import ConcatDataset, Subset, SubsetRandomSampler, TensorDataset, random_split

from lightning_cnnviz.data import probe as probe_module
from lightning_cnnviz.data.probe import Probe, balanced_order

# ---- which samples


@pytest.mark.parametrize(
    "dataset",
    [
        tensors(SKEWED),
        Labelled(SKEWED, targets=SKEWED),
        Labelled(SKEWED, targets=SKEWED.tolist()),
        Labelled(SKEWED, labels=SKEWED.numpy()),
        Subset(tensors(SKEWED), range(200)),
        random_split(tensors(SKEWED), [200, 0], generator=torch.Generator().manual_seed(0))[0],
        Subset(Subset(tensors(SKEWED), list(range(200))), torch.arange(200).tolist()),
        ConcatDataset([tensors(SKEWED[:100]), tensors(SKEWED[100:], offset=100)]),
        ConcatDataset(
            [
                Subset(Labelled(SKEWED, targets=SKEWED), range(190)),
                Subset(Labelled(SKEWED, labels=SKEWED), range(190, 200)),
            ]
        ),
    ],
)
def test_every_beginning_of_the_set_is_balanced(dataset):
    probe = Probe(15)
    fit(probe, load(tensors(labels_of(8))), load(dataset))
    samples = probe.samples
    assert counts(samples.targets) == {0: 5, 1: 5, 2: 5}
    for end in range(1, 16):
        seen = counts(samples.targets[:end])
        assert max(seen.values()) - min(seen[label] for label in range(3)) <= 1
    assert len(set(numbers(samples))) == 15
    assert samples.targets.tolist() == SKEWED[numbers(samples)].tolist()  # each input with its own class


def test_only_the_samples_that_are_shown_are_loaded_where_classes_are_known():
    dataset = Labelled(SKEWED, targets=SKEWED)
    fit(Probe(9), load(tensors(labels_of(8))), load(dataset), limit_val_batches=1, num_sanity_val_steps=0)
    assert len(dataset.loaded) == 9 + 8  # and one batch of validation


def test_rare_classes_give_all_they_have():
    probe = Probe(50)
    fit(probe, load(tensors(labels_of(8))), load(tensors(SKEWED)))
    assert counts(probe.samples.targets) == {0: 30, 1: 15, 2: 5}


def test_a_tensor_behind_the_classes_is_not_taken_for_them():
    labels = labels_of(190, 5, 5)
    dataset = TensorDataset(numbered(200), labels, torch.arange(200))
    probe = Probe(9)
    fit(probe, load(tensors(labels_of(8))), load(dataset))
    assert counts(probe.samples.targets) == {0: 3, 1: 3, 2: 3}


def test_without_known_classes_the_set_is_balanced_as_far_as_what_was_read_allows():
    labels = labels_of(500, 500)
    probe = Probe(20)
    fit(probe, load(tensors(labels_of(8))), load(Labelled(labels)))
    assert counts(probe.samples.targets) == {0: 10, 1: 10}


def test_samples_without_class_numbers_have_none():
    probe = Probe(6)
    fit(probe, load(tensors(labels_of(8))), load(TensorDataset(numbered(30))))
    assert probe.samples.targets.tolist() == [-1] * 6
    assert probe.samples.class_names == []
    assert probe.samples.class_name(-1) == "-1"


def test_only_samples_of_a_subset_are_taken():
    indices = [3, 50, 90, 185, 199, 197]
    probe = Probe(100)
    fit(probe, load(tensors(labels_of(8))), load(Subset(tensors(SKEWED), indices)))
    assert sorted(numbers(probe.samples)) == sorted(indices)
    assert probe.samples.targets.tolist() == SKEWED[numbers(probe.samples)].tolist()


def test_the_set_is_the_same_in_every_run_and_another_with_another_seed():
    probes = [Probe(12), Probe(12), Probe(12, seed=1)]
    for probe in probes[:2]:
        torch.manual_seed(random.randrange(1000))
        fit(probe, load(tensors(labels_of(8)), shuffle=True), load(tensors(SKEWED)))
    fit(probes[2], load(tensors(labels_of(8))), load(tensors(SKEWED)))
    assert numbers(probes[0].samples) == numbers(probes[1].samples)
    assert numbers(probes[0].samples) != numbers(probes[2].samples)


def test_once_chosen_the_set_stays():
    probe = Probe(6)
    fit(probe, load(tensors(labels_of(8))), load(tensors(SKEWED)))
    first = probe.samples
    fit(probe, load(tensors(labels_of(8))), load(tensors(SKEWED, offset=1000)))
    assert probe.samples is first


# ---- where from


def test_validation_data_come_first_and_training_data_where_there_are_none():
    train, val = tensors(labels_of(20, 20), offset=1000), tensors(labels_of(20, 20))
    for probe, loader, expected in [
        (Probe(4), load(val), False),
        (Probe(4), None, True),
        (Probe(4, split="train"), load(val), True),
    ]:
        fit(probe, load(train), loader)
        assert [number >= 1000 for number in numbers(probe.samples)] == [expected] * 4


@pytest.mark.parametrize(("options", "validation"), [({"check_val_every_n_epoch": 5}, False), ({}, True)])
def test_validation_data_are_taken_where_lightning_has_loaded_them(options, validation):
    probe = Probe(4)
    data = load(tensors(labels_of(20, 20), offset=1000)), load(tensors(labels_of(20, 20)))
    fit(probe, *data, num_sanity_val_steps=0, **options)
    assert (max(numbers(probe.samples)) < 1000) == validation


@pytest.mark.parametrize("several", [lambda one, other: [one, other], lambda one, other: {"a": one, "b": other}])
def test_of_several_loaders_the_first_is_read(several):
    probe = Probe(4)
    loaders = several(load(tensors(labels_of(20, 20))), load(tensors(labels_of(20, 20), offset=1000)))
    fit(probe, load(tensors(labels_of(8))), loaders)
    assert max(numbers(probe.samples)) < 1000


def test_of_a_stream_samples_are_taken_from_the_first_training_batches():
    probe, labels = Probe(12), torch.arange(64) % 3
    collect = fit(probe, load(Stream(labels)), load(Stream(labels)), limit_train_batches=5)
    assert collect.before == collect.after
    assert probe.full
    assert counts(probe.samples.targets) == {0: 4, 1: 4, 2: 4}
    assert max(numbers(probe.samples)) < 16  # two batches of 8 were enough
    assert probe.samples.targets.tolist() == labels[numbers(probe.samples)].tolist()


def test_before_any_sample_is_known_there_are_none():
    probe = Probe(12)
    assert probe.samples is None
    assert not probe.full
    probe.offer((numbered(8), torch.arange(8) % 2))
    assert not probe.full
    probe.offer((numbered(8) + 8, torch.arange(8) % 2))
    assert probe.full
    probe.offer((numbered(8) + 1000, torch.full((8,), 7)))  # comes too late, though its class is new
    assert max(numbers(probe.samples)) < 16


def test_a_batch_that_several_callbacks_offer_is_taken_once():
    probe = Probe(8)
    first, second = ((numbered(4) + start, torch.arange(4) % 2) for start in (0, 4))
    for batch, place in ((first, (0, 0)), (first, (0, 0)), (second, (0, 1)), (second, (0, 1))):
        probe.offer(batch, place)
    assert sorted(numbers(probe.samples)) == list(range(8))


def test_with_the_first_look_the_choice_is_fixed():
    probe = Probe(12)
    probe.offer((numbered(4), torch.arange(4) % 2))
    assert len(probe.samples.inputs) == 4
    probe.offer((numbered(8) + 4, torch.arange(8) % 2))
    assert sorted(numbers(probe.samples)) == [0, 1, 2, 3]


def test_batches_are_taken_apart_as_the_loader_makes_them():
    def collate(items):
        return {"label": torch.tensor([label for _, label in items]), "pixels": torch.stack([x for x, _ in items]) * 2}

    probe = Probe(6)
    fit(probe, load(tensors(labels_of(8)), collate_fn=collate), load(tensors(SKEWED), collate_fn=collate))
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
    loaders = [load(tensors(labels), collate_fn=collate) for labels in (labels_of(8), SKEWED)]
    fit(probe, *loaders)
    assert max(numbers(probe.samples)) <= 0
    assert counts(probe.samples.targets) == {0: 2, 1: 2, 2: 2}


def test_a_batch_without_inputs_is_refused():
    def collate(items):
        return [name for name, _ in items]

    class Names(Labelled):
        def __getitem__(self, index):
            return str(index), 0

    with pytest.raises(ValueError, match=r"expected a batch with a floating-point or uint8 tensor .* Probe\(inputs="):
        fit(Probe(6), load(tensors(labels_of(8))), load(Names(labels_of(8)), collate_fn=collate))


# ---- beside the trainer


class Transforming(Model):
    """Augments on the device, in training only, and notes what it believed."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        x, y = batch
        self.stages.append((self.trainer.training, self.trainer.validating, len(x)))
        return x + (0.5 if self.trainer.training else 0.25), y


@pytest.mark.parametrize(("split", "shift"), [("val", 0.25), ("train", 0.5)])
def test_transforms_on_the_device_see_the_stage_that_the_samples_belong_to(split, shift):
    model, probe = Transforming(), Probe(6, split=split)
    collect = fit(probe, load(tensors(SKEWED)), load(tensors(SKEWED)), model=model, num_sanity_val_steps=0)
    assert model.stages[0] == (split == "train", split == "val", 6)
    assert (probe.samples.inputs[:, 0, 0, 0] % 1 == shift).all()
    assert (collect.training, collect.validating) == (True, False)


def test_the_trainer_is_training_again_also_when_reading_failed():
    class Broken(Labelled):
        def __getitem__(self, index):
            if len(self.loaded) > 4:
                raise OSError("file is gone")
            return super().__getitem__(index)

    seen = {}

    class Guarded(Callback):
        def on_train_start(self, trainer, pl_module):
            before = random_states()
            with pytest.raises(OSError, match="file is gone"):
                probe.collect(trainer, pl_module)
            seen.update(same=random_states() == before, training=trainer.training, validating=trainer.validating)
            trainer.should_stop = True

    probe = Probe(20)
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        max_epochs=1, num_sanity_val_steps=0, callbacks=[Guarded()], enable_model_summary=False, **options
    )
    trainer.fit(Model(), load(tensors(labels_of(8))), load(Broken(SKEWED)))
    assert seen == {"same": True, "training": True, "validating": False}
    assert probe.samples is None


class Noisy(Labelled):
    def __getitem__(self, index):
        noise = random.random() + np.random.random() + torch.rand(1).item()
        return super().__getitem__(index)[0] + noise * 0.1, int(self.numbers[index])


def test_random_states_are_untouched():
    collect = fit([Probe(6), Probe(6, split="train")], load(Noisy(SKEWED), shuffle=True), load(Noisy(SKEWED)))
    assert collect.before == collect.after


def test_samples_are_copies_on_the_cpu_without_a_graph():
    dataset = tensors(SKEWED)
    probe = Probe(6)
    fit(probe, load(tensors(labels_of(8))), load(dataset, batch_size=200))
    assert probe.samples.inputs.device.type == "cpu"
    assert not probe.samples.inputs.requires_grad
    before = numbers(probe.samples)
    dataset.tensors[0].fill_(-1)
    assert numbers(probe.samples) == before


# ---- how many


def test_with_less_data_all_of_it_is_taken_and_said(told):
    probe = Probe(1000)
    fit(probe, load(tensors(labels_of(8))), load(tensors(SKEWED)))
    assert sorted(numbers(probe.samples)) == list(range(200))
    assert "Probe: using 200 samples instead of 1000: the dataset has no more" in told()


def test_enough_data_are_nothing_to_tell(told):
    fit(Probe(200), load(tensors(labels_of(8))), load(tensors(SKEWED)))
    assert "Probe:" not in told()


@pytest.mark.parametrize("known", [True, False])
def test_a_set_that_takes_too_much_memory_is_cut_and_said(monkeypatch, told, known):
    monkeypatch.setattr(probe_module, "MAX_PROBE_BYTES", 9 * 4 * 4)  # nine samples of four float32
    probe = Probe(60)
    dataset = Labelled(SKEWED, targets=SKEWED) if known else Labelled(labels_of(100, 100))
    fit(probe, load(tensors(labels_of(8))), load(dataset), num_sanity_val_steps=0, limit_val_batches=0.0)
    fit(probe := Probe(60), load(tensors(labels_of(8))), load(dataset, batch_size=4))
    assert len(probe.samples.inputs) == 9
    if known:
        assert counts(probe.samples.targets) == {0: 3, 1: 3, 2: 3}
        assert len(dataset.loaded) < 60  # what would not fit is not even read
    assert "Probe: using 9 samples instead of 60: more would exceed 256" in told()


def test_one_sample_is_shown_however_large_it_is(monkeypatch):
    monkeypatch.setattr(probe_module, "MAX_PROBE_BYTES", 1)
    probe = Probe(10)
    fit(probe, load(tensors(labels_of(8))), load(tensors(SKEWED)))
    assert len(probe.samples.inputs) == 1


# ---- the order


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_balanced_order_deals_out_the_classes_in_turn(classes):
    targets = np.random.default_rng(classes).integers(0, classes, 60) * 7 - 1
    order = balanced_order(targets)
    assert sorted(order.tolist()) == list(range(60))
    piles = {label: np.flatnonzero(targets == label).tolist() for label in sorted(set(targets.tolist()))}
    dealt = []
    while any(piles.values()):
        dealt += [pile.pop(0) for pile in piles.values() if pile]
    assert order.tolist() == dealt


def test_no_samples_have_an_order_too():
    assert balanced_order(np.array([], dtype=int)).tolist() == []


def test_of_samples_of_several_sizes_those_of_the_most_frequent_are_used(caplog):
    caplog.set_level("INFO")
    probe = Probe(10)
    for count, size in ((2, 4), (5, 6), (3, 8)):
        probe.offer((torch.rand(count, 1, size, size), torch.zeros(count, dtype=torch.long)))
    assert probe.samples.inputs.shape == (5, 1, 6, 6)
    assert "differ in size; 5 of 10, of size 1×6×6, are used" in caplog.text


def test_ragged_labels_of_a_dataset_are_no_classes():
    data = Labelled(SKEWED, labels=[[0], [0, 1]] * (len(SKEWED) // 2))
    probe = Probe(5)
    fit(probe, load(tensors(labels_of(8))), load(data))
    assert len(probe.samples.inputs) == 5


def test_of_a_dataset_that_samplers_split_only_the_validations_part_is_shown():
    data = TensorDataset(torch.arange(60.0)[:, None, None, None].expand(-1, 1, 4, 4), torch.arange(60) % 3)
    order = np.random.default_rng(7).permutation(60).tolist()
    parts = [SubsetRandomSampler(part) for part in (order[:40], torch.tensor(order[40:]))]
    probe = Probe(30)
    fit(probe, *(load(data, sampler=part) for part in parts))
    assert sorted(probe.samples.inputs[:, 0, 0, 0].int().tolist()) == sorted(order[40:])
