"""The network as it is, in the tab: nodes apart from each other, edges between them, all of it in reach."""

import numpy as np
import pytest
import torch
import torchvision
from tensorboard_plugin.synthetic_run import STATISTICS, Run, read, write
from tensorboard_plugin.tab_page import Tab
from torch import nn

from lightning_cnnviz.functional.model_summary.arrangement import arranged
from lightning_cnnviz.functional.model_summary.model_record import model_tab_data
from lightning_cnnviz.functional.model_summary.network_graph import network_graph


class Double(nn.Sequential):
    def __init__(self, given, width):
        conv = [nn.Conv2d(given, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        super().__init__(*conv, nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())


class UNet(nn.Module):
    """Four levels deep."""

    def __init__(self, width=4):
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(width, 2, 1)
        for level, (given, own) in enumerate(zip([3, *widths], widths, strict=False), start=1):
            self.add_module(f"enc{level}", Double(given, own))
        for level in range(4, 0, -1):
            self.add_module(f"up{level}", nn.ConvTranspose2d(widths[level], widths[level - 1], 2, 2))
            self.add_module(f"dec{level}", Double(widths[level], widths[level - 1]))

    def forward(self, x):
        kept = []
        for level in range(1, 5):
            kept.append(getattr(self, f"enc{level}")(x))
            x = self.pool(kept[-1])
        x = self.enc5(x)
        for level in range(4, 0, -1):
            x = getattr(self, f"dec{level}")(torch.cat([getattr(self, f"up{level}")(x), kept.pop()], dim=1))
        return self.head(x)


NETWORKS = {
    "resnet18": (torchvision.models.resnet18, 64),
    "unet": (UNet, 32),
    "googlenet": (lambda: torchvision.models.googlenet(init_weights=False), 64),
    "vit": (torchvision.models.vit_b_16, 224),
    "vgg16": (torchvision.models.vgg16, 64),
}


@pytest.fixture(scope="module")
def graphs():
    """Name → the graph of a network, arranged."""
    return {
        name: arranged(network_graph(make(), torch.rand(1, 3, size, size))) for name, (make, size) in NETWORKS.items()
    }


@pytest.fixture(scope="module")
def networks(graphs, tmp_path_factory, start):
    """A server on a run of each network, with gradients of all layers but the last, and kernels of the first."""
    folder = tmp_path_factory.mktemp("networks") / "runs"
    for name, arrangement in graphs.items():
        run = Run(folder / name)
        size = NETWORKS[name][1]
        run.add_blobs("model", "cnnviz/model", 1, list(model_tab_data(name, arrangement, (3, size, size)).packed()))
        layers = [info.name for info in arrangement.graph.infos if info.parameters and info.name]
        health = ["vanishing", "exploding", "non-finite", "none"] + ["ok"] * (len(layers) - 5)
        values = np.ones((len(layers) - 1, len(STATISTICS)), np.float32)
        run.add("gradients", "cnnviz/gradients", 1, {"values": values}, layers=layers[:-1], statistics=STATISTICS,
                health=health)  # fmt: skip
        arrays = {
            "values": np.ones((2, 3, 3), np.float16),
            "low": np.zeros(2, np.float32),
            "high": np.ones(2, np.float32),
        }
        run.add("kernels", f"cnnviz/kernels/{layers[0]}", 1, arrays, identity={"layer": layers[0]}, layer=layers[0],
                channels=[0, 1], mode="mean")  # fmt: skip
        run.close()
    server = start(folder, fast=True)
    for name in graphs:
        server.wait_for(name, 1)
    return server


@pytest.fixture
def tab(browser):
    tab = Tab(browser, 1280, 720)
    yield tab
    tab.close()


def look_at(tab, server, name, **state):
    """Opens a run and waits until its graph is there."""
    tab.open(server, run=name, **state)
    tab.find(".edges path").first.wait_for(state="attached")


def unfold_all(tab):
    while tab.find(".stack .toggle").count():
        tab.find(".stack .toggle").first.click()


def shown(arrangement, unfolded=False):
    """The nodes that are buttons, and the number of edges between what is seen."""
    nodes, edges = set(), 0

    def look(group):
        nonlocal edges
        (level,) = [level for level in arrangement.levels if level.group == group]
        edges += len(level.edges)
        for item in level.items:
            nodes.update(item.nodes)
            first = item.nodes[0] if item.nodes else 0
            if arrangement.graph.nodes[first].is_group and (unfolded or first not in arrangement.folded):
                look(first)

    look(None)
    return nodes, edges


GEOMETRY = """() => {
  const graph = document.querySelector(".graph");
  const rect = (element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return [left, right, top, bottom];
  };
  const units = [...graph.querySelectorAll(".unit")];
  const cut = [...graph.querySelectorAll(".block")].filter((block) =>
    [...block.querySelectorAll("b, small")].some((text) => {
      const range = document.createRange();
      range.selectNodeContents(text);
      const [inner, outer] = [range.getBoundingClientRect(), block.getBoundingClientRect()];
      return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1;
    }));
  const through = [];
  for (const path of graph.querySelectorAll(".edges path")) {
    const { left, top } = path.ownerSVGElement.getBoundingClientRect();
    const length = path.getTotalLength();
    for (let at = 0; at < length; at += 3) {
      const point = path.getPointAtLength(at);
      const [x, y] = [point.x + left, point.y + top];
      for (const unit of units) {
        const [l, r, t, b] = rect(unit);
        if (x > l + 3 && x < r - 3 && y > t + 2 && y < b - 2) through.push([unit.innerText, x, y]);
      }
    }
  }
  return {
    units: units.map(rect), cut: cut.map((block) => block.innerText), through, width: graph.offsetWidth,
    nodes: [...graph.querySelectorAll(".block")].map((block) => Number(block.value)),
    edges: graph.querySelectorAll(".edges path").length,
  };
}"""


def overlapping(boxes):
    left, right, top, bottom = np.array(boxes).T
    over = (left[:, None] < right - 0.5) & (left < right[:, None] - 0.5)
    over &= (top[:, None] < bottom - 0.5) & (top < bottom[:, None] - 0.5)
    return int(over.sum()) - len(boxes)


@pytest.mark.parametrize("unfolded", [False, True], ids=["folded", "unfolded"])
@pytest.mark.parametrize("name", NETWORKS)
def test_boxes_stand_apart_hold_their_words_and_no_edge_runs_through_them(name, unfolded, tab, networks, graphs):
    look_at(tab, networks, name)
    if unfolded and name != "googlenet":  # more than a hundred groups: some of them will do
        unfold_all(tab)
    elif unfolded:
        for _ in range(12):
            tab.find(".stack .toggle >> nth=4").click()
    page = tab.frame.evaluate(GEOMETRY)
    assert overlapping(page["units"]) == 0
    assert page["cut"] == []
    assert page["through"] == []
    if not unfolded or name != "googlenet":
        nodes, edges = shown(graphs[name], unfolded)
        assert sorted(page["nodes"]) == sorted(nodes)
        assert page["edges"] == edges
    if not unfolded:
        assert page["width"] <= tab.find(".scroller").evaluate("(element) => element.clientWidth")


class Normalised(torchvision.models.VGG):
    """VGG-16 with batch normalisation, of which every block has a name of two words."""

    def __init__(self):
        super().__init__(torchvision.models.vgg16_bn().features, init_weights=False)


class Blocks(UNet):
    """Its blocks are plain sequences, which no class tells from others."""

    def __init__(self):
        super().__init__()
        for name, block in list(self.named_children()):
            if isinstance(block, Double):
                self.add_module(name, nn.Sequential(*block))


@pytest.mark.parametrize("make", [torchvision.models.resnet18, Normalised, Blocks])
def test_it_fits_the_page_where_all_is_recorded_that_there_can_be(make, tab, start, tmp_path):
    arrangement = arranged(network_graph(make(), torch.rand(1, 3, 32, 32)))
    run = Run(tmp_path / "logs" / "run")
    run.add_blobs("model", "cnnviz/model", 1, list(model_tab_data("net", arrangement, (3, 32, 32)).packed()))
    layers = [info.name for info in arrangement.graph.infos if info.parameters and info.name]
    for name in layers:
        for kind in ("kernels", "feature_maps", "gradient_maps", "filter_response", "patches", "activations"):
            run.add(kind, f"cnnviz/{kind}/{name}", 1, identity={"layer": name})
    run.close()
    server = start(tmp_path / "logs", fast=True).wait_for("run", 1)
    look_at(tab, server, "run")
    tab.find(".badge").first.wait_for()
    page = tab.frame.evaluate(GEOMETRY)
    assert page["width"] <= tab.find(".scroller").first.evaluate("(element) => element.clientWidth")
    assert page["cut"] == []
    assert overlapping(page["units"]) == 0
    tab.page.set_viewport_size({"width": 2400, "height": 720})
    tab.frame.wait_for_function("!document.querySelector('.graph.narrow')")  # as wide as it likes where there is room


class Around(nn.Module):
    """Holds a network that has a parameter of its own."""

    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)
            self.token = nn.Parameter(torch.zeros(4))

        def forward(self, x):
            return self.fc(self.norm(self.conv(x)).mean((2, 3)) + self.token)

    def __init__(self):
        super().__init__()
        self.net = self.Inner()

    def forward(self, x):
        return self.net(x)


@pytest.fixture(scope="module")
def around(tmp_path_factory, start):
    """A run of two projections: of a layer, and of what goes into the last one."""
    folder = tmp_path_factory.mktemp("around") / "runs"
    arrangement = arranged(network_graph(Around(), torch.rand(1, 3, 8, 8)))
    assert "net" in {info.name for info in arrangement.graph.infos}
    run = Run(folder / "run")
    run.add_blobs("model", "cnnviz/model", 1, list(model_tab_data("net", arrangement, (3, 8, 8)).packed()))
    run.add("gradients", "cnnviz/gradients", 1, {"values": np.ones((2, len(STATISTICS)), np.float32)},
            layers=["net.conv", "net.fc"], statistics=STATISTICS, health=["ok", "ok"])  # fmt: skip
    for layer in ("net.conv", "net.fc.input"):
        run.add("projection", f"cnnviz/projection/{layer}/pca", 1, {"points": np.eye(2, dtype=np.float32)},
                identity={"layer": layer, "method": "pca"}, layer=layer, method="pca")  # fmt: skip
    run.close()
    return start(folder, fast=True).wait_for("run", 1)


def test_nothing_stands_in_the_network_that_is_no_part_of_it(tab, around):
    look_at(tab, around, "run")
    shown = tab.find(".block b").all_inner_texts()
    assert "fc" in shown
    assert not {"net", "fc.input", "net.fc.input"} & set(shown)
    options = tab.find(".layer select[title=Layer] option")
    assert "net.fc.input" not in options.all_inner_texts()
    block = tab.find(".block:has-text('fc')")
    assert block.locator(".badge").all_inner_texts() == ["P", "∇"]
    assert "projection" in block.get_attribute("title")
    chosen = "(name) => document.querySelector('.projection select').value === name"
    for name, projected in (("conv", "net.conv"), ("fc", "net.fc.input")):
        tab.find(f".block:has-text('{name}')").click()
        tab.frame.wait_for_function(chosen, arg=projected)


def test_the_sign_of_a_layer_is_not_hidden_by_the_one_that_is_chosen(tab, around):
    look_at(tab, around, "run", layer="net.conv")
    norm = tab.find(".block:has-text('norm')")
    norm.evaluate("(one) => { one.style.pointerEvents = 'auto'; }")
    assert norm.evaluate("(one) => one.firstChild.dataset.sign") == "?"
    assert norm.evaluate("""(one) => {
        const { right, top } = one.getBoundingClientRect();
        return document.elementFromPoint(right - 2, top - 3)?.closest(".block") === one;
    }""")


def test_every_node_can_be_clicked_and_says_what_it_is(tab, networks, graphs):
    arrangement = graphs["resnet18"]
    look_at(tab, networks, "resnet18")
    unfold_all(tab)
    buttons = tab.find(".block")
    assert buttons.count() == len(arrangement.graph.nodes)
    for button in buttons.all():
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert tab.find(".block[aria-pressed=true]").count() == 1
        node = arrangement.graph.nodes[int(button.get_attribute("value"))]
        told = tab.words(".network > .info:last-child")
        assert " × ".join(map(str, node.shape)) in told
        assert node.kind in told
        if node.is_module:
            assert node.name in told
        if node.is_module and not node.is_group:
            opened = "(name) => document.querySelector('.layer select').value === name"
            tab.frame.wait_for_function(opened, arg=node.name)


def test_every_node_is_reached_by_keyboard_and_groups_unfold(tab, networks, graphs):
    arrangement = graphs["unet"]
    look_at(tab, networks, "unet")
    tab.find(".block >> nth=0").focus()
    reached = set()
    for _ in range(500):
        kind, value = tab.frame.evaluate("[document.activeElement.className, Number(document.activeElement.value)]")
        if kind == "toggle" and tab.find(".toggle:focus").get_attribute("aria-expanded") == "false":
            tab.page.keyboard.press("Enter")
            assert tab.find(".toggle:focus").get_attribute("aria-expanded") == "true"
            tab.page.keyboard.press("ArrowRight")
            continue
        reached |= {value} if kind == "block" else set()
        before = tab.frame.evaluate("document.activeElement.value + document.activeElement.className")
        tab.page.keyboard.press("ArrowRight")
        if before == tab.frame.evaluate("document.activeElement.value + document.activeElement.className"):
            break
    assert reached == set(range(len(arrangement.graph.nodes)))
    # one stop for the tabulator key, at the node that is chosen
    stops = tab.find(".network button").evaluate_all("(all) => all.filter((one) => one.tabIndex === 0).length")
    assert stops == 1


def test_folding_hides_what_is_within_and_marks_the_group_that_holds_the_chosen_layer(tab, networks):
    look_at(tab, networks, "resnet18", layer="layer1.0.conv2")
    pressed = tab.find(".block[aria-pressed=true]")
    assert pressed.inner_text().split()[:2] == ["0", "BasicBlock"]
    before = tab.find(".block").count()
    tab.find('.toggle[title="Unfold 0 BasicBlock"] >> nth=0').click()
    assert tab.find(".block").count() == before + 7
    assert pressed.inner_text().startswith("conv2")
    tab.find('.toggle[title="Fold 0 BasicBlock"] >> nth=0').click()
    assert tab.find(".block").count() == before
    assert tab.find(".toggle:focus").get_attribute("title") == "Unfold 0 BasicBlock"


def test_what_is_unfolded_is_in_the_address(tab, networks):
    look_at(tab, networks, "resnet18")
    before = tab.find(".block").count()
    tab.find('.toggle[title="Unfold 0 BasicBlock"] >> nth=1').click()
    tab.find('.toggle[title="Fold layer4"]').click()
    after = tab.find(".block").count()
    assert after == before + 10 - 2
    tab.page.wait_for_timeout(500)  # the address is written a moment later
    tab.page.reload()
    tab.settle()
    tab.find(".edges path").first.wait_for(state="attached")
    assert tab.find(".block").count() == after
    assert tab.find('.toggle[title="Unfold layer4"]').count() == 1


def test_signs_say_what_is_recorded_and_how_gradients_are(tab, networks, graphs):
    look_at(tab, networks, "vgg16")
    tab.find(".badge").first.wait_for()
    names = {node.name: index for index, node in enumerate(graphs["vgg16"].graph.nodes) if not node.is_group}

    def block(name):
        return tab.find(f'.block[value="{names[name]}"]')

    def sign(name):
        content = block(name).evaluate("(one) => getComputedStyle(one.querySelector('b'), '::after').content")
        return "" if content == "none" else content.strip('"')

    assert block("features.0").locator(".badge").all_inner_texts() == ["K", "∇"]
    assert block("features.2").locator(".badge").all_inner_texts() == ["∇"]
    assert block("features.1").locator(".badge").count() == 0
    assert "recorded: " in block("features.0").get_attribute("title")
    assert "nothing recorded" in block("features.1").get_attribute("title")
    signs = ["features.0", "features.2", "features.5", "features.7", "features.10", "classifier.6", "features.1"]
    assert [sign(name) for name in signs] == ["▾", "▴", "✕", "○", "", "?", ""]
    assert "not measured" in block("classifier.6").get_attribute("title")
    assert "no gradient" in block("features.7").get_attribute("title")
    styles = [
        block(name).evaluate("(one) => getComputedStyle(one).borderTopStyle")
        for name in ("features.7", "classifier.6")
    ]
    assert styles == ["solid", "dashed"]
    told = tab.words(".network .key")
    assert all(words in told for words in ("kernels", "gradients", "not measured", "no gradient", "vanishing"))


def test_at_rest_every_node_has_the_colour_of_its_step_and_no_sign_takes_room(tab, fast, folder):
    def seen():
        return tab.frame.evaluate("""() => [...document.querySelectorAll(".block")].map((block) =>
            [block.dataset.health, block.offsetLeft, block.offsetWidth])""")

    recorded = {step: read(folder / "thousand", "cnnviz/gradients", step)["info"]["health"] for step in (100, 500)}
    assert recorded[100] != recorded[500]
    tab.open(fast, run="thousand", step=100).at(100)
    health, *before = zip(*seen(), strict=True)
    assert list(health) == recorded[100]
    tab.find(".play").click()
    tab.at(500)
    health, *after = zip(*seen(), strict=True)
    assert list(health) == recorded[500]
    assert after == before


def test_a_run_from_before_has_its_layers_without_edges_and_says_so(tab, fast):
    tab.open(fast, run="lenet")
    assert tab.find(".block b").all_inner_texts() == ["conv1", "conv2", "fc1", "fc2"]
    assert tab.find(".edges path").count() == 0
    assert tab.words(".network > .info >> nth=0") == "Not drawn: how the layers are connected was not recorded."


def test_the_layers_that_are_counted_are_those_of_the_model(tab, start, tmp_path):
    write(tmp_path / "runs" / "lenet", epochs=1, samples=50, projected=["elsewhere"]).close()
    server = start(tmp_path / "runs", fast=True)
    server.wait_for("lenet", 1)
    tab.open(server, run="lenet")
    tab.find(".network").get_by_role("button", name="elsewhere").first.wait_for()  # of which there is a picture, too
    assert tab.words(".network .aside").startswith("Net · 4 layers · ")
