"""Whatever holds numbers, names or class names is taken as such, and what does not is refused in words."""

from collections import OrderedDict, UserDict, UserList, deque
from types import MappingProxyType

import numpy as np
import pytest
import torch

from lightning_cnnviz.errors import ConfigurationError, class_names_list, names_list, whole_number

# ---- whole numbers


@pytest.mark.parametrize(
    "value", [7, np.int64(7), np.int32(7), np.uint8(7), np.int16(7), np.array(7), torch.tensor(7)], ids=repr
)
def test_whole_numbers_of_any_library_become_an_int(value):
    number = whole_number(value, "n")
    assert type(number) is int
    assert number == 7


@pytest.mark.parametrize(
    "value",
    [True, np.bool_(True), 2.0, np.float64(2), "7", None, [7], np.array([7, 8]), 1 + 0j, torch.tensor(2.0)],
    ids=repr,
)
def test_what_is_no_whole_number_is_refused_with_its_name(value):
    with pytest.raises(TypeError, match=r"^expected num_samples to be a whole number, got "):
        whole_number(value, "num_samples")


@pytest.mark.parametrize("value", [0, -3, np.int64(-1), -(10**30)])
def test_a_number_below_the_least_is_refused_with_both(value):
    with pytest.raises(ValueError, match=rf"^expected steps to be at least 1, got {value}$"):
        whole_number(value, "steps", at_least=1)


def test_the_least_itself_and_very_large_numbers_are_taken():
    assert whole_number(np.int64(1), "steps", at_least=1) == 1
    assert whole_number(10**30, "steps", at_least=1) == 10**30
    assert whole_number(-5, "channel") == -5


# ---- names


@pytest.mark.parametrize(
    "value",
    [
        ["conv1", "fc"],
        ("conv1", "fc"),
        np.array(["conv1", "fc"]),
        np.array(["conv1", "fc"], dtype=object),
        deque(["conv1", "fc"]),
        UserList(["conv1", "fc"]),
        dict.fromkeys(["conv1", "fc"]).keys(),
        iter(["conv1", "fc"]),
        (name for name in ("conv1", "fc")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_sequence_of_names_becomes_a_list_of_plain_strings(value):
    names = names_list(value, "layers")
    assert names == ["conv1", "fc"]
    assert {type(name) for name in names} == {str}


@pytest.mark.parametrize("value", ["conv*", np.str_("conv*")])
def test_a_single_name_becomes_a_list_of_one(value):
    names = names_list(value, "layers")
    assert names == ["conv*"]
    assert type(names[0]) is str


@pytest.mark.parametrize("value", [3, None, [1, 2], ["conv1", None], {"conv1": 0}, b"conv1", [b"conv1"]], ids=repr)
def test_what_holds_no_names_is_refused_with_its_name(value):
    with pytest.raises(TypeError, match=r"^expected layers to be a name or a list of names, got "):
        names_list(value, "layers")


def test_no_names_are_no_names():
    assert names_list([], "layers") == []


# ---- class names


@pytest.mark.parametrize(
    "value",
    [
        ["cat", "dog"],
        ("cat", "dog"),
        np.array(["cat", "dog"]),
        np.array(["cat", "dog"], dtype=object),
        {0: "cat", 1: "dog"},
        {1: "dog", 0: "cat"},
        {np.int64(1): "dog", np.int64(0): "cat"},
        {"cat": 0, "dog": 1},
        {"dog": 1, "cat": 0},
        {"dog": np.int64(1), "cat": np.int64(0)},
        OrderedDict([(1, "dog"), (0, "cat")]),
        UserDict({0: "cat", 1: "dog"}),
        MappingProxyType({"cat": 0, "dog": 1}),
        {0: np.str_("cat"), 1: np.str_("dog")},
    ],
    ids=repr,
)
def test_class_names_come_in_the_order_of_their_numbers_whatever_holds_them(value):
    names = class_names_list(value)
    assert names == ["cat", "dog"]
    assert {type(name) for name in names} == {str}


@pytest.mark.parametrize(
    "value",
    [
        {0: "cat", 2: "dog"},
        {1: "cat", 2: "dog"},
        {-1: "cat", 0: "dog"},
        {"cat": 0, "dog": 0},
        {"cat": 1},
        {0.5: "cat"},
    ],
    ids=repr,
)
def test_numbers_with_gaps_are_refused_with_those_that_were_expected(value):
    with pytest.raises(TypeError, match=r"expected class_names to have the class indices 0 to \d"):
        class_names_list(value)


@pytest.mark.parametrize("value", ["cat", b"cat", 3, None, [0, 1], ["cat", 1], {0: 1, 1: 0}, [["cat"]]], ids=repr)
def test_what_holds_no_class_names_is_refused(value):
    message = r"^expected class_names to be a list of names or a mapping from class index to name, got "
    with pytest.raises(TypeError, match=message):
        class_names_list(value)


def test_names_may_be_any_text_and_come_twice():
    assert class_names_list(["", "ähnlich", "7", "7"]) == ["", "ähnlich", "7", "7"]
    assert class_names_list([]) == class_names_list({}) == []


def test_a_configuration_error_is_a_value_error():
    assert issubclass(ConfigurationError, ValueError)
