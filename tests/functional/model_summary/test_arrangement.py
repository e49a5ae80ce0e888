"""Levels hold every node once, and show exactly the edges that cross between their parts."""

import pytest
import torch
import torchvision
from helpers.networks import Shared, UNet, ViT
from torch import nn

from lightning_cnnviz.functional.model_summary.arrangement import arranged
from lightning_cnnviz.functional.model_summary.network_graph import network_graph

NETWORKS = {
    "resnet18": (torchvision.models.resnet18, (3, 64, 64)),
    "googlenet": (lambda: torchvision.models.googlenet(init_weights=False), (3, 64, 64)),
    "vit_b_32": (torchvision.models.vit_b_32, (3, 224, 224)),
    "densenet121": (torchvision.models.densenet121, (3, 64, 64)),
    "unet": (UNet, (1, 8, 8)),
    "transformer": (ViT, (1, 8, 8)),
    "shared": (Shared, (1, 8, 8)),
}


@pytest.fixture(scope="module", params=NETWORKS)
def arrangement(request):
    make, shape = NETWORKS[request.param]
    return arranged(network_graph(make(), torch.rand(1, *shape)))


def test_every_node_has_one_place_in_the_level_of_its_group(arrangement):
    groups = [index for index, node in enumerate(arrangement.graph.nodes) if node.is_group]
    assert [level.group for level in arrangement.levels] == [None, *groups]
    found = {node: level.group for level in arrangement.levels for item in level.items for node in item.nodes}
    assert found == {index: node.parent for index, node in enumerate(arrangement.graph.nodes)}
    for level in arrangement.levels:
        assert sum(len(item.nodes) for item in level.items) == len({n for item in level.items for n in item.nodes})
        places = [(item.column, item.lane) for item in level.items]
        assert len(places) == len(set(places))


def test_edges_of_a_level_are_those_that_cross_between_its_items(arrangement):
    graph = arrangement.graph

    def above(node):
        return [] if node is None else [node, *above(graph.nodes[node].parent)]

    around = [set(above(index)) for index in range(len(graph.nodes))]
    for level in arrangement.levels:
        expected = set()
        for source, target in graph.edges:
            ends = []
            for node, port in ((source, 0), (target, len(level.items) - 1)):
                inside = level.group is None or level.group in around[node]
                at = [k for k, item in enumerate(level.items) if inside and set(item.nodes) & around[node]]
                ends.append(at[0] if at else port)
            crosses = level.group is None or level.group in around[source] | around[target]
            if crosses and ends[0] != ends[1]:
                expected.add(tuple(ends))
        assert {edge[:2] for edge in level.edges} == expected
        for source, target, _ in level.edges:
            assert level.items[source].column < level.items[target].column


def test_what_is_attached_reads_from_its_host_alone_and_keeps_its_shape(arrangement):
    graph = arrangement.graph
    attached = 0
    for level in arrangement.levels:
        for item in level.items:
            for before, node in zip(item.nodes, item.nodes[1:], strict=False):
                attached += 1
                assert [source for source, target in graph.edges if target == node] == [before]
                assert [target for source, target in graph.edges if source == before] == [node]
                one, other = graph.nodes[before], graph.nodes[node]
                same = one.shape == other.shape or (other.role == "other" and not other.parameters)
                assert same
                assert not (one.is_group)
                assert not (other.is_group)
    assert attached


def test_labels_are_names_within_the_group():
    arrangement = arranged(network_graph(torchvision.models.resnet50(), torch.rand(1, 3, 64, 64)))
    labels = {node.name: label for node, label in zip(arrangement.graph.nodes, arrangement.labels, strict=True)
              if node.is_module and not node.blocks}  # fmt: skip
    assert labels["layer2.1.conv1"] == "conv1"
    assert labels["layer2.1"] == "1 Bottleneck"
    assert labels["layer2.0.downsample.0"] == "0 Conv2d"
    assert labels["conv1"] == "conv1"
    stacks = [label for node, label in zip(arrangement.graph.nodes, arrangement.labels, strict=True) if node.blocks]
    assert stacks == ["1…3 Bottleneck", "1…5 Bottleneck"]
    assert arrangement.within == ""


def test_what_all_names_begin_with_is_left_out_of_them():
    class Within(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nn.Sequential()
            self.model.add_module("net", nn.Sequential())
            self.model.net.add_module("conv", nn.Conv2d(1, 2, 3))
            self.model.net.add_module("again", nn.Conv2d(2, 2, 3))

        def forward(self, x):
            return self.model.net.again(self.model(x))

    arrangement = arranged(network_graph(Within(), torch.rand(1, 1, 8, 8)))
    assert arrangement.within == "model"
    assert arrangement.labels == ("input", "net", "conv", "again (1)", "net.again (2)")
