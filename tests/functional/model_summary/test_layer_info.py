"""What is known of a layer."""

import torch
from torch import nn

from lightning_cnnviz.functional.model_summary.layer_info import LayerInfo
from lightning_cnnviz.functional.model_summary.layer_table import architecture


def test_a_layer_is_described_by_what_it_is_and_what_it_did():
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    net[0].bias.requires_grad_(False)
    assert architecture(net, torch.rand(2, 4)) == [
        LayerInfo("0", "Linear", "linear", (3,), 15, 12, 12, 1),
        LayerInfo("1", "ReLU", "activation", (3,), 0, 0, 0, 1),
    ]
