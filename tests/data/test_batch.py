from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from lightning_cnnviz.data.batch import (
    class_indices_at,
    named_tensors,
    place_in_words,
    split_batch,
    targets_are_certain,
)

X = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([2, 0, 1, 2])

Named = namedtuple("Named", ["image", "label"])
Unnamed = namedtuple("Unnamed", ["first", "second"])


@dataclass
class Batch:
    image: Tensor
    label: Tensor
    paths: tuple[str, ...] = ("a", "b", "c", "d")


@dataclass(slots=True)
class Slots:
    image: Tensor
    label: Tensor


@pytest.mark.parametrize(
    "batch",
    [
        (X, Y),
        [X, Y],
        (Y, X),
        {"image": X, "label": Y},
        OrderedDict(pixel_values=X, labels=Y),
        {"whatever": X, "else": Y},
        Named(X, Y),
        Unnamed(X, Y),
        Batch(X, Y),
        Slots(X, Y),
        UserDict(image=X, label=Y),
        (X, {"label": Y}),
        {"inputs": {"image": X}, "targets": [Y]},
        [[X], [[Y]]],
        (X, Y, ["a.png", "b.png", "c.png", "d.png"], None, 3),
        (X, Y.int()),
        (X, Y.to(torch.uint8)),
        (X, Y[:, None]),
        (X.double(), Y),
        (X.half(), Y),
    ],
)
def test_inputs_and_class_numbers_are_found_in_any_nesting(batch):
    x, y = split_batch(batch)
    assert torch.equal(x.float(), X.to(x.dtype).float())
    assert torch.equal(y, Y)
    assert y.dtype == torch.int64


def test_usual_names_come_before_the_order():
    other, index = torch.rand(4, 7), torch.tensor([10, 11, 12, 13])
    x, y = split_batch({"features": other, "index": index, "image": X, "label": Y})
    assert x is X
    assert torch.equal(y, Y)


def test_without_usual_names_the_first_of_each_kind_is_taken():
    x, y = split_batch((X, torch.rand(4, 7), Y, torch.arange(4)))
    assert x is X
    assert torch.equal(y, Y)


@pytest.mark.parametrize("target", [torch.tensor([1.0, 0, 0, 1]), torch.tensor([True, False, False, True])])
def test_zeros_and_ones_of_any_kind_are_class_numbers(target):
    for shape in ((4,), (4, 1)):
        y = split_batch((X, target.reshape(shape)))[1]
        assert y.tolist() == [1, 0, 0, 1]
        assert y.dtype == torch.int64


@pytest.mark.parametrize(
    "target",
    [
        torch.rand(4) + 0.1,  # a regression
        torch.eye(4)[:, :3],  # one-hot
        torch.randint(0, 2, (4, 8, 8)),  # a segmentation
        torch.arange(7),  # another number of samples
        torch.tensor(3),
        torch.tensor([1 + 1j] * 4),
        None,
        "label",
    ],
)
def test_without_class_numbers_there_are_none(target):
    x, y = split_batch((X, target))
    assert x is X
    assert y is None


def test_inputs_of_zeros_and_ones_are_not_taken_for_the_classes():
    x = torch.tensor([[1.0], [0.0], [1.0], [1.0]])
    assert torch.equal(split_batch((x, Y))[1], Y)
    assert split_batch((x, None))[1] is None


def test_a_lone_tensor_is_the_inputs():
    assert split_batch(X) == (X, None)


def test_keys_say_where_things_are():
    many = {"a": X, "b": X + 1, "c": Y, "d": Y + 1}
    x, y = split_batch(many, inputs="b", targets="d")
    assert x is many["b"]
    assert torch.equal(y, Y + 1)
    x, y = split_batch((X, X + 1, Y, Y + 1), inputs=1, targets=-1)
    assert torch.equal(x, X + 1)
    assert torch.equal(y, Y + 1)
    for batch in (Batch(X, Y), Slots(X, Y), Named(X, Y)):
        x, y = split_batch(batch, inputs="image", targets="label")
        assert x is X
        assert torch.equal(y, Y)


@pytest.mark.parametrize("name", ["values", "items", "keys", "copy", "get", "pop"])
def test_a_key_may_have_the_name_of_a_method_of_dict(name):
    x, y = split_batch({name: X, "y": Y}, inputs=name)
    assert x is X
    assert torch.equal(y, Y)


def test_named_inputs_may_be_of_whole_numbers():
    images = (X * 255).to(torch.uint8)
    assert split_batch({"image": images, "label": Y}, inputs="image")[0] is images


def test_class_numbers_are_detached_from_the_graph():
    target = torch.tensor([1.0, 0, 0, 1], requires_grad=True)
    assert not split_batch((X, target))[1].requires_grad


