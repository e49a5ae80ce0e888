"""What is learnt of a dataset without loading a sample: loaders, class numbers, class names."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.numbered import Labelled
from helpers.tiny import TinyData, fit, scalars
from pytorch_lightning.utilities import CombinedLoader
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset, random_split

from lightning_cnnviz import ClassReport
from lightning_cnnviz.data.datasets import check_class_names, find_class_names, first_loader, known_targets
from lightning_cnnviz.errors import ConfigurationError

# ---- loaders


def load(size=4):
    return DataLoader(TinyData(size), 2)


def test_the_first_loader_is_found_in_any_nesting():
    first, second = load(), load()
    for loaders in (
        first,
        [first, second],
        (first,),
        {"a": first, "b": second},
        [[], {"x": (first, second)}],
        CombinedLoader([first, second], "sequential"),
        CombinedLoader({"a": first, "b": [second]}, "max_size"),
        [None, "words", first],
    ):
        assert first_loader(loaders) is first


@pytest.mark.parametrize(
    "loaders", [None, [], {}, "words", [[], {}, None], iter([])], ids=lambda one: type(one).__name__
)
def test_where_there_is_no_loader_there_is_none(loaders):
    assert first_loader(loaders) is None


# ---- class numbers


class Untouchable(Dataset):
    """A dataset of which no sample may be loaded."""

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def __len__(self):
        return 5

    def __getitem__(self, index):
        raise AssertionError("a sample was loaded")


NUMBERS = [2, 0, 1, 2, 2]


@pytest.mark.parametrize("attribute", ["targets", "labels"])
@pytest.mark.parametrize(
    "made",
    [list, tuple, np.array, torch.tensor, lambda n: np.array(n, dtype=np.uint8), lambda n: torch.tensor(n).int()],
    ids=["list", "tuple", "array", "tensor", "uint8", "int32"],
)
def test_class_numbers_are_read_from_the_usual_attributes_whatever_holds_them(attribute, made):
    found = known_targets(Untouchable(**{attribute: made(NUMBERS)}))
    assert found.tolist() == NUMBERS


def test_targets_come_before_labels():
    assert known_targets(Untouchable(targets=NUMBERS, labels=[0] * 5)).tolist() == NUMBERS


@pytest.mark.parametrize(
    "targets",
    [
        None,
        "text",
        [0.5, 1.5],
        ["a", "b"],
        [[0, 1], [1, 0]],
        np.zeros((2, 2), int),
        torch.rand(5),
        3,
        [True, False],
        {0: 1},
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_what_seem_to_be_no_class_numbers_are_none(targets):
    assert known_targets(Untouchable(targets=targets)) is None


def test_of_a_subset_the_numbers_of_its_samples_in_their_order():
    whole = Untouchable(targets=NUMBERS)
    assert known_targets(Subset(whole, [4, 1, 0])).tolist() == [2, 0, 2]
    assert known_targets(Subset(Subset(whole, [4, 1, 0]), [2, 1])).tolist() == [2, 0]
    assert known_targets(Subset(whole, np.array([1, 2]))).tolist() == [0, 1]
    assert known_targets(Subset(whole, [])).tolist() == []
    assert known_targets(Subset(Untouchable(), [0])) is None


def test_a_random_split_knows_the_numbers_of_its_parts():
    whole = Untouchable(targets=NUMBERS)
    for part in random_split(whole, [3, 2]):
        assert known_targets(part).tolist() == [NUMBERS[index] for index in part.indices]


def test_of_a_concatenation_the_numbers_of_all_its_parts_or_none():
    parts = [Untouchable(targets=NUMBERS), Untouchable(labels=torch.tensor(NUMBERS))]
    assert known_targets(ConcatDataset(parts)).tolist() == 2 * NUMBERS
    assert known_targets(ConcatDataset([*parts, Untouchable()])) is None


def test_of_tensors_what_a_batch_of_them_would_have():
    numbers = torch.tensor(NUMBERS)
    images = torch.rand(5, 1, 4, 4)
    assert known_targets(TensorDataset(images, numbers)).tolist() == NUMBERS
    assert known_targets(TensorDataset(numbers, images)).tolist() == NUMBERS
    assert known_targets(TensorDataset(images, torch.rand(5))) is None
    assert known_targets(TensorDataset(images)) is None
    assert known_targets(TensorDataset(numbers)) is None


# ---- class names


@pytest.mark.parametrize(
    "value",
    [
        ["cat", "dog"],
        ("cat", "dog"),
        np.array(["cat", "dog"]),
        np.array(["cat", "dog"], dtype=object),
        {0: "cat", 1: "dog"},
        {"dog": 1, "cat": 0},
    ],
    ids=repr,
)
@pytest.mark.parametrize("attribute", ["classes", "class_names"])
def test_class_names_are_read_from_whatever_holds_them(value, attribute):
    names = find_class_names(SimpleNamespace(**{attribute: value}))
    assert names == ["cat", "dog"]
    assert {type(name) for name in names} == {str}


def test_numbers_that_a_dataset_has_for_names_are_written_as_such():
    assert find_class_names(SimpleNamespace(classes=[7, 3])) == ["7", "3"]
    assert find_class_names(SimpleNamespace(classes=np.arange(3))) == ["0", "1", "2"]


@pytest.mark.parametrize("value", [None, [], {}, "cat", 2, [0.5], [None], {0: "cat", 5: "dog"}, {0: 1}], ids=repr)
def test_what_holds_no_class_names_leaves_the_word_to_the_next(value):
    assert find_class_names(SimpleNamespace(classes=value)) is None
    assert find_class_names(SimpleNamespace(classes=value), SimpleNamespace(classes=["a", "b"])) == ["a", "b"]


def test_the_data_come_first_then_what_they_wrap_then_their_owners():
    inner = SimpleNamespace(classes=["inner"])
    wrapped = SimpleNamespace(dataset=SimpleNamespace(dataset=inner))
    owner = SimpleNamespace(class_names=["owner"])
    assert find_class_names(wrapped, owner) == ["inner"]
    assert find_class_names(SimpleNamespace(classes=["outer"], dataset=inner), owner) == ["outer"]
    assert find_class_names(SimpleNamespace(datasets=[inner, None]), owner) == ["inner"]
    assert find_class_names(None, None, owner) == ["owner"]
    assert find_class_names(None) is None


def test_the_names_of_a_subset_or_a_concatenation_are_those_of_the_data():
    data = TinyData(8)
    for dataset in (Subset(data, [0]), ConcatDataset([Subset(data, [0]), data])):
        assert find_class_names(dataset) == ["left", "right", "top", "bottom"]


def test_names_must_be_as_many_as_the_models_classes():
    check_class_names(["a", "b"], 2)
    with pytest.raises(ConfigurationError, match=r"3 classes.*2.*\['a', 'b'\]"):
        check_class_names(["a", "b"], 3)


@pytest.mark.parametrize(
    "classes",
    [
        np.array(["west", "east", "north", "south"]),
        ("west", "east", "north", "south"),
        {0: "west", 1: "east", 2: "north", 3: "south"},
        {"south": 3, "north": 2, "east": 1, "west": 0},
    ],
    ids=["array", "tuple", "by number", "by name"],
)
def test_the_names_of_a_dataset_are_in_the_tags_of_a_real_run(classes, tmp_path):
    val = TinyData(20, seed=1)
    val.classes = classes
    fit(
        tmp_path,
        [ClassReport(on_error="raise")],
        data=(DataLoader(TinyData(16), 8), DataLoader(val, 10)),
        max_epochs=1,
    )
    for name in ("west", "east", "north", "south"):
        assert [step for step, _ in scalars(tmp_path, f"class_report/accuracy/{name}")] == [2]


def test_no_sample_is_loaded_to_learn_the_numbers():
    data = Labelled(NUMBERS, targets=NUMBERS)
    known_targets(ConcatDataset([Subset(data, [0, 1]), data]))
    assert data.loaded == []
