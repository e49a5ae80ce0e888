import random
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset, random_split

from lightning_cnnviz import probe as probe_module
from lightning_cnnviz.errors import ConfigurationError
from lightning_cnnviz.probe import Probe, balanced_order

# ---- a training run whose samples carry their own number


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
        leaf = next(self.parameters())
        return leaf.sum() * 0

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Collect(Callback):
    def __init__(self, *probes):
        self.probes = probes
        self.before = None

    def on_train_start(self, trainer, pl_module):
        self.before = random_states()
        for probe in self.probes:
            probe.collect(trainer, pl_module)
        self.after = random_states()
        self.training, self.validating = trainer.training, trainer.validating

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        for probe in self.probes:
            probe.offer(batch)


def random_states():
    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()


def fit(probe, train, val=None, model=None, datamodule=None, **options):
    """Trains for a few batches; returns what the callback saw."""
    collect = Collect(*(probe if isinstance(probe, list) else [probe]))
    settings = {"max_epochs": 1, "limit_train_batches": 3, "limit_val_batches": 1, **options}
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[collect],
        **settings,
    )
    trainer.fit(model or Model(), *([] if datamodule else [train, val]), datamodule=datamodule)
    return collect


def load(dataset, batch_size=8, **options):
    return DataLoader(dataset, batch_size=batch_size, **options)


SKEWED = labels_of(180, 15, 5)


def counts(targets):
    return Counter(targets.tolist())


# ---- which samples


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


class Stream(IterableDataset):
    def __init__(self, labels):
        self.numbers = labels

    def __iter__(self):
        yield from zip(numbered(len(self.numbers)), self.numbers, strict=True)


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

    with pytest.raises(ValueError, match=r"expected a batch with a floating-point tensor .* Probe\(inputs="):
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


# ---- names


class Owner(Labelled):
    def __init__(self, **attributes):
        super().__init__(SKEWED, targets=SKEWED, **attributes)


class Data(LightningDataModule):
    def __init__(self, **attributes):
        super().__init__()
        vars(self).update(attributes)

    def train_dataloader(self):
        return load(tensors(labels_of(8)))

    def val_dataloader(self):
        return load(tensors(SKEWED))


NAMES = ["cat", "dog", "owl"]


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (Owner(classes=NAMES), NAMES),
        (Owner(class_names=tuple(NAMES)), NAMES),
        (Owner(class_names=NAMES, classes=["a", "b", "c"]), NAMES),
        (Owner(classes=[7, 8, 9]), ["7", "8", "9"]),
        (Owner(classes=[*NAMES, "unicorn"]), [*NAMES, "unicorn"]),
        (Subset(Owner(classes=NAMES), range(200)), NAMES),
        (ConcatDataset([Owner(classes=NAMES), Owner()]), NAMES),
        (Owner(), ["0", "1", "2"]),
        (Owner(classes=["cat", "dog"]), ["0", "1", "2"]),
        (Owner(classes=3), ["0", "1", "2"]),
        (Owner(classes={"cat": 0}), ["0", "1", "2"]),
    ],
)
def test_class_names_are_found_at_the_dataset(dataset, expected):
    probe = Probe(6)
    fit(probe, load(tensors(labels_of(8))), load(dataset))
    assert probe.samples.class_names == expected
    assert probe.samples.class_name(1) == expected[1]
    assert probe.samples.class_name(17) == "17"


def test_class_names_are_found_at_the_data_module_or_the_model():
    probe = Probe(6)
    fit(probe, None, datamodule=Data(class_names=NAMES))
    assert probe.samples.class_names == NAMES
    model = Model()
    model.classes = NAMES
    probe = Probe(6)
    fit(probe, None, model=model, datamodule=Data())
    assert probe.samples.class_names == NAMES


def test_given_class_names_come_first():
    probe = Probe(6, class_names=["x", "y", "z"])
    fit(probe, load(tensors(labels_of(8))), load(Owner(classes=NAMES)))
    assert probe.samples.class_names == ["x", "y", "z"]


def test_too_few_class_names_are_refused_with_both_numbers():
    message = r"expected a name for each of 3 classes, got 2: \['x', 'y'\]"
    with pytest.raises(ValueError, match=message):
        fit(Probe(6, class_names=["x", "y"]), load(tensors(labels_of(8))), load(Owner()))
    with pytest.raises(ValueError, match=message):
        Probe.from_tensors(numbered(6), labels_of(2, 2, 2), ["x", "y"])


# ---- how many


def test_with_less_data_all_of_it_is_taken_and_said(told):
    probe = Probe(1000)
    fit(probe, load(tensors(labels_of(8))), load(tensors(SKEWED)))
    assert sorted(numbers(probe.samples)) == list(range(200))
    assert "Probe: showing 200 samples instead of 1000, there are no more" in told()


def test_enough_data_are_nothing_to_tell(told):
    fit(Probe(200), load(tensors(labels_of(8))), load(tensors(SKEWED)))
    assert "Probe:" not in told()


