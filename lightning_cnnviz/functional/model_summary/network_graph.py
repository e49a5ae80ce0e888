"""A network as a graph: the modules and functions that ran, and which read what others computed."""

from collections.abc import Collection, Iterator, Sequence

from torch import Tensor, nn

from lightning_cnnviz.functional.model_summary.layer_info import GraphNode, LayerInfo, NetworkGraph
from lightning_cnnviz.functional.model_summary.layer_table import layer_infos
from lightning_cnnviz.functional.model_summary.roles import function_role, plain_name
from lightning_cnnviz.model.data_flow import Call, Step
from lightning_cnnviz.model.execution_trace import ExecutionTrace, trace_execution


def network_graph(model: nn.Module, inputs: Tensor, layers: str | Sequence[str] | None = None) -> NetworkGraph:
    """Runs a model once, in evaluation mode, and records what flows between its modules and functions.

    Nodes are the calls of modules that call no other modules, and of functions between them, as far as what they
    compute depends on the input or on a layer. There is an edge where an operation was seen to read what another one
    had computed, through views and operations in place. What does nothing in evaluation, such as `F.dropout`, is no
    node, unless it is a module.

    Args:
        model: The model; left unchanged.
        inputs: A few samples, shape (samples, ...), on the model's device.
        layers: Exact names or globs; a module with an exact name is one node, without its submodules, and what is not
            chosen is left out, with edges through it. Default: all.

    Raises:
        ValueError: If `layers` matches nothing, or only modules that did not run.

    Example:
        >>> import torch
        >>> class Residual(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.conv = nn.Conv2d(3, 3, 3, padding=1)
        ...     def forward(self, x):
        ...         return nn.functional.relu(self.conv(x) + x)
        >>> graph = network_graph(Residual(), torch.rand(1, 3, 8, 8))
        >>> [node.kind for node in graph.nodes], graph.edges
        (['input', 'Conv2d', 'add', 'relu'], ((0, 1), (0, 2), (1, 2), (2, 3)))
    """
    trace = trace_execution(model, inputs)
    infos = layer_infos(model, trace, layers)
    kinds = {name: type(module).__name__ for name, module in model.named_modules()}
    return _Builder(trace, infos, kinds, only_infos=layers is not None).graph()


