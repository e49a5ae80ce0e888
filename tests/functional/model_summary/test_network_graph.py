"""The graph of a network: equal to what `torch.fx` finds where it can, and to lists by hand where it cannot."""

import operator
from collections import Counter
from itertools import pairwise

import pytest
import torch
import torchvision
from helpers.networks import MODELS
from helpers.stateful import assert_leaves_no_trace
from torch import Tensor, fx, nn
from torch.nn import functional as F

from lightning_cnnviz.functional.model_summary.network_graph import network_graph
from lightning_cnnviz.functional.model_summary.roles import plain_name

TRACEABLE = [
    "resnet18", "googlenet", "vgg11_bn", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "regnet_y_400mf",
    "shufflenet_v2_x0_5", "squeezenet1_1", "mnasnet0_5", "inception_v3", "convnext_tiny", "vit_b_32",
]  # fmt: skip


class Kinds(fx.Interpreter):
    """Notes which nodes of a traced network compute tensors, and the shapes of these."""

    def __init__(self, traced):
        super().__init__(traced)
        self.results, self.idle = {}, set()

    def run_node(self, node):
        result = super().run_node(node)
        if node.op in ("call_function", "call_method") and node.all_input_nodes and type(result) is Tensor:
            same = self.env[node.all_input_nodes[0]]
            name = node.target if isinstance(node.target, str) else node.target.__name__
            if name in ("dropout", "contiguous", "stochastic_depth") and result.data_ptr() == same.data_ptr():
                self.idle.add(node)  # it does nothing here
        self.results[node] = tuple(result.shape) if type(result) is Tensor else result
        return result


class Leaves(fx.Tracer):
    """Keeps modules without submodules whole, as the graph does."""

    def is_leaf_module(self, module, name):
        return not any(True for _ in module.children()) or isinstance(module, nn.MultiheadAttention)


def by_fx(net, x):
    """(name of the module or function, shape) of each node in order, and the edges between, found by `torch.fx`."""
    traced = fx.GraphModule(net, Leaves().trace(net))
    kinds = Kinds(traced)
    with torch.no_grad():
        kinds.run(x)
    shown, feeds = [], {}
    for node in traced.graph.nodes:
        sources = {source for read in node.all_input_nodes for source in feeds.get(read, ())}
        result = kinds.results[node]
        taken = (
            node.target is operator.getitem
            and isinstance(kinds.results[node.args[0]], tuple)
            and not is_shape(kinds.results[node.args[0]])
        )
        tensor = is_shape(result)
        several = isinstance(result, (tuple, list)) and any(isinstance(part, Tensor) for part in result)
        constant = node.op != "placeholder" and not sources and node.op != "call_module"
        if node.op in ("output", "get_attr") or constant or taken or not (tensor or several) or node in kinds.idle:
            feeds[node] = sources if tensor or several else set()
            continue
        name = node.target if isinstance(node.target, str) else node.target.__name__
        shown.append(("input" if node.op == "placeholder" else name, result if tensor else tuple(result[0].shape)))
        feeds[node] = {len(shown) - 1}
        node.meta["sources"] = sources
    kept = [node for node in traced.graph.nodes if "sources" in node.meta]
    return shown, sorted((source, place) for place, node in enumerate(kept) for source in node.meta["sources"])


def is_shape(result):
    return type(result) is tuple and all(type(part) is int for part in result)


def found(graph):
    """The same of our graph: names of modules or functions with shapes, and edges, by their places among leaves."""
    leaves = [index for index, node in enumerate(graph.nodes) if not node.is_group]
    place = {index: k for k, index in enumerate(leaves)}
    names = [node.name if node.is_module else node.kind for node in (graph.nodes[index] for index in leaves)]
    return names, sorted((place[source], place[target]) for source, target in graph.edges)


@pytest.mark.parametrize("name", TRACEABLE)
def test_nodes_and_edges_are_those_that_fx_finds(name):
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    net = getattr(torchvision.models, name)(**options).eval()
    x = torch.rand(2, 3, 224, 224) if name == "vit_b_32" else torch.rand(2, 3, 96, 96)
    graph = network_graph(net, x)
    shown, edges = by_fx(net, x)
    names, ours = found(graph)
    assert [plain_name(one) for one in names] == [plain_name(one) for one, _ in shown]
    assert ours == edges
    assert [node.shape for node in graph.nodes if not node.is_group] == [shape[1:] for _, shape in shown]
    assert graph.notes == ()


class Double(nn.Module):
    def __init__(self, given, width):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(given, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)), inplace=True)


