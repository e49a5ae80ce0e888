"""Blocks that a network repeats: which are put together, and which groups are folded at first."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from lightning_cnnviz.functional.model_summary.layer_info import GraphNode, NetworkGraph

FEWEST_STACKED = 3
"""So many equal blocks in a row are put together."""
MAX_COLUMNS = 26
"""Columns that a page is wide enough for; further groups are folded until there are no more, as far as possible."""


def stacked(graph: NetworkGraph) -> NetworkGraph:
    """Puts equal blocks that follow each other, each reading from the one before alone, into a group with a count."""
    runs = [run for siblings in _siblings(graph) for run in _runs(graph, siblings) if len(run) >= FEWEST_STACKED]
    if not runs:
        return graph
    starts = {run[0]: run for run in runs}
    places: dict[int, int] = {}
    nodes: list[GraphNode] = []
    stack_of: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        parent = None if node.parent is None else places[node.parent]
        if index in starts:
            run = starts[index]
            parameters = sum(graph.nodes[block].parameters for block in run)
            last = graph.nodes[run[-1]]
            nodes.append(node._replace(shape=last.shape, parameters=parameters, parent=parent, blocks=len(run)))
            stack_of |= dict.fromkeys(run, len(nodes) - 1)
        places[index] = len(nodes)
        nodes.append(node._replace(parent=stack_of.get(index, parent)))
    edges = tuple((places[source], places[target]) for source, target in graph.edges)
    return graph._replace(nodes=tuple(nodes), edges=edges)


def folded_at_first(graph: NetworkGraph, columns: Sequence[int]) -> set[int]:
    """Returns the groups to fold: stacks, and blocks of a class that occurs more than once.

    Args:
        graph: From `stacked`.
        columns: Number of columns within each group, by index, whose parts are all folded; 1 for other nodes.
    """
    groups = [index for index, node in enumerate(graph.nodes) if node.is_group]
    kinds = Counter(node.kind for node in graph.nodes if node.is_group and not node.blocks)
    folded = {
        index
        for index in groups
        if graph.nodes[index].blocks
        or (kinds[graph.nodes[index].kind] > 1 and graph.nodes[index].kind != "Sequential")
    }
    while True:
        width = _visible_columns(graph, folded, columns)
        open_groups = [group for group in groups if group not in folded and width[group]]
        if (
            sum(width[i] for i, node in enumerate(graph.nodes) if node.parent is None) <= MAX_COLUMNS
            or not open_groups
        ):
            return folded
        folded.add(max(open_groups, key=lambda group: width[group]))


def structure(graph: NetworkGraph, group: int) -> tuple[object, ...]:
    """What two groups have in common that are built alike, whatever the shapes in them."""
    end = _end(graph, group)
    parts = tuple((node.kind, (node.parent or 0) - group) for node in graph.nodes[group + 1 : end])
    return graph.nodes[group].kind, parts, _inner_edges(graph, group, end)


def _visible_columns(graph: NetworkGraph, folded: set[int], columns: Sequence[int]) -> list[int]:
    """Columns that each node takes; 0 within a folded group."""
    width = [1] * len(graph.nodes)
    for index in reversed(range(len(graph.nodes))):
        if graph.nodes[index].is_group and index not in folded:
            inside = sum(width[i] - 1 for i, node in enumerate(graph.nodes) if node.parent == index and node.is_group)
            width[index] = columns[index] + inside
    for index, node in enumerate(graph.nodes):
        if node.parent is not None and (node.parent in folded or not width[node.parent]):
            width[index] = 0
    return width


def _siblings(graph: NetworkGraph) -> list[list[int]]:
    found: dict[int | None, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        found.setdefault(node.parent, []).append(index)
    return list(found.values())


def _runs(graph: NetworkGraph, siblings: Sequence[int]) -> list[list[int]]:
    """Equal groups in a row that read from each other alone."""
    runs: list[list[int]] = []
    ends = {index: _end(graph, index) for index in siblings}
    for alike, members in groupby(siblings, key=lambda index: _signature(graph, index, ends[index])):
        for block in members:
            before = runs[-1][-1] if runs and runs[-1] else None
            if alike is not None and before is not None and _follows(graph, before, block, ends):
                runs[-1].append(block)
            else:
                runs.append([block] if alike is not None else [])
        runs.append([])
    return runs


def _follows(graph: NetworkGraph, before: int, block: int, ends: dict[int, int]) -> bool:
    inside, after = range(before, ends[before]), range(block, ends[block])
    read = [source for source, target in graph.edges if target in after and source not in after]
    readers = [target for source, target in graph.edges if source in inside and target not in inside]
    return all(source in inside for source in read) and all(target in after for target in readers)


def _end(graph: NetworkGraph, index: int) -> int:
    """The index behind the last node in a group."""
    inside = {index}
    for place in range(index + 1, len(graph.nodes)):
        if graph.nodes[place].parent not in inside:
            return place
        inside.add(place)
    return len(graph.nodes)


def _signature(graph: NetworkGraph, index: int, end: int) -> tuple[object, ...] | None:
    """What a group has in common with those that are equal to it; None for a node that is no group."""
    if not graph.nodes[index].is_group:
        return None
    parts = tuple(
        (node.kind, node.shape, node.parameters, None if i == index else (node.parent or 0) - index)
        for i, node in enumerate(graph.nodes[index:end], start=index)
    )
    return parts, _inner_edges(graph, index, end)


def _inner_edges(graph: NetworkGraph, start: int, end: int) -> tuple[tuple[int, int], ...]:
    return tuple((source - start, target - start) for source, target in graph.edges if start <= source < target < end)