class _Builder:
    def __init__(
        self, trace: ExecutionTrace, infos: Sequence[LayerInfo], kinds: dict[str, str], only_infos: bool
    ) -> None:
        self.trace, self.flow, self.kinds, self.infos = trace, trace.flow, kinds, infos
        self.layers = {info.name: info for info in infos}
        self.whole = set(self.layers) if only_infos else set[str]()
        self.nodes: list[GraphNode] = []
        self.owners: list[Call | Step] = [self._owner(step) for step in self.flow.steps]
        self.runs: dict[str, int] = {}

    def graph(self) -> NetworkGraph:
        kept = self._kept()
        read: dict[int, dict[int, None]] = {}  # owner → the owners that it reads from
        owners = {id(owner): owner for owner in self.owners}
        for step, owner in zip(self.flow.steps, self.owners, strict=True):
            sources = read.setdefault(id(owner), {})
            sources |= dict.fromkeys(id(self.owners[source]) for source in step.sources)
            sources.pop(id(owner), None)
        for reader, sources in read.items():  # what is not kept passes on what it has read
            found: dict[int, None] = {}
            for source in sources:
                found |= {source: None} if source in kept else read[source]
            read[reader] = {source: None for source in found if source in kept}
        shown = [reader for reader in read if reader in kept]
        places = self._add_nodes([owners[reader] for reader in shown])
        edges = [(places[source], places[reader]) for reader in shown for source in read[reader]]
        return NetworkGraph(tuple(self.nodes), tuple(sorted(set(edges))), tuple(self._notes()), tuple(self.infos))

    def _owner(self, step: Step) -> Call | Step:
        """The module or function call that is the node of a step; the step itself if it belongs to neither."""
        for call in reversed(list(_outwards(step.call))):
            if call.name in self.whole and call.is_module:
                return call
            if call.parent is not None and not call.holds_modules and (call.name or not call.is_module):
                return call
        return step

    def _kept(self) -> set[int]:
        """The owners whose values depend on the input or on a layer, and are used for more than to decide what is run.

        With a choice of layers, these and the input.
        """
        flows, kept = list[bool](), {id(self.owners[0])}
        for step, owner in zip(self.flow.steps, self.owners, strict=True):
            is_module = isinstance(owner, Call) and owner.is_module
            flows.append(step is self.flow.steps[0] or is_module or any(flows[source] for source in step.sources))
            if flows[-1] and (not self.whole or (is_module and owner.name in self.whole)):
                kept.add(id(owner))
        return kept - self._only_tested()

    def _only_tested(self) -> set[int]:
        """Functions whose values are used for nothing but to decide what is run."""
        tested = {step for call in _all_calls(self.flow.root) for step in call.tested}
        used: dict[int, set[int]] = {}  # owner → those that read from it
        decides = {id(self.owners[step]) for step in tested}
        for step, owner in zip(self.flow.steps, self.owners, strict=True):
            for source in step.sources:
                used.setdefault(id(self.owners[source]), set()).add(id(owner))
        returned = {id(self.owners[step]) for step in self.flow.returned}
        found = set[int]()
        for owner in reversed(self.owners):
            readers = used.get(id(owner), set()) - {id(owner)}
            is_module = isinstance(owner, Call) and owner.is_module
            if id(owner) in returned or is_module:
                continue
            if readers <= found and (readers or id(owner) in decides):
                found.add(id(owner))
        return found

    def _add_nodes(self, owners: Sequence[Call | Step]) -> dict[int, int]:
        """Adds nodes and their groups; returns the index of each owner's node."""
        inner = {id(owner) for owner in owners}
        members: dict[int, set[int]] = {}  # group → what is directly in it
        around = [{id(call) for call in self._groups(owner)} for owner in owners[1:]]
        whole = set.intersection(*around) if around else set()  # which hold everything but the input
        for owner in owners:
            child = id(owner)
            for call in self._groups(owner):
                members.setdefault(id(call), set()).add(child)
                child = id(call)
        places: dict[int, int] = {}
        for owner in owners:
            parent = None
            for call in reversed(self._groups(owner)):
                if len(members[id(call)]) == 1 or id(call) in whole:
                    continue
                if id(call) not in places and id(call) not in inner:
                    places[id(call)] = self._add(call, parent, is_group=True)
                parent = places[id(call)]
            places[id(owner)] = self._add(owner, parent)
        return places

    def _groups(self, owner: Call | Step) -> list[Call]:
        """The calls of modules around a node, from the inside, without the model itself."""
        around = owner.parent if isinstance(owner, Call) else owner.call
        return [call for call in _outwards(around) if call.is_module and call.name]

    def _add(self, owner: Call | Step, parent: int | None, is_group: bool = False) -> int:
        shape = None if owner.shape is None else self.trace.of_one_sample(owner.shape)
        if isinstance(owner, Call) and owner.is_module:
            run = self.runs[owner.name] = self.runs.get(owner.name, 0) + 1
            info = self.layers.get(owner.name)
            parameters = info.parameters if info else 0
            node = GraphNode(
                owner.name,
                self.kinds[owner.name],
                info.role if info else "other",
                is_module=True,
                shape=shape,
                parameters=self._parameters(owner.name) if is_group else parameters,
                run=run if self.trace.runs[owner.name] > 1 else 0,
                parent=parent,
                is_group=is_group,
            )
        elif owner is self.flow.steps[0]:
            node = GraphNode("", "input", "input", is_module=False, shape=shape)
        else:
            around = owner.parent if isinstance(owner, Call) else owner.call
            kind = plain_name(owner.name)
            caller = next((call.name for call in _outwards(around) if call.is_module), "")
            node = GraphNode(caller, kind, function_role(kind), is_module=False, shape=shape, parent=parent)
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _parameters(self, group: str) -> int:
        inside = (info for name, info in self.layers.items() if name == group or name.startswith(f"{group}."))
        return sum(info.parameters for info in inside)

    def _notes(self) -> Iterator[str]:
        unseen = [_in_words(call) for call in _all_calls(self.flow.root) if call.unseen]
        if unseen:
            yield f"what {_listed(unseen)} read was computed unseen: these edges are missing"
        left = [_in_words(call) for call in _all_calls(self.flow.root) if call.left]
        if left:
            yield f"values left PyTorch through {_listed(left)}: what was computed from them there is not drawn"


def _outwards(call: Call | None) -> Iterator[Call]:
    while call is not None:
        yield call
        call = call.parent


def _all_calls(call: Call) -> Iterator[Call]:
    yield call
    for inner in call.calls:
        yield from _all_calls(inner)


def _in_words(call: Call) -> str:
    module = next((around.name for around in _outwards(call) if around.is_module), "")
    name = (module or "the model") if call.is_module else plain_name(call.name)
    return name if call.is_module or not module else f"{name} in {module}"


def _listed(names: Collection[str], at_most: int = 3) -> str:
    unique = list(dict.fromkeys(names))
    more = len(unique) - at_most
    return ", ".join(unique[:at_most]) + (f" and {more} more" if more > 0 else "")