class UNet(nn.Module):
    """Two levels, with a loop and a condition that no symbolic trace follows."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([Double(1, 4), Double(4, 8)])
        self.bottom = Double(8, 8)
        self.up = nn.ModuleList([nn.ConvTranspose2d(8, 8, 2, 2), nn.ConvTranspose2d(8, 4, 2, 2)])
        self.joined = nn.ModuleList([Double(16, 8), Double(8, 4)])
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        if x.max() > 1e6:
            x = x / x.max()
        kept = []
        for block in self.down:
            x = block(x)
            kept.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        for up, block in zip(self.up, self.joined, strict=True):
            x = block(torch.cat([up(x), kept.pop()], dim=1))
        return {"masks": self.head(x)}


def by_name(graph):
    """The edges as pairs of names, which must tell the nodes apart."""
    names = [f"{node.name}:{node.kind}" + (f"#{node.run}" if node.run else "") for node in graph.nodes]
    assert not [name for name, count in Counter(names).items() if count > 1]
    return {(names[source], names[target]) for source, target in graph.edges}


def chain(*names):
    return {*pairwise(names)}


def test_a_unet_has_its_skips():
    def double(name):
        return [f"{name}.conv:Conv2d", f"{name}.norm:BatchNorm2d", f"{name}:relu"]

    graph = network_graph(UNet(), torch.rand(1, 1, 16, 16))
    # the function calls of the model itself share their names, so they are told apart by their place
    kinds = [node.kind for node in graph.nodes if not node.is_module]
    assert kinds == ["input", "relu", "max_pool2d", "relu", "max_pool2d", "relu", "cat", "relu", "cat", "relu"]
    named, count = list(graph.nodes), Counter()
    for index, node in enumerate(named):
        if not node.name and node.kind != "input":
            count[node.kind] += 1
            named[index] = node._replace(kind=f"{node.kind}{count[node.kind]}")
    assert by_name(graph._replace(nodes=tuple(named))) == {
        *chain(":input", *double("down.0"), ":max_pool2d1", *double("down.1"), ":max_pool2d2", *double("bottom")),
        *chain("bottom:relu", "up.0:ConvTranspose2d", ":cat1", *double("joined.0")),
        *chain("joined.0:relu", "up.1:ConvTranspose2d", ":cat2", *double("joined.1"), "head:Conv2d"),
        ("down.1:relu", ":cat1"),
        ("down.0:relu", ":cat2"),
    }
    groups = [node.name for node in graph.nodes if node.is_group]
    assert groups == ["down.0", "down.1", "bottom", "joined.0", "joined.1"]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, 2, width // 2).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width))


class ViT(nn.Module):
    """One block, with a token for the class and positions."""

    def __init__(self):
        super().__init__()
        self.patches, self.token = nn.Conv2d(1, 8, 4, 4), nn.Parameter(torch.zeros(1, 1, 8))
        self.positions = nn.Embedding(5, 8)
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(8), Attention(), nn.LayerNorm(8)
        self.mlp, self.head = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)), nn.Linear(8, 4)

    def forward(self, x):
        x = self.patches(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        x = x + self.positions(torch.arange(5))
        x += self.attention(self.norm1(x))
        return self.head((x - -self.mlp(self.norm2(x)))[:, 0])


def test_a_vision_transformer_has_its_residuals_its_positions_and_one_product_of_queries_keys_and_values():
    graph = network_graph(ViT(), torch.rand(2, 1, 8, 8))
    named = [
        node._replace(kind="add_") if node.kind == "add" and k > 8 else node for k, node in enumerate(graph.nodes)
    ]
    named = tuple(n._replace(kind="reshape2") if n.kind == "reshape" and n.shape == (5, 8) else n for n in named)
    assert by_name(graph._replace(nodes=named)) == {
        *chain(
            ":input", "patches:Conv2d", ":flatten", ":mT", ":cat", ":add", "norm1:LayerNorm", "attention.qkv:Linear"
        ),
        ("positions:Embedding", ":add"),
        *chain("attention.qkv:Linear", "attention:reshape", "attention:permute", "attention:unbind"),
        *chain("attention:unbind", "attention:scaled_dot_product_attention", "attention:transpose"),
        *chain("attention:transpose", "attention:reshape2", "attention.proj:Linear", ":add_"),
        (":add", ":add_"),
        *chain(":add_", "norm2:LayerNorm", "mlp.0:Linear", "mlp.1:GELU", "mlp.2:Linear", ":neg", ":sub", ":[ ]"),
        (":add_", ":sub"),
        (":[ ]", "head:Linear"),
    }


class Parts(nn.Module):
    """Writes into parts of a tensor."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.head = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(3, 1)

    def forward(self, x):
        both = x.new_zeros(len(x), 2, 3)
        both[:, 0] = self.left(x)
        both[:, 1] = self.right(x)
        return self.head(both[:, 0]), both.sum()


