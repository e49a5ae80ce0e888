"""Description of the layers that have run, and of the graph that they form."""

from typing import Literal, NamedTuple, TypeAlias

Role: TypeAlias = Literal[
    "convolution", "normalisation", "activation", "pooling", "linear", "attention", "dropout", "other"
]
NodeRole: TypeAlias = Role | Literal["input"]


class LayerInfo(NamedTuple):
    """A layer, as observed in a forward pass.

    Attributes:
        name: As in `named_modules`; empty for the model itself.
        kind: Class name.
        role: Type of layer.
        output_shape: Output shape of its first call, without the batch dimension; None if it returned no tensor.
        parameters: Number of its parameters; shared parameters are counted for the first layer only.
        trainable: Number of these that require a gradient.
        multiply_adds: Multiply-add operations per sample, summed over all calls.
        runs: Number of calls in the forward pass.
    """

    name: str
    kind: str
    role: Role
    output_shape: tuple[int, ...] | None
    parameters: int
    trainable: int
    multiply_adds: int
    runs: int


class GraphNode(NamedTuple):
    """A call of a module or function, the input, or a group of calls.

    Attributes:
        name: Module path as in `named_modules`; for a function, that of the module that called it.
        kind: Class name of a module, name of a function, or `"input"`.
        role: Type of layer.
        is_module: Whether it is a call of a module.
        shape: Shape of its output for one sample; None if it returned no tensor.
        parameters: Number of parameters in it, as in `LayerInfo`.
        run: The number of the call, from 1, of a module that ran several times; otherwise 0.
        parent: Index of the group that it is in, or None.
        is_group: Whether other nodes are in it.
        blocks: The number of equal blocks that a group puts together, see `stacked`; otherwise 0.
    """

    name: str
    kind: str
    role: NodeRole
    is_module: bool
    shape: tuple[int, ...] | None
    parameters: int = 0
    run: int = 0
    parent: int | None = None
    is_group: bool = False
    blocks: int = 0


class NetworkGraph(NamedTuple):
    """What ran in a forward pass, and what flowed between.

    Attributes:
        nodes: The input, then calls and groups in order of execution; a group precedes what is in it.
        edges: Pairs of indices of nodes that are no groups: the second read what the first computed.
        notes: What could not be followed, in words.
        infos: The layers.
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]
    infos: tuple[LayerInfo, ...]
