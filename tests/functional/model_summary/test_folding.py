"""What a network repeats is put together and folded, until it has as many columns as a page has room for."""

import pytest
import torch
import torchvision
from torch import nn

from lightning_cnnviz.functional.model_summary.arrangement import arranged
from lightning_cnnviz.functional.model_summary.folding import MAX_COLUMNS, stacked
from lightning_cnnviz.functional.model_summary.network_graph import network_graph


def graph_of(name, size=96):
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return network_graph(getattr(torchvision.models, name)(**options), torch.rand(1, 3, size, size))


def stacks(graph):
    return {node.name: node.blocks for node in graph.nodes if node.blocks}


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("resnet18", 64, {}),
        ("resnet50", 64, {"layer2.1": 3, "layer3.1": 5}),
        ("vit_b_32", 224, {"encoder.layers.encoder_layer_0": 12}),
        ("convnext_tiny", 64, {"features.1.0": 3, "features.3.0": 3, "features.5.0": 9, "features.7.0": 3}),
        ("vgg16", 64, {}),
    ],
)
def test_equal_blocks_in_a_row_are_put_together(name, size, expected):
    plain = graph_of(name, size)
    graph = stacked(plain)
    assert stacks(graph) == expected
    kept = [index for index, node in enumerate(graph.nodes) if not node.blocks]
    place = {index: k for k, index in enumerate(kept)}
    assert [(place[source], place[target]) for source, target in graph.edges] == list(plain.edges)
    assert [graph.nodes[k]._replace(parent=None) for k in kept] == [node._replace(parent=None) for node in plain.nodes]
    for index, node in enumerate(graph.nodes):
        if node.blocks:
            inside = [other for other in graph.nodes if other.parent == index]
            assert len(inside) == node.blocks == len({other.name for other in inside})
            assert {other.kind for other in inside} == {node.kind}
            assert node.parameters == sum(other.parameters for other in inside)


class Block(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.one, self.two = nn.Linear(4, width), nn.Linear(width, 4)

    def forward(self, x):
        return self.two(self.one(x))


class Row(nn.Module):
    def __init__(self, widths, last=lambda blocks, x: x):
        super().__init__()
        self.blocks, self.last = nn.ModuleList(map(Block, widths)), last

    def forward(self, x):
        results = []
        for block in self.blocks:
            results.append(x := block(x))
        return self.last(results, x)


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (Row([4, 4, 4]), {"blocks.0": 3}),
        (Row([4, 4]), {}),
        (Row([4, 4, 4, 8, 4, 4, 4, 4]), {"blocks.0": 3, "blocks.4": 4}),
        (Row([4] * 4, lambda results, x: x + results[1]), {}),  # read from elsewhere, too
        (Row([4] * 5, lambda results, x: x + results[0]), {"blocks.1": 4}),
    ],
    ids=["three", "two", "another between", "a skip from within", "a skip from the first"],
)
def test_blocks_must_be_equal_and_read_from_each_other_alone(net, expected):
    assert stacks(stacked(network_graph(net, torch.rand(1, 4)))) == expected


@pytest.mark.parametrize(
    ("name", "folded", "unfolded"),
    [
        ("resnet18", {"layer1.0", "layer1.1", "layer4.1"}, {"layer1", "layer4"}),
        ("googlenet", {"inception3a", "conv1", "inception3a.branch2.0"}, {"inception3a.branch2"}),
        ("vgg16", set(), {"features", "classifier"}),
    ],
)
def test_classes_that_occur_again_are_folded(name, folded, unfolded):
    arrangement = arranged(graph_of(name))
    found = {arrangement.graph.nodes[index].name for index in arrangement.folded}
    assert folded <= found
    assert not unfolded & found


def columns(arrangement, group):
    """How many columns stand side by side in a group as it is first seen."""
    (level,) = [level for level in arrangement.levels if level.group == group]
    widths = {}
    for item in level.items:
        open_group = bool(item.nodes) and arrangement.graph.nodes[item.nodes[0]].is_group
        open_group = open_group and item.nodes[0] not in arrangement.folded
        inside = columns(arrangement, item.nodes[0]) if open_group else int(bool(item.nodes))
        widths[item.column] = max(widths.get(item.column, 0), inside)
    return sum(widths.values())


@pytest.mark.parametrize(
    "name", ["resnet152", "googlenet", "densenet201", "vgg19_bn", "efficientnet_b0", "inception_v3", "mobilenet_v2"]
)
def test_a_page_is_wide_enough_for_what_is_first_seen(name):
    assert 1 < columns(arranged(graph_of(name)), None) <= MAX_COLUMNS


def test_what_has_no_groups_cannot_be_folded():
    net = nn.Sequential(*[nn.Linear(2, 2) for _ in range(40)])
    arrangement = arranged(network_graph(net, torch.rand(1, 2)))
    assert arrangement.folded == frozenset()
    assert columns(arrangement, None) == 41
