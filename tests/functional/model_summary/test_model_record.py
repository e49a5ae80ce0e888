"""A model, as the tab gets it."""

import json

import pytest
import torch
import torchvision
from torch import nn

from lightning_cnnviz.functional.model_summary.arrangement import arranged
from lightning_cnnviz.functional.model_summary.model_record import model_tab_data
from lightning_cnnviz.functional.model_summary.network_graph import network_graph


def record(net, *shape, name="Net"):
    return model_tab_data(name, arranged(network_graph(net, torch.rand(2, *shape))), shape)


def test_each_layer_of_a_model_has_its_row_in_the_order_in_which_they_run():
    net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 24 * 24, 10, bias=False))
    net[0].weight.requires_grad_(False)
    data = record(net, 1, 28, 28)
    assert (data.kind, data.names, data.arrays) == ("model", {}, {})
    assert data.tag == "cnnviz/model"
    assert data.info["name"] == "Net"
    assert data.info["input_shape"] == [1, 28, 28]
    rows = [
        (row["name"], row["kind"], row["shape"], row["parameters"], row["trainable"]) for row in data.info["layers"]
    ]
    counted = [(row["multiply_adds"], row["runs"]) for row in data.info["layers"]]
    assert counted == [(6 * 25 * 24 * 24, 1), (0, 1), (0, 1), (10 * 6 * 24 * 24, 1)]
    assert rows == [
        ("0", "Conv2d", [6, 24, 24], 6 * 25 + 6, 6),
        ("1", "ReLU", [6, 24, 24], 0, 0),
        ("2", "Flatten", [6 * 24 * 24], 0, 0),
        ("3", "Linear", [10], 10 * 6 * 24 * 24, 10 * 6 * 24 * 24),
    ]


def test_a_layer_that_gave_no_tensor_has_no_shape_and_one_number_an_empty_one():
    class Odd(nn.Module):
        def forward(self, x):
            return "no tensor"

    class Total(nn.Module):
        def forward(self, x):
            return x.sum()

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.odd, self.total = Odd(), Total()

        def forward(self, x):
            return self.odd(x), self.total(x)

    data = record(Both(), 3)
    assert [row["shape"] for row in data.info["layers"]] == [None, []]
    assert [(node["name"], node["shape"]) for node in data.info["graph"]["nodes"]] == [("", [3]), ("total", [])]


@pytest.mark.parametrize(
    "make", [torchvision.models.resnet50, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2))]
)
def test_what_the_tab_gets_is_json_and_says_where_everything_stands(make):
    data = record(make(), 3, 64, 64, name="Net\n")
    header, payload = data.packed()
    read = json.loads(header)
    assert (read["name"], read["input_shape"], payload) == ("Net\n", [3, 64, 64], b"")
    graph = read["graph"]
    nodes = graph["nodes"]
    stacks = [k for k, node in enumerate(nodes) if node["blocks"]]
    assert set(stacks) <= set(graph["folded"]) <= set(range(len(nodes)))
    assert next(level["group"] for level in graph["levels"]) is None
    for level in graph["levels"]:
        for item in level["items"]:
            assert all(nodes[node]["parent"] == level["group"] for node in item["nodes"])
        assert all(len(edge) == 3 for edge in level["edges"])
    assert nodes[0] == {
        **{"name": "", "label": "input", "kind": "input", "role": "input", "module": False, "shape": [3, 64, 64]},
        **{"parameters": 0, "parent": None, "blocks": 0},
    }
