"""What a user tells a `Probe`: class names, samples, which of them, and of which data."""

import pytest
from helpers.numbered import SKEWED, Labelled, Model, fit, labels_of, load, numbered, numbers, tensors
from pytorch_lightning import LightningDataModule
from torch.utils.data import ConcatDataset, Subset

from lightning_cnnviz.data import probe as probe_module
from lightning_cnnviz.data.probe import Probe

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


def test_of_several_loaders_the_first_names_the_classes():
    probe = Probe(6)
    fit(probe, load(tensors(labels_of(8))), [load(Owner(classes=NAMES)), load(Owner(classes=["x", "y", "z"]))])
    assert probe.samples.class_names == NAMES


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_split_that_the_samples_come_from_names_the_classes(split):
    probe = Probe(6, split=split)
    fit(probe, load(Owner(classes=NAMES)), load(Owner(classes=["x", "y", "z"])))
    assert probe.samples.class_names == (NAMES if split == "train" else ["x", "y", "z"])


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


# ---- given samples


def test_given_samples_are_taken_as_they_are_in_a_balanced_order():
    labels = labels_of(4, 2, 1)
    probe = Probe.from_tensors(numbered(7), labels, NAMES)
    assert numbers(probe.samples) == [0, 4, 6, 1, 5, 2, 3]
    assert probe.samples.targets.tolist() == labels[numbers(probe.samples)].tolist()
    assert probe.samples.class_names == NAMES
    assert probe.origin is None
    collect = fit(probe, load(tensors(labels_of(8))), load(tensors(SKEWED, offset=1000)))
    assert collect.offered == []
    assert max(numbers(probe.samples)) < 7
    assert probe.version == 0


def test_given_samples_may_have_no_classes():
    probe = Probe.from_tensors(numbered(3))
    assert numbers(probe.samples) == [0, 1, 2]
    assert probe.samples.targets.tolist() == [-1, -1, -1]


def test_given_samples_are_copied():
    x = numbered(3)
    probe = Probe.from_tensors(x, labels_of(1, 1, 1))
    x.fill_(9)
    assert numbers(probe.samples) == [0, 1, 2]


def test_given_samples_that_take_too_much_memory_are_cut(monkeypatch):
    monkeypatch.setattr(probe_module, "MAX_PROBE_BYTES", 2 * 4 * 4)  # two samples of four float32
    probe = Probe.from_tensors(numbered(5), labels_of(3, 2))
    assert numbers(probe.samples) == [0, 3]


def test_given_samples_that_were_cut_are_told(monkeypatch, told):
    monkeypatch.setattr(probe_module, "MAX_PROBE_BYTES", 2 * 4 * 4)
    Probe.from_tensors(numbered(5), labels_of(3, 2))
    assert "Probe: using 2 samples instead of 5: more would exceed 256 MiB" in told()


def test_inputs_and_targets_of_different_length_are_refused():
    with pytest.raises(ValueError, match="expected one target per input, got 3 inputs and 4 targets"):
        Probe.from_tensors(numbered(3), labels_of(4))


@pytest.mark.parametrize("number", [1.5, "10", True, None])
def test_a_number_of_samples_that_is_no_whole_number_is_refused(number):
    with pytest.raises(TypeError, match="expected num_samples to be a whole number, got"):
        Probe(number)


@pytest.mark.parametrize("number", [0, -3])
def test_at_least_one_sample_is_needed(number):
    with pytest.raises(ValueError, match=f"expected num_samples to be at least 1, got {number}"):
        Probe(number)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match='expected split to be "val", "train" or "test", got \'all\''):
        Probe(split="all")


@pytest.mark.parametrize("indices", [[], [-1], ["a"], [1.5]])
def test_indices_that_are_no_places_are_refused(indices):
    with pytest.raises(ValueError, match="expected indices to be a list of indices into the dataset, from 0, got"):
        Probe(indices=indices)
