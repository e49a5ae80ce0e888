"""Places in a layered drawing of a graph: columns from left to right, lanes from top to bottom.

Places are whole numbers, so that sizes may be settled by whoever draws, in any font. Libraries that lay out layered
graphs give pixels, and each of them is unmaintained, new, or under a licence that asks more of users than ours.
"""

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple


class LayeredLayout(NamedTuple):
    """Places of nodes and edges; no two nodes share one, and no edge runs through a node's.

    Attributes:
        columns: Of each node; edges go from lower to higher ones.
        lanes: Of each node; 0 is that of the first path, others are below, from 1, and above, from -1.
        tracks: Of each edge, the lane in which it passes the columns between its ends.
    """

    columns: tuple[int, ...]
    lanes: tuple[int, ...]
    tracks: tuple[int, ...]


def layered_layout(nodes: int, edges: Sequence[tuple[int, int]], *, ends: bool = False) -> LayeredLayout:
    """Lays out an acyclic graph.

    A node's column follows the longest path to it; one that nothing leads to stands right before the first that needs
    it. A node keeps the lane of what it reads from if that is free. Edges of one node that pass other columns share a
    track, which is in the node's lane if that is free up to their ends, otherwise above it.

    Args:
        nodes: Number of nodes, numbered in order of execution.
        edges: Pairs of nodes, from a lower to a higher number.
        ends: Whether the first and the last node have the first and the last column to themselves.

    Example:
        >>> layered_layout(4, [(0, 1), (1, 2), (2, 3), (0, 3)])
        LayeredLayout(columns=(0, 1, 2, 3), lanes=(0, 0, 0, 0), tracks=(0, 0, 0, -1))
    """
    columns = _columns(nodes, edges, ends)
    lanes = _lanes(columns, edges)
    if ends:
        lanes[-1] = 0  # alone in its column
    taken = set(zip(columns, lanes, strict=True))
    reach: dict[int, int] = {}
    for source, target in edges:
        reach[source] = max(reach.get(source, 0), columns[target])
    tracks: dict[int, int] = {}
    for source in sorted(reach, key=lambda node: (reach[node] - columns[node], -columns[node])):  # short ones inside
        passed = range(columns[source] + 1, reach[source])
        track = lanes[source]
        if any((column, track) in taken for column in passed):
            track = next(lane for lane in count(min(lanes[source], 0) - 1, -1) if _free(lane, passed, taken))
        tracks[source] = track
        taken |= {(column, track) for column in passed}
    passing = tuple(
        tracks[source] if columns[target] > columns[source] + 1 else lanes[source] for source, target in edges
    )
    return LayeredLayout(tuple(columns), tuple(lanes), passing)


def _free(lane: int, columns: range, taken: set[tuple[int, int]]) -> bool:
    return not any((column, lane) in taken for column in columns)


def _columns(nodes: int, edges: Sequence[tuple[int, int]], ends: bool) -> list[int]:
    columns = [0] + [int(ends)] * (nodes - 1)
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        columns[target] = max(columns[target], columns[source] + 1)
    unread = set(range(1, nodes)) - {target for _, target in edges}
    for node in sorted(unread, reverse=True):
        needed = [columns[target] for source, target in edges if source == node]
        columns[node] = max(min(needed, default=0) - 1, columns[node])
    if ends:
        columns[-1] = max(columns[:-1]) + 1
    return columns


def _lanes(columns: Sequence[int], edges: Sequence[tuple[int, int]]) -> list[int]:
    lanes = [0] * len(columns)
    taken: set[tuple[int, int]] = set()
    for node in sorted(range(len(columns)), key=lambda node: (columns[node], node)):
        read = [source for source, target in edges if target == node]
        wanted = min((lanes[source] for source in read), key=abs, default=0)
        lanes[node] = next(lane for lane in count(wanted) if (columns[node], lane) not in taken)
        taken.add((columns[node], lanes[node]))
    return lanes
