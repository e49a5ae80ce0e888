"""Findings go through JSON and come back, and say in a line what is wrong."""

import dataclasses
import json

import pytest

from lightning_cnnviz.functional.diagnosis.finding import Finding

FOUND = Finding(
    "dead_units", "dead units", ("relu1", "relu2"), 65, 301, 101, "95% were never positive.", "activations/heatmap",
    "likely", "Lower the learning rate.", "somebody, 2020", {"dead": 0.95},
)  # fmt: skip


def test_a_finding_goes_through_json_and_comes_back():
    assert Finding.from_dict(json.loads(json.dumps(FOUND.as_dict(), allow_nan=False))) == FOUND
    assert set(FOUND.as_dict()) == {field.name for field in dataclasses.fields(Finding)}


def test_a_finding_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FOUND.rule = "none"


@pytest.mark.parametrize(
    ("layers", "where"),
    [
        ((), "dead units, since"),
        (("a",), "dead units in a, since"),
        (("a", "b", "c"), "dead units in a, b, c, since"),
        (tuple("abcdef"), "dead units in a, b, c and 3 more layers, since"),
    ],
)
def test_its_sentence_says_where_since_when_why_and_what_to_try(layers, where):
    words = dataclasses.replace(FOUND, layers=layers).sentence()
    assert where in words
    assert words.startswith("probably ")
    assert words.endswith("since step 65: 95% were never positive. Lower the learning rate.")
    assert not dataclasses.replace(FOUND, sure="certain").sentence().startswith("probably")
