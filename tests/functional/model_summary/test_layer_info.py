"""What is known of layers, as the tab gets it."""

import json

import torch
from torch import nn

from lightning_cnnviz.functional.model_summary.layer_info import LayerInfo, model_tab_data
from lightning_cnnviz.functional.model_summary.layer_table import architecture


def test_each_layer_of_a_model_has_its_row_in_the_order_in_which_they_run():
    net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 24 * 24, 10, bias=False))
    net[0].weight.requires_grad_(False)
    data = model_tab_data("Net", architecture(net, torch.rand(2, 1, 28, 28)), (1, 28, 28))
    assert (data.kind, data.names, data.arrays) == ("model", {}, {})
    assert data.tag == "cnnviz/model"
    assert data.info["name"] == "Net"
    assert data.info["input_shape"] == [1, 28, 28]
    rows = [
        (row["name"], row["kind"], row["shape"], row["parameters"], row["trainable"]) for row in data.info["layers"]
    ]
    assert rows == [
        ("0", "Conv2d", [6, 24, 24], 6 * 25 + 6, 6),
        ("1", "ReLU", [6, 24, 24], 0, 0),
        ("2", "Flatten", [6 * 24 * 24], 0, 0),
        ("3", "Linear", [10], 10 * 6 * 24 * 24, 10 * 6 * 24 * 24),
    ]


def test_a_layer_that_gave_no_tensor_has_no_shape_and_one_number_an_empty_one():
    layers = [LayerInfo("a", "Odd", "other", None, 0, 0, 0, 1), LayerInfo("b", "Loss", "other", (), 0, 0, 0, 1)]
    assert [row["shape"] for row in model_tab_data("Net", layers, ()).info["layers"]] == [None, []]


def test_what_the_tab_gets_is_json():
    info = LayerInfo('say "fc"', "Linear", "linear", (10,), 110, 110, 100, 2)
    header, payload = model_tab_data("Net\n", [info], torch.Size([3, 8, 8])).packed()
    read = json.loads(header)
    assert read["layers"][0]["name"] == 'say "fc"'
    assert (read["name"], read["input_shape"], payload) == ("Net\n", [3, 8, 8], b"")


def test_a_model_without_layers_has_none():
    assert model_tab_data("Net", [], (1,)).info["layers"] == []
