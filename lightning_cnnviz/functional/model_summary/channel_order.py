"""Which dimension of an output holds the channels: the first, as of images, or the last, as of tokens."""

from lightning_cnnviz.functional.model_summary.layer_info import GraphNode, NetworkGraph

_FEATURES_LAST = ("LayerNorm", "RMSNorm", "Embedding", "LSTM", "GRU", "RNN", "layer_norm", "rms_norm", "embedding")


def channels_last(graph: NetworkGraph) -> list[bool]:
    """Returns for each node whether the channels are the last dimension of its output.

    Layers with weights tell by their kind. Others have the order of what they read from, unless its number of channels
    stands at the other end of their shape; a group has that of the last layer in it.

    Example:
        >>> nodes = [
        ...     GraphNode("", "input", "input", False, (3, 8, 8)),
        ...     GraphNode("conv", "Conv2d", "convolution", True, (16, 4, 4)),
        ...     GraphNode("", "flatten", "other", False, (16, 16)),
        ...     GraphNode("fc", "Linear", "linear", True, (16, 10)),
        ... ]
        >>> channels_last(NetworkGraph(tuple(nodes), ((0, 1), (1, 2), (2, 3)), (), ()))
        [False, False, False, True]
    """
    read: dict[int, list[int]] = {}
    for source, target in graph.edges:
        read.setdefault(target, []).append(source)
    found: list[bool] = []
    for index, node in enumerate(graph.nodes):
        by_kind = _by_kind(node)
        if node.role == "input":
            first_reader = next((target for source, target in graph.edges if source == index), index)
            by_kind = _by_kind(graph.nodes[first_reader]) or False
        sources = [source for source in read.get(index, ()) if len(graph.nodes[source].shape or ()) > 1]
        if by_kind is None and sources:
            by_kind = _like(node, graph.nodes[sources[0]], found[sources[0]])
        found.append(bool(by_kind))
    for index in reversed(range(len(found))):
        if (parent := graph.nodes[index].parent) is not None and index == _last_in(graph, parent):
            found[parent] = found[index]
    return found


def _by_kind(node: GraphNode) -> bool | None:
    if node.role in ("linear", "attention") or node.kind in _FEATURES_LAST:
        return True
    return False if node.role in ("convolution", "pooling", "normalisation") else None


def _like(node: GraphNode, source: GraphNode, last: bool) -> bool:
    shape, before = node.shape or (), source.shape or ()
    if len(shape) < 2 or shape[0] == shape[-1]:
        return last
    channels = before[-1 if last else 0]
    return not last if channels == shape[0 if last else -1] and channels != shape[-1 if last else 0] else last


def _last_in(graph: NetworkGraph, group: int) -> int:
    return max(index for index, node in enumerate(graph.nodes) if node.parent == group)
