"""Channels are found where layers have them, whatever reshapes between."""

import pytest
import torch
import torchvision
from helpers.networks import Audio, ViT, Volume
from torch import nn

from lightning_cnnviz.functional.model_summary.channel_order import channels_last
from lightning_cnnviz.functional.model_summary.network_graph import network_graph


def channels(net, *shape):
    """Name or kind of each node → its number of channels."""
    graph = network_graph(net, torch.rand(1, *shape))
    order = channels_last(graph)
    return {
        node.name if node.is_module else node.kind: node.shape[-1 if last else 0]
        for node, last in zip(graph.nodes, order, strict=True)
    }


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv1d(2, 6, 3, padding=1), nn.Conv1d(6, 6, 3, padding=1)

    def forward(self, x):
        y = self.one(x)
        return (self.two(y) + y).relu()


@pytest.mark.parametrize(
    ("net", "shape", "expected"),
    [
        (Residual(), (2, 50), {"input": 2, "one": 6, "two": 6, "add": 6, "relu": 6}),
        (Audio(), (1, 200), {"input": 1, "net.0": 6, "net.2": 8, "net.3": 8}),
        (Volume(), (1, 6, 8, 8), {"input": 1, "net.0": 4, "net.2": 4}),
        (ViT(), (1, 8, 8), {"input": 1, "patches": 8, "flatten": 8, "transpose": 8, "encoder.layers.0": 8}),
        (nn.Sequential(nn.LSTM(5, 7, batch_first=True)), (9, 5), {"input": 5, "0": 7}),
        (nn.TransformerEncoderLayer(64, 2, 256, batch_first=True), (9, 64), {"linear1": 256, "add": 64, "input": 64}),
    ],
    ids=["residual", "1-D", "3-D", "tokens", "recurrent", "transformer"],
)
def test_channels(net, shape, expected):
    found = channels(net, *shape)
    assert {name: found[name] for name in expected} == expected


def test_patches_become_tokens():
    found = channels(torchvision.models.vit_b_32(), 3, 224, 224)
    names = ("conv_proj", "reshape", "permute", "cat", "encoder.layers.encoder_layer_3", "encoder.ln")
    assert [found[name] for name in names] == [768] * 6
