"""What operations read, in which call: against edges by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_cnnviz.model.data_flow import DataFlow
from lightning_cnnviz.model.execution_trace import trace_execution


def heard(function, x=None):
    """Name of each operation → names of those that it read from, in order."""
    flow, x = DataFlow(), torch.rand(2, 3, 4) if x is None else x
    with torch.no_grad(), flow.listening(x):
        function(x)
    return [(step.name, tuple(flow.steps[source].name for source in step.sources)) for step in flow.steps[1:]]


WEIGHT = torch.rand(4)


def in_place_on_a_view(x):
    y = x * 2
    y[0].exp_()
    return y + 1, y[1].cos()


def written_after_the_view(x):
    y = x * 2
    view = y[0]
    y.exp_()
    return view.cos()


def filled(x):
    y = x * 2
    y[0] = 3
    return y.cos()


def out(x):
    y = torch.empty(2, 3, 4)
    torch.add(x, x, out=y)
    return y.cos()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: (x + x).relu(), [("add", ("input",)), ("relu", ("add",))]),
        (lambda x: x * WEIGHT, [("mul", ("input",))]),
        (lambda x: torch.cat([x, x.cos()]), [("cos", ("input",)), ("cat", ("input", "cos"))]),
        (lambda x: x.detach().cos(), [("cos", ("input",))]),
        (lambda x: x.transpose(0, 1).cos(), [("transpose", ("input",)), ("cos", ("transpose",))]),
        (lambda x: x.unbind()[1].cos(), [("unbind", ("input",)), ("cos", ("unbind",))]),
        (
            in_place_on_a_view,
            [
                ("mul", ("input",)),
                ("select", ("mul",)),
                ("exp_", ("select",)),
                ("add", ("exp_", "mul")),
                ("select", ("mul",)),
                ("cos", ("select",)),
            ],
        ),
        (
            written_after_the_view,
            [("mul", ("input",)), ("select", ("mul",)), ("exp_", ("mul",)), ("cos", ("exp_",))],
        ),
        (
            filled,
            [("mul", ("input",)), ("select", ("mul",)), ("fill_", ()), ("cos", ("fill_", "mul"))],
        ),
        (out, [("add", ("input",)), ("cos", ("add",))]),
        (
            lambda x: x.clone().copy_(x.cos()).sin(),
            [("clone", ("input",)), ("cos", ("input",)), ("copy_", ("cos",)), ("sin", ("copy_",))],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_operations_read_what_computed_the_values_that_they_read(function, expected):
    assert heard(function) == expected


def test_calls_of_functions_are_those_that_the_code_makes():
    flow, x = DataFlow(), torch.rand(2, 3, 4)
    with torch.no_grad(), flow.listening(x):
        y = F.layer_norm(x, (4,)) + x
        y += 1
        y = F.dropout(y, training=False).contiguous()  # both do nothing
        y.mT[:, 0].softmax(-1)
        assert y.shape == (2, 3, 4)
        assert y.dim() == 3
    assert [call.name for call in flow.root.calls] == ["layer_norm", "add", "add_", "mT", "__getitem__", "softmax"]
    assert [call.shape for call in flow.root.calls] == [(2, 3, 4)] * 3 + [(2, 4, 3), (2, 3), (2, 3)]


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.drop, self.norm = nn.Conv1d(3, 3, 1), nn.Dropout(), nn.Identity()

    def forward(self, x):
        y = self.drop(self.conv(x))
        return self.norm(y) + y


def test_what_hands_its_input_on_is_told_from_its_input():
    flow = trace_execution(Named(), torch.rand(2, 3, 4)).flow
    names = [step.call.name if step.call.is_module else step.call.parent.name for step in flow.steps[1:]]
    assert names == ["conv", "drop", "norm", ""]
    assert [step.sources for step in flow.steps[1:]] == [(0,), (1,), (2,), (3, 2)]


def test_a_call_that_fails_is_over():
    def tries(x):
        try:
            x.view(7)
        except RuntimeError:
            return x.cos()

    flow, x = DataFlow(), torch.rand(2, 3)
    with torch.no_grad(), flow.listening(x):
        tries(x)
    assert [call.name for call in flow.root.calls] == ["view", "cos"]


def test_what_runs_sample_by_sample_is_followed_as_a_whole():
    class Each(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return torch.func.vmap(lambda row: self.layer(row))(x) + 1

    flow = trace_execution(Each(), torch.rand(3, 4)).flow
    (model,) = flow.root.calls
    assert [call.name for call in model.calls] == ["layer", "add"]
    assert flow.steps[-1].call is model.calls[1]
    assert flow.steps[flow.steps[-1].sources[0]].call is model.calls[0]


@pytest.mark.parametrize(
    "leave",
    [lambda x: x.numpy(), lambda x: x.tolist(), lambda x: x.sum().item(), lambda x: float(x.sum()), np.asarray],
    ids=["numpy", "tolist", "item", "float", "asarray"],
)
def test_where_values_leave_is_known(leave):
    flow, x = DataFlow(), torch.rand(2, 3)
    with torch.no_grad(), flow.listening(x):
        y = x.cos()
        leave(y)
        torch.zeros(1) + 1
    (left,) = [call for call in flow.root.calls if call.left]
    assert {flow.steps[source].name for source in left.left} <= {"cos", "sum"}


def test_memory_that_nothing_was_seen_to_fill_is_noticed():
    def unseen(x):
        y = torch.empty_like(x)
        np.asarray(memoryview(y.numpy()))[...] = x.numpy()
        return y.cos()

    flow, x = DataFlow(), torch.rand(2, 3)
    with torch.no_grad(), flow.listening(x):
        unseen(x)
    assert [call.name for call in flow.root.calls if call.unseen] == ["cos"]