# ---- what does not fit


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        ((Y, Y), r"tuple with tensor \(4,\) torch.int64, tensor \(4,\) torch.int64"),
        ({"image": (X * 255).int()}, r"dict with image \(4, 3, 8, 8\) torch.int32"),
        ("text", "str with no tensors"),
        (None, "NoneType with no tensors"),
        ([], "list with no tensors"),
        (torch.tensor(3.0), r"Tensor with tensor \(\) torch.float32"),
    ],
)
def test_a_batch_without_inputs_is_refused_with_what_is_in_it_and_what_to_write(batch, found):
    with pytest.raises(
        ValueError, match=rf"expected a batch with a floating-point or uint8 tensor .*{found}; .*Probe\(inputs="
    ):
        split_batch(batch)


@pytest.mark.parametrize(
    ("batch", "key", "there"),
    [
        ({"image": X, "label": Y}, "pixels", r"\['image', 'label'\]"),
        ((X, Y), 5, "tuple"),
        ((X, Y), "image", "tuple"),
        (Batch(X, Y), "pixels", "Batch"),
        (Batch(X, Y), 0, "Batch"),
        ({"image": X}, 0, r"\['image'\]"),
    ],
)
@pytest.mark.parametrize("argument", ["inputs", "targets"])
def test_a_key_that_is_not_there_is_refused_with_what_is(batch, key, there, argument):
    with pytest.raises(ValueError, match=f"expected the batch to have {key!r}, got {there}"):
        split_batch(batch, **{argument: key})


def test_a_key_of_something_else_than_a_tensor_is_refused():
    with pytest.raises(ValueError, match="expected 'paths' in the batch to be a tensor, got tuple"):
        split_batch(Batch(X, Y), targets="paths")


@pytest.mark.parametrize("target", [torch.arange(8), torch.arange(5), torch.eye(4)[:, :3], torch.zeros(4, 8, 8)])
def test_named_targets_that_are_no_class_numbers_are_refused(target):
    with pytest.raises(ValueError, match="class indices"):
        split_batch((X, target), targets=1)


def test_tensors_have_their_names_in_their_order():
    x, y = torch.rand(3, 4), torch.arange(3)
    found = named_tensors({"image": x, "meta": {"site": y}, "boxes": [y]})
    assert [name for name, _ in found] == ["image", "site", None]
    assert all(one is other for (_, one), other in zip(found, (x, y, y), strict=True))


def test_class_indices_are_taken_from_their_place_or_by_their_name():
    x, y, rows = torch.rand(3, 4), torch.tensor([2, 0, 1]), torch.arange(3)
    assert class_indices_at((rows, x, y), (None, 2, 3), 3).tolist() == [2, 0, 1]
    assert class_indices_at({"image": x, "digit": y[:, None]}, ("digit", 2, 3), 3).tolist() == [2, 0, 1]
    assert class_indices_at((x, y), (None, 2, 3), 3) is None  # a batch of another structure
    assert class_indices_at((rows, x, x), (None, 2, 3), 3) is None  # no class indices there


@pytest.mark.parametrize(
    "batch",
    [
        (torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.tensor([2, 0, 1])),
        {"label": torch.tensor([2, 0, 1]), "image": torch.zeros(3, 1, 8, 8, dtype=torch.uint8)},
        {
            "image": torch.zeros(3, 1, 8, 8, dtype=torch.uint8),
            "mask": torch.ones(3, 1, 8, 8),
            "y": torch.tensor([2, 0, 1]),
        },
    ],
)
def test_images_of_bytes_are_inputs(batch):
    x, y = split_batch(batch)
    assert (x.dtype, x.shape) == (torch.uint8, (3, 1, 8, 8))
    assert sorted(y.tolist()) == [0, 1, 2]


def test_a_mask_of_bytes_is_none_beside_the_image():
    image = torch.rand(3, 1, 8, 8)
    assert split_batch((image, torch.zeros(3, 8, 8, dtype=torch.uint8)))[0] is image


@pytest.mark.parametrize(
    ("batch", "certain"),
    [
        ((X, Y), True),
        ([X, Y.int()], True),  # the only candidate
        ({"image": X, "label": Y}, True),
        ({"image": X, "label": Y, "patient": Y}, True),
        ({"image": X, "seq_lens": Y}, False),
        ((torch.arange(len(X)), X, Y), False),
        ((X, X), False),
    ],
    ids=["pair", "single", "named", "named beside another", "another name", "two", "none"],
)
def test_class_indices_are_certain_only_if_there_is_one_reading(batch, certain):
    inputs, _ = split_batch(batch)
    assert targets_are_certain(batch, inputs) is certain
    assert targets_are_certain(batch, inputs, targets="y") is True, "the user has named them"


@pytest.mark.parametrize(
    ("batch", "tensor", "words"),
    [
        ((X, Y), Y, "batch[1]"),
        ({"image": X, 3: Y}, Y, "batch[3]"),
        (SimpleNamespace(x=X), X, "not in the batch"),
        (([X], Y), X, "tensor 1 of 2 in the batch"),
        (X, X, "batch"),
        ((X, Y), X.view(len(X), -1), "batch[0]"),
    ],
)
def test_a_place_in_a_batch_in_words(batch, tensor, words):
    assert place_in_words(batch, tensor) == words
