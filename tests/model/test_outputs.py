"""The tensor or the class scores in whatever a layer or model returned."""

from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from lightning_cnnviz.model.capture import record
from lightning_cnnviz.model.output_tap import OutputTap
from lightning_cnnviz.model.outputs import first_tensor, scores_in, shares_memory

Named = namedtuple("Named", ["hidden", "logits"])
SCORES, HIDDEN = torch.rand(5, 3), torch.rand(5, 7, 2)


def test_without_a_tensor_there_is_none():
    assert first_tensor(None) is None
    assert first_tensor({"a": [1, "b"], "c": ()}) is None


def test_scores_are_found_behind_a_loss_and_features():
    class Output(nn.Module):
        def forward(self, x):
            return {"loss": x.sum(), "features": x, "logits": 2 * x}

    net, x = Output(), torch.rand(5, 3)
    tap = OutputTap(net, samples=5)
    net(x)
    assert torch.equal(tap.close(), 2 * x)
    assert torch.equal(record(net, x, []).output, 2 * x)


@pytest.mark.parametrize(
    "value",
    [
        SCORES,
        (SCORES, HIDDEN),
        [None, "words", SCORES],
        {"a": 1, "b": {"c": [SCORES]}},
        OrderedDict(first=SCORES, second=HIDDEN),
        UserDict(first=SCORES),
        Named(SCORES, HIDDEN),
        ((), ({}, [SCORES])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_first_tensor_is_found_in_any_nesting(value):
    assert first_tensor(value) is SCORES


@pytest.mark.parametrize("value", [None, 3, "text", (), {}, [None, {"a": ()}], object()])
def test_where_there_is_no_tensor_there_is_none(value):
    assert first_tensor(value) is None
    assert scores_in(value, 5) is None


class ModelOutput(OrderedDict):
    """As in Hugging Face's transformers: a dictionary with attributes."""

    def __getattr__(self, name):
        return self[name]


@dataclass
class Output:
    loss: torch.Tensor
    logits: torch.Tensor


@pytest.mark.parametrize(
    "value",
    [
        SCORES,
        (torch.tensor(0.7), SCORES),
        (HIDDEN, SCORES),
        {"features": torch.rand(5, 64), "logits": SCORES},
        ModelOutput(loss=torch.tensor(1.0), features=torch.rand(5, 64), logits=SCORES),
        Output(torch.tensor(1.0), SCORES),
        Named(torch.rand(5, 64), SCORES),
        {"classes": torch.zeros(5, dtype=torch.long), "scores": SCORES},
        [torch.rand(4, 3), SCORES],
    ],
    ids=lambda value: type(value).__name__,
)
def test_scores_have_one_row_per_sample_and_those_called_logits_come_first(value):
    assert scores_in(value, 5) is SCORES


@pytest.mark.parametrize(
    "value",
    [HIDDEN, torch.rand(4, 3), torch.tensor(1.0), torch.zeros(5, dtype=torch.long), torch.rand(5, 0)],
    ids=lambda value: str(tuple(value.shape)),
)
def test_other_tensors_are_no_scores(value):
    assert scores_in(value, 5) is None
    assert scores_in({"logits": value}, 5) is None


def test_logits_that_are_no_scores_leave_room_for_others():
    assert scores_in({"logits": HIDDEN, "aux": SCORES}, 5) is SCORES


def test_scores_are_found_in_a_dataclass():
    @dataclass
    class Output:
        logits: torch.Tensor
        hidden: torch.Tensor

    output = Output(torch.rand(5, 3), torch.rand(5, 7))
    assert scores_in(output, samples=5) is output.logits


def test_memory_is_shared_by_a_view_and_not_by_a_copy():
    x = torch.rand(5, 4)
    assert shares_memory(x, ({"image": x.view(5, 2, 2)},))
    assert not shares_memory(x, (x.clone(), {"image": x[1:]}))