@pytest.mark.parametrize("known", [True, False])
def test_a_set_that_takes_too_much_memory_is_cut_and_said(monkeypatch, told, known):
    monkeypatch.setattr(probe_module, "MOST_BYTES", 9 * 4 * 4)  # nine samples of four float32
    probe = Probe(60)
    dataset = Labelled(SKEWED, targets=SKEWED) if known else Labelled(labels_of(100, 100))
    fit(probe, load(tensors(labels_of(8))), load(dataset), num_sanity_val_steps=0, limit_val_batches=0.0)
    fit(probe := Probe(60), load(tensors(labels_of(8))), load(dataset, batch_size=4))
    assert len(probe.samples.inputs) == 9
    if known:
        assert counts(probe.samples.targets) == {0: 3, 1: 3, 2: 3}
        assert len(dataset.loaded) < 60  # what would not fit is not even read
    assert "Probe: showing 9 samples instead of 60, more would take over" in told()


def test_one_sample_is_shown_however_large_it_is(monkeypatch):
    monkeypatch.setattr(probe_module, "MOST_BYTES", 1)
    probe = Probe(10)
    fit(probe, load(tensors(labels_of(8))), load(tensors(SKEWED)))
    assert len(probe.samples.inputs) == 1


# ---- given samples


def test_given_samples_are_taken_as_they_are_in_a_balanced_order():
    labels = labels_of(4, 2, 1)
    probe = Probe.from_tensors(numbered(7), labels, NAMES)
    assert probe.full
    assert numbers(probe.samples) == [0, 4, 6, 1, 5, 2, 3]
    assert probe.samples.targets.tolist() == labels[numbers(probe.samples)].tolist()
    assert probe.samples.class_names == NAMES
    fit(probe, load(tensors(labels_of(8))), load(tensors(SKEWED, offset=1000)))
    assert max(numbers(probe.samples)) < 7


def test_given_samples_may_have_no_classes():
    probe = Probe.from_tensors(numbered(3))
    assert numbers(probe.samples) == [0, 1, 2]
    assert probe.samples.targets.tolist() == [-1, -1, -1]


def test_given_samples_are_copied():
    x = numbered(3)
    probe = Probe.from_tensors(x, labels_of(1, 1, 1))
    x.fill_(9)
    assert numbers(probe.samples) == [0, 1, 2]


def test_inputs_and_targets_of_different_length_are_refused():
    with pytest.raises(ValueError, match="expected one target per input, got 3 inputs and 4 targets"):
        Probe.from_tensors(numbered(3), labels_of(4))


@pytest.mark.parametrize("number", [1.5, "10", True, None])
def test_a_number_of_samples_that_is_no_whole_number_is_refused(number):
    with pytest.raises(TypeError, match="expected the number of samples to be a whole number, got"):
        Probe(number)


@pytest.mark.parametrize("number", [0, -3])
def test_at_least_one_sample_is_needed(number):
    with pytest.raises(ValueError, match=f"expected at least 1 sample, got {number}"):
        Probe(number)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match='expected split to be "val", "train" or "test", got \'all\''):
        Probe(split="all")


@pytest.mark.parametrize("indices", [[], [-1], ["a"], [1.5]])
def test_indices_that_are_no_places_are_refused(indices):
    with pytest.raises(ValueError, match="expected indices to be a list of places in the dataset, from 0, got"):
        Probe(indices=indices)


# ---- chosen samples, and the test data


class WithTests(LightningDataModule):
    def __init__(self, *test):
        super().__init__()
        self.test = test

    def train_dataloader(self):
        return load(tensors(labels_of(10, 10)))

    def val_dataloader(self):
        return load(tensors(labels_of(10, 10), offset=100))

    def test_dataloader(self):
        return load(self.test[0])


def test_chosen_samples_are_shown_in_their_order():
    probe = Probe(split="test", indices=[12, 3, 19])
    fit(probe, None, datamodule=WithTests(tensors(labels_of(10, 10), offset=200)))
    assert numbers(probe.samples) == [212, 203, 219]
    assert probe.samples.targets.tolist() == [1, 0, 1]


def test_test_data_are_balanced_as_the_others():
    probe = Probe(4, split="test")
    fit(probe, None, datamodule=WithTests(tensors(labels_of(10, 10), offset=200)))
    assert probe.samples.targets.tolist() == [0, 1, 0, 1]
    assert min(numbers(probe.samples)) >= 200


def test_a_place_beyond_the_data_is_refused():
    with pytest.raises(ConfigurationError, match="expected indices below 20, the size of the data, got 20"):
        fit(Probe(indices=[20]), load(tensors(labels_of(10, 10))))


def test_a_stream_has_no_places():
    with pytest.raises(ConfigurationError, match="a stream has no places"):
        fit(Probe(indices=[0], split="train"), load(Stream(labels_of(8))))


def test_missing_test_data_are_refused_with_the_cause():
    with pytest.raises(ConfigurationError, match=r"found no test data: WithTests\.test_dataloader"):
        fit(Probe(split="test"), None, datamodule=WithTests())


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
