"""Places of nodes and edges: in the order of the data, and none over another."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_cnnviz.functional.model_summary.layered_layout import layered_layout


@st.composite
def graphs(draw):
    nodes = draw(st.integers(2, 14))
    pairs = [(source, target) for target in range(nodes) for source in range(target)]
    return nodes, sorted(draw(st.sets(st.sampled_from(pairs), max_size=30)))


def longest_path(edges, node):
    @cache
    def length(node):
        return max((1 + length(source) for source, target in edges if target == node), default=0)

    return length(node)


@given(graphs())
def test_a_column_is_the_length_of_the_longest_path(graph):
    nodes, edges = graph
    columns = layered_layout(nodes, edges).columns
    for node in range(nodes):
        if node == 0 or any(target == node for _, target in edges):
            read = [columns[source] for source, target in edges if target == node]
            assert columns[node] == max((column + 1 for column in read), default=0)
        else:
            needed = [columns[target] for source, target in edges if source == node]
            assert columns[node] == max(min(needed, default=0) - 1, 0)


@given(graphs())
def test_without_nodes_that_nothing_leads_to_columns_are_longest_paths_from_the_first(graph):
    nodes, edges = graph
    edges = sorted({*edges, *((0, node) for node in range(1, nodes))})
    assert layered_layout(nodes, edges).columns == tuple(longest_path(edges, node) for node in range(nodes))


@given(graphs(), st.booleans())
def test_no_place_is_taken_twice_and_edges_go_forward(graph, ends):
    nodes, edges = graph
    columns, lanes, tracks = layered_layout(nodes, edges, ends=ends)
    places = set(zip(columns, lanes, strict=True))
    assert len(places) == nodes
    passed = {}
    for (source, target), track in zip(edges, tracks, strict=True):
        assert columns[source] < columns[target]
        for column in range(columns[source] + 1, columns[target]):
            assert (column, track) not in places, "an edge runs through a node"
            assert passed.setdefault((column, track), source) == source, "edges of two nodes share a track"
    if ends:
        assert [node for node in range(nodes) if columns[node] == 0] == [0]
        assert [node for node in range(nodes) if columns[node] == max(columns)] == [nodes - 1]


def test_a_chain_is_a_line():
    assert layered_layout(3, [(0, 1), (1, 2)]) == ((0, 1, 2), (0, 0, 0), (0, 0))


def test_branches_stand_below_each_other_and_those_that_end_early_go_on_in_their_lane():
    inception = [(0, 1), (0, 2), (2, 3), (0, 4), (4, 5), (0, 6), (6, 7), (1, 8), (3, 8), (5, 8), (7, 8)]
    columns, lanes, tracks = layered_layout(9, inception)
    assert columns == (0, 1, 1, 2, 1, 2, 1, 2, 3)
    assert lanes == (0, 0, 1, 1, 2, 2, 3, 3, 0)
    assert dict(zip(inception, tracks, strict=True))[1, 8] == 0


def test_skips_are_nested_above():
    unet = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (2, 4), (1, 5), (0, 5)]
    tracks = dict(zip(unet, layered_layout(6, unet).tracks, strict=True))
    assert (tracks[2, 4], tracks[1, 5], tracks[0, 5]) == (-1, -2, -3)


def test_a_node_that_nothing_leads_to_stands_before_the_one_that_needs_it():
    assert layered_layout(5, [(0, 1), (1, 2), (2, 4), (3, 4)]).columns == (0, 1, 2, 2, 3)


@pytest.mark.parametrize("nodes", [1, 2])
def test_without_edges(nodes):
    assert layered_layout(nodes, []).lanes == tuple(range(nodes))
