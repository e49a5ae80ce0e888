"""What ran, in which order, with which shapes and how many operations: against formulas by hand."""

import pytest
import torch
from helpers.stateful import Net, X, assert_leaves_no_trace
from torch import nn
from torch.nn.utils import parametrizations

from lightning_cnnviz.model.execution_trace import owner_of, trace_execution


def by_innermost(trace):
    """Innermost running module → operations."""
    found = {}
    for running, flops in trace.flops.items():
        if flops:
            found[running[-1]] = found.get(running[-1], 0) + flops
    return found


def test_modules_are_named_in_the_order_in_which_they_begin_with_the_shapes_of_one_sample():
    trace = trace_execution(Net(), X)
    assert list(trace.runs) == ["", "conv", "norm", "relu", "drop", "fc"]
    assert trace.shapes == {
        "": (3,),
        "conv": (4, 4, 4),
        **dict.fromkeys(["norm", "relu", "drop"], (4, 4, 4)),
        "fc": (3,),
    }
    assert set(trace.runs.values()) == {1}


@pytest.mark.parametrize(
    ("layer", "shape", "multiply_adds"),
    [
        (nn.Linear(7, 5), (7,), 7 * 5),
        (nn.Conv2d(3, 8, (3, 5), padding=1), (3, 9, 11), 8 * 3 * 15 * 9 * 9),
        (nn.Conv2d(4, 8, 3, stride=2, groups=2), (4, 9, 9), 8 * 2 * 9 * 4 * 4),
        (nn.Conv1d(2, 3, 4), (2, 10), 3 * 2 * 4 * 7),
        (nn.ConvTranspose2d(3, 2, 3, stride=2), (3, 4, 4), 3 * 2 * 9 * 4 * 4),
        (nn.LSTM(6, 5, batch_first=True), (8, 6), 8 * 4 * 5 * (6 + 5)),
        (nn.GRU(6, 5, num_layers=2, batch_first=True), (8, 6), 8 * 3 * 5 * (6 + 5 + 5 + 5)),
        (nn.ReLU(), (9,), 0),
        (nn.BatchNorm2d(3), (3, 4, 4), 0),
    ],
    ids=lambda value: str(value)[:28],
)
def test_operations_are_twice_the_multiplications_of_the_textbook(layer, shape, multiply_adds):
    samples = 3
    trace = trace_execution(nn.Sequential(layer), torch.rand(samples, *shape))
    assert by_innermost(trace) == ({"0": 2 * samples * multiply_adds} if multiply_adds else {})


def test_attention_counts_its_projections_and_its_two_products():
    samples, tokens, width = 2, 5, 8

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.own = nn.MultiheadAttention(width, 2, batch_first=True)

        def forward(self, x):
            return self.own(x, x, x, need_weights=False)[0]

    trace = trace_execution(Attention(), torch.rand(samples, tokens, width))
    projections, products = 4 * tokens * width * width, 2 * tokens * tokens * width
    assert sum(by_innermost(trace).values()) == 2 * samples * (projections + products)


def test_what_a_module_computes_between_its_parts_is_its_own():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)
            self.weight = nn.Parameter(torch.rand(4, 2))

        def forward(self, x):
            return self.inner(self.inner(x @ self.weight @ self.weight.T)) @ self.weight

    trace = trace_execution(nn.Sequential(Mixed()), torch.rand(3, 4))
    assert by_innermost(trace) == {"0": 2 * 3 * (8 + 8 + 8), "0.inner": 2 * 3 * 2 * 16}
    assert trace.runs["0.inner"] == 2
    assert trace.flops["", "0", "0.inner"] == 2 * 3 * 2 * 16


def test_a_shared_layer_runs_twice_and_keeps_the_shape_of_its_first_run():
    pool = nn.MaxPool2d(2)
    trace = trace_execution(nn.Sequential(pool, nn.ReLU(), pool), torch.rand(2, 1, 8, 8))
    assert trace.runs["0"] == 2
    assert trace.shapes["0"] == (1, 4, 4)


def test_shapes_without_a_row_per_sample_stay_as_they_are_and_without_a_tensor_there_is_none():
    class Given(nn.Module):
        def __init__(self):
            super().__init__()
            self.total, self.words, self.pair = Gives(lambda x: x.sum()), Gives(lambda x: "w"), Gives(lambda x: (x, 1))

        def forward(self, x):
            self.total(x), self.words(x), self.pair(x)
            return x

    class Gives(nn.Module):
        def __init__(self, make):
            super().__init__()
            self.make = make

        def forward(self, x):
            return self.make(x)

    assert trace_execution(Given(), torch.rand(4, 2)).shapes == {"total": (), "words": None, "pair": (2,), "": (2,)}


def test_what_computes_a_weight_belongs_to_the_layer_that_has_it():
    net = nn.Sequential(parametrizations.orthogonal(nn.Linear(6, 6)), nn.ReLU())
    trace = trace_execution(net, torch.rand(2, 6))
    assert list(trace.runs) == ["", "0", "1"]
    assert by_innermost(trace).keys() == {"0"}
    assert by_innermost(trace)["0"] >= 2 * 2 * 36  # the product, and what makes the matrix orthogonal
    assert owner_of("0.parametrizations.weight.0") == "0"
    assert owner_of("parametrizations.weight.0") == ""
    assert owner_of("a.b") == "a.b"


def test_a_compiled_model_is_traced_uncompiled():
    compiled = []
    net = torch.compile(
        nn.Sequential(nn.Linear(4, 3), nn.ReLU()), backend=lambda g, _: compiled.append(g) or g.forward
    )
    trace = trace_execution(net, torch.rand(5, 4))
    assert by_innermost(trace) == {"_orig_mod.0": 2 * 5 * 12}
    assert compiled == []


def test_scripted_parts_are_passed_over():
    net = nn.Sequential(torch.jit.script(nn.Linear(4, 3)), nn.ReLU())
    assert list(trace_execution(net, torch.rand(5, 4)).runs) == ["", "1"]


@pytest.mark.parametrize("fail", [False, True], ids=["", "forward fails"])
def test_a_trace_leaves_no_trace(fail):
    assert_leaves_no_trace(trace_execution, fail)
