"""A model as data for the tab."""

from collections.abc import Sequence
from typing import Any

from lightning_cnnviz.functional.model_summary.arrangement import Arrangement
from lightning_cnnviz.functional.tab.data import TabData


def model_tab_data(name: str, arrangement: Arrangement, input_shape: Sequence[int]) -> TabData:
    """Returns a model's layers, in order of execution, and its arranged graph as data for the tab.

    Example:
        >>> import torch
        >>> from lightning_cnnviz.functional.model_summary.arrangement import arranged
        >>> from lightning_cnnviz.functional.model_summary.network_graph import network_graph
        >>> graph = network_graph(torch.nn.Sequential(torch.nn.Linear(4, 3)), torch.rand(1, 4))
        >>> info = model_tab_data("Net", arranged(graph), (4,)).info
        >>> info["layers"][0]["multiply_adds"], info["graph"]["levels"][0]["edges"]
        (12, [[0, 1, 0]])
    """
    rows = [
        {
            "name": info.name,
            "kind": info.kind,
            "shape": None if info.output_shape is None else list(info.output_shape),
            "parameters": info.parameters,
            "trainable": info.trainable,
            "multiply_adds": info.multiply_adds,
            "runs": info.runs,
        }
        for info in arrangement.graph.infos
    ]
    described = {"name": name, "input_shape": list(input_shape), "layers": rows, "graph": _graph(arrangement)}
    return TabData("model", {}, described, {})


def _graph(arrangement: Arrangement) -> dict[str, Any]:
    graph = arrangement.graph
    nodes = [
        {
            "name": node.name,
            "label": label,
            "kind": node.kind,
            "role": node.role,
            "module": node.is_module,
            "shape": None if node.shape is None else list(node.shape),
            "parameters": node.parameters,
            "parent": node.parent,
            "blocks": node.blocks,
        }
        for node, label in zip(graph.nodes, arrangement.labels, strict=True)
    ]
    levels = [
        {
            "group": level.group,
            "items": [{"nodes": list(item.nodes), "column": item.column, "lane": item.lane} for item in level.items],
            "edges": [list(edge) for edge in level.edges],
        }
        for level in arrangement.levels
    ]
    return {
        "nodes": nodes,
        "levels": levels,
        "folded": sorted(arrangement.folded),
        "within": arrangement.within,
        "notes": list(graph.notes),
    }