def test_what_is_written_into_one_part_is_not_read_from_another():
    graph = network_graph(Parts(), torch.rand(4, 2))
    kinds = [f"{node.name or node.kind}" for node in graph.nodes]
    assert kinds == ["input", "left", "[ ]=", "right", "[ ]=", "[ ]", "head", "sum"]
    assert graph.edges == ((0, 1), (0, 3), (1, 2), (2, 5), (2, 7), (3, 4), (4, 7), (5, 6))


def test_a_module_that_runs_again_is_another_node():
    class Again(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(self.layer(x)) + x

    graph = network_graph(Again(), torch.rand(2, 3))
    assert by_name(graph) == {
        *chain(":input", "layer:Linear#1", "layer:Linear#2", ":add"),
        (":input", ":add"),
    }


def test_what_holds_everything_is_no_group():
    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torchvision.models.resnet18()

        def forward(self, x):
            return self.net(x)

    inner, outer = (network_graph(net, torch.rand(1, 3, 32, 32)) for net in (torchvision.models.resnet18(), Wrapper()))
    assert outer.edges == inner.edges
    assert [node.name.removeprefix("net.").removeprefix("net") for node in outer.nodes] == [
        n.name for n in inner.nodes
    ]
    assert [node.parent for node in outer.nodes] == [node.parent for node in inner.nodes]


def test_with_a_choice_of_layers_edges_go_through_what_is_left_out():
    net = torchvision.models.resnet18()
    graph = network_graph(net, torch.rand(1, 3, 64, 64), ["layer1", "layer2.0.conv*", "layer2.0.downsample", "fc"])
    names = [node.name or node.kind for node in graph.nodes]
    assert names[:2] == ["input", "layer1"]
    assert {(names[source], names[target]) for source, target in graph.edges} == {
        ("input", "layer1"),
        ("layer1", "layer2.0.conv1"),
        ("layer2.0.conv1", "layer2.0.conv2"),
        ("layer1", "layer2.0.downsample"),
        ("layer2.0.conv2", "fc"),
        ("layer2.0.downsample", "fc"),
    }
    with pytest.raises(ValueError, match="matches no layer"):
        network_graph(net, torch.rand(1, 3, 64, 64), ["none"])


def test_what_only_decides_what_is_run_is_no_node_but_what_it_looks_at_is():
    class Guarded(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            y = self.layer(x).exp()
            if y.isnan().any() or not torch.isfinite(y).all():
                raise ValueError
            return [{"scores": y}]

    graph = network_graph(Guarded(), torch.rand(2, 3))
    assert by_name(graph) == chain(":input", "layer:Linear", ":exp")


def test_what_could_not_be_followed_is_not_drawn_and_said():
    class Outside(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.after = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.after(torch.from_numpy(self.before(x).numpy() * 2))

    graph = network_graph(Outside(), torch.rand(2, 3))
    assert by_name(graph) == {(":input", "before:Linear")}
    assert [node.name for node in graph.nodes] == ["", "before", "after"]
    assert graph.notes == ("values left PyTorch through numpy: what was computed from them there is not drawn",)


REFUSED = {
    "TwoInputs": TypeError,
    "Lazy": ValueError,
    "TwoHeads": NotImplementedError,
    "Headless": NotImplementedError,
}
"""Models that cannot be called with one input, by name, and the error."""
DRAWN = [model for model in MODELS if hasattr(model, "forward") and model.drawn != {}]


@pytest.mark.parametrize(
    "model", [model for model in DRAWN if model.__name__ in REFUSED], ids=lambda kind: kind.__name__
)
def test_a_model_that_cannot_be_called_raises_its_own_error(model):
    with pytest.raises(REFUSED[model.__name__]):
        network_graph(model(), torch.rand(2, *model.shape))


@pytest.mark.parametrize(
    "model", [model for model in DRAWN if model.__name__ not in REFUSED], ids=lambda kind: kind.__name__
)
def test_in_networks_of_every_kind_data_flow_forward_and_from_the_input_to_the_result(model):
    graph = network_graph(model(), torch.rand(2, *model.shape))
    assert all(source < target for source, target in graph.edges)
    assert not any(graph.nodes[end].is_group for edge in graph.edges for end in edge)
    reached = {0}
    for source, target in graph.edges:
        if source in reached:
            reached.add(target)
    assert reached == {index for index, node in enumerate(graph.nodes) if not node.is_group}
    assert all(note.startswith("values left PyTorch through item in observer") for note in graph.notes)


@pytest.mark.parametrize("fail", [False, True], ids=["", "forward fails"])
def test_nothing_is_left_on_the_model(fail):
    assert_leaves_no_trace(network_graph, fail)
