"""Where the nodes of a network stand, group by group, so that any group can be folded and unfolded in place."""

import re
from collections.abc import Sequence
from itertools import pairwise, takewhile
from math import prod
from typing import NamedTuple, TypeVar

from lightning_cnnviz.functional.model_summary.folding import folded_at_first, stacked
from lightning_cnnviz.functional.model_summary.layer_info import GraphNode, NetworkGraph
from lightning_cnnviz.functional.model_summary.layered_layout import layered_layout

T = TypeVar("T")
ATTACHED_ROLES = ("normalisation", "activation", "dropout")


class Item(NamedTuple):
    """Something at one place of a level.

    Attributes:
        nodes: A node and those attached to it; one group; or none, where data enter or leave the group.
        column: From the left.
        lane: From the top; 0 is that of the first path.
    """

    nodes: tuple[int, ...]
    column: int
    lane: int


class Level(NamedTuple):
    """What is directly in a group, or in the network.

    Attributes:
        group: Index of the group; None for the network.
        items: What there is, in order of execution.
        edges: Source, target (indices of items) and the lane in which the edge passes the columns between them.
    """

    group: int | None
    items: tuple[Item, ...]
    edges: tuple[tuple[int, int, int], ...]


class Arrangement(NamedTuple):
    """A network, arranged.

    Attributes:
        graph: The network, with equal blocks in a row put together.
        labels: The name of each node within its group.
        folded: The groups that are folded at first.
        levels: The network and all its groups.
        within: What all names begin with, which the labels leave out.
    """

    graph: NetworkGraph
    labels: tuple[str, ...]
    folded: frozenset[int]
    levels: tuple[Level, ...]
    within: str


def arranged(graph: NetworkGraph) -> Arrangement:
    """Arranges a network; a layer that only normalises, activates or reshapes is attached to the one it reads from."""
    graph = stacked(graph)
    members: dict[int | None, list[int]] = {None: []}
    for index, node in enumerate(graph.nodes):
        members.setdefault(node.parent, []).append(index)
    edges = _edges_by_level(graph)
    levels = tuple(_level(graph, group, members[group], edges.get(group, {})) for group in members)
    columns = [1] * len(graph.nodes)
    for level in levels:
        if level.group is not None:
            columns[level.group] = len({item.column for item in level.items if item.nodes})
    around = [node.name.split(".")[:-1] for node in graph.nodes if node.parent is None and node.is_module]
    within = ".".join(_common(*around))
    labels = tuple(_label(graph, node, within) for node in graph.nodes)
    return Arrangement(graph, labels, frozenset(folded_at_first(graph, columns)), levels, within)


_IN, _OUT = -1, -2


def _edges_by_level(graph: NetworkGraph) -> dict[int | None, dict[tuple[int, int], None]]:
    """The edges between what is directly in each group; -1 stands for what enters, -2 for what leaves the group."""
    found: dict[int | None, dict[tuple[int, int], None]] = {}
    for source, target in graph.edges:
        above_source, above_target = _path(graph, source), _path(graph, target)
        shared = len(_common(above_source, above_target))
        ends = above_source[shared], above_target[shared]
        found.setdefault(graph.nodes[ends[0]].parent, {})[ends] = None
        for group, child in pairwise(above_source[shared:]):
            found.setdefault(group, {})[child, _OUT] = None
        for group, child in pairwise(above_target[shared:]):
            found.setdefault(group, {})[_IN, child] = None
    return found


def _common(*sequences: Sequence[T]) -> list[T]:
    """What all sequences begin with."""
    return [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*sequences, strict=False))]


def _path(graph: NetworkGraph, node: int) -> list[int]:
    path = [node]
    while (parent := graph.nodes[path[0]].parent) is not None:
        path.insert(0, parent)
    return path


def _level(
    graph: NetworkGraph, group: int | None, members: Sequence[int], edges: dict[tuple[int, int], None]
) -> Level:
    units = _units(graph, members, list(edges))
    if group is not None:
        units = [(_IN,), *units, (_OUT,)]
    place = {node: index for index, unit in enumerate(units) for node in unit}
    between = list(dict.fromkeys((place[source], place[target]) for source, target in edges))
    between = sorted((source, target) for source, target in between if source != target)
    layout = layered_layout(len(units), between, ends=group is not None)
    items = tuple(
        Item(tuple(node for node in unit if node >= 0), column, lane)
        for unit, column, lane in zip(units, layout.columns, layout.lanes, strict=True)
    )
    return Level(group, items, tuple((*edge, track) for edge, track in zip(between, layout.tracks, strict=True)))


def _units(graph: NetworkGraph, members: Sequence[int], edges: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Groups each node with those that are attached to it."""
    units: dict[int, list[int]] = {}
    for node in members:
        read = [source for source, target in edges if target == node]
        host = next((unit for unit in units.values() if read == [unit[-1]]), None)
        alone = host is not None and sum(source == host[-1] for source, _ in edges) == 1
        if host is not None and alone and _attaches(graph.nodes[host[-1]], graph.nodes[node]):
            host.append(node)
        else:
            units[node] = [node]
    return [tuple(unit) for unit in units.values()]


def _attaches(before: GraphNode, node: GraphNode) -> bool:
    if before.is_group or node.is_group or before.shape is None or node.shape is None:
        return False
    if node.role in ATTACHED_ROLES:
        return node.shape == before.shape
    return node.role == "other" and not node.parameters and prod(node.shape) == prod(before.shape)


def _label(graph: NetworkGraph, node: GraphNode, within: str) -> str:
    if not node.is_module:
        return node.kind
    around = node.parent
    while around is not None and (graph.nodes[around].blocks or graph.nodes[around].name == node.name):
        around = graph.nodes[around].parent
    outer = within if around is None else graph.nodes[around].name
    name = node.name.removeprefix(f"{outer}.") if outer else node.name
    if node.blocks:
        inside = [other for other in graph.nodes if other.parent is not None and graph.nodes[other.parent] is node]
        name += "…" + re.sub(r".*?(\d*)$", r"\1", inside[-1].name)
    name = name if any(map(str.isalpha, name)) else f"{name} {node.kind}"
    return f"{name} ({node.run})" if node.run else name
