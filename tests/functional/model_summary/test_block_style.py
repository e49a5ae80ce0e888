"""What stands for a node: as many boxes as parts, in the colours of their roles, with the words that name them."""

import torch
import torchvision
from matplotlib import color_sequences
from matplotlib.colors import to_rgb

from lightning_cnnviz.functional.model_summary.arrangement import arranged
from lightning_cnnviz.functional.model_summary.block_style import ROLE_COLOURS, BlockStyle
from lightning_cnnviz.functional.model_summary.network_graph import network_graph


def test_colours_are_made_for_colour_blind_readers_and_all_differ():
    known = [tuple(round(255 * part) for part in to_rgb(colour)) for colour in color_sequences["petroff10"]]
    assert set(ROLE_COLOURS.values()) - set(known) == {ROLE_COLOURS["input"]}
    assert len(set(ROLE_COLOURS.values())) == len(ROLE_COLOURS) == 9


def test_blocks_have_a_box_for_each_part():
    arrangement = arranged(network_graph(torchvision.models.resnet18(), torch.rand(1, 3, 64, 64)))
    style = BlockStyle(arrangement, zoom=1.0)
    blocks = {
        arrangement.labels[item.nodes[0]]: style.block(item)
        for level in arrangement.levels
        for item in level.items
        if item.nodes and (level.group is None or arrangement.graph.nodes[level.group].name == "layer2")
    }

    def roles(name):
        colours = {colour: role for role, colour in ROLE_COLOURS.items()}
        return [colours[box.colour] for box in blocks[name].boxes]

    assert roles("conv1") == ["convolution", "normalisation", "activation"]
    convolutions = ["convolution", "normalisation", "activation", "convolution", "normalisation"]
    assert roles("1 BasicBlock") == [*convolutions, "other", "activation"]
    assert roles("0 BasicBlock") == [*convolutions, "convolution", "normalisation", "other", "activation"]
    assert roles("fc") == ["linear"]
    assert blocks["conv1"].lines == ["64", "32×32", "conv1", "bn1", "relu"]
    assert blocks["1 BasicBlock"].lines == ["128", "8×8", "1 BasicBlock"]
    assert blocks["fc"].lines == ["1000", "fc"]
    assert {box.thickness for box in blocks["1 BasicBlock"].boxes} == {5.0}
    assert style.roles == {"input", *convolutions, "pooling", "linear", "other"}
