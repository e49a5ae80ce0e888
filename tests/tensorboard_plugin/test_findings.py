"""Findings of a diagnosis in the tab: marks on the time axis and the network, and what was known at each step."""

from collections import OrderedDict

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard_plugin.scenes import hostile, lenet, lenet_other
from tensorboard_plugin.synthetic_run import HOSTILE, Run, write
from tensorboard_plugin.tab_page import Tab, faults
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_cnnviz import Architecture, Diagnosis, GradientFlow
from lightning_cnnviz.functional.model_summary.arrangement import arranged
from lightning_cnnviz.functional.model_summary.model_record import model_tab_data
from lightning_cnnviz.functional.model_summary.network_graph import network_graph
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.output.sinks.tensorboard import TensorBoardSink

VANISHING = {
    "rule": "vanishing_gradients",
    "title": "gradients vanish",
    "layers": ("conv1",),
    "first_step": 200,
    "last_step": 1200,
    "told_step": 300,
    "evidence": "The mean |gradient| of conv1 is 2.1e-06, 4,300 times smaller than that of fc2, at 9 of 9 steps.",
    "numbers": {"mean_abs": 2.1e-06, "ratio": 4300.0},
    "chart": "gradient_flow/heatmap",
    "sure": "certain",
    "advice": "Use ReLU in place of sigmoid, He initialization and batch normalization, or residual connections.",
    "source": "Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010",
}
DEAD = {
    "rule": "dead_units",
    "title": "dead units",
    "layers": ("conv2", "fc1"),
    "first_step": 500,
    "last_step": 800,
    "told_step": 600,
    "evidence": "7 of 16 units of conv2 returned zero for all 1,000 samples.",
    "numbers": {"dead": 7 / 16},
    "chart": "activations/heatmap",
    "sure": "likely",
    "advice": "Lower the learning rate, or use leaky ReLU.",
    "source": "Lu et al., Dying ReLU and Initialization: Theory and Numerical Examples, 2019",
}
OVERFITTING = {
    "rule": "overfitting",
    "title": "over-fitting",
    "layers": (),
    "first_step": 510,
    "last_step": 1200,
    "told_step": 900,
    "evidence": "The validation loss has risen by 12 % since step 510 while the training loss fell by 31 %.",
    "numbers": {"rise": 0.12},
    "chart": "curves/loss",
    "sure": "likely",
    "advice": "Stop at step 510, or add data, augmentation, weight decay or dropout.",
    "source": "Prechelt, Early Stopping – But When?, 1998",
}
ONE_CLASS = {
    "rule": "one_class_predicted",
    "title": "one class predicted",
    "layers": (),
    "first_step": 1010,
    "last_step": 1200,
    "told_step": 1100,
    "evidence": "98 % of the validation samples are predicted as ring, which 10 % of them are.",
    "numbers": {"share": 0.98},
    "chart": "class_report/confusion",
    "sure": "certain",
    "advice": "Lower the learning rate, and check the labels.",
    "source": "Johnson & Khoshgoftaar, Survey on deep learning with class imbalance, 2019",
}
FOUND = [VANISHING, DEAD, OVERFITTING, ONE_CLASS]


def diagnose(folder, found, steps):
    """Writes at each step the findings that are told by then, beside what a run has, as a callback does."""
    sink = TensorBoardSink(TensorBoardLogger(folder.parent, name=folder.name, version=""))
    for step in steps:
        known = [{**one, "last_step": min(one["last_step"], step)} for one in found if one["told_step"] <= step]
        sink.tab_data(TabData("findings", {}, {"findings": known}, {}), step)
    sink.flush()


RUNS = ["lenet", "other", "healthy", "hostile", "many", "folded"]


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory, start):
    """A server on runs with findings, and on one of which nothing was found."""
    folder = tmp_path_factory.mktemp("diagnosed") / "runs"
    for name in ("lenet", "healthy"):
        lenet(folder / name)
        diagnose(folder / name, FOUND if name == "lenet" else [], range(100, 1201, 100))
    lenet_other(folder / "other")
    of_another = {**VANISHING, "layers": ("conv2",), "first_step": 600, "last_step": 1350, "told_step": 750}
    diagnose(folder / "other", [of_another], range(150, 1351, 150))
    hostile(folder / "hostile")
    texts = dict(zip(("title", "evidence", "advice", "source", "chart"), HOSTILE, strict=False))
    spoilt = {**VANISHING, **texts, "layers": tuple(HOSTILE), "first_step": 1, "last_step": 300, "told_step": 100}
    diagnose(folder / "hostile", [spoilt], range(100, 301, 100))
    layers = [(f"encoder.blocks.{n}.mlp.fc", 64) for n in range(300)]
    write(folder / "many", epochs=3, layers=(), hidden=layers, projected=(), samples=10, linear=0).close()
    everywhere = {**DEAD, "layers": tuple(name for name, _ in layers), "first_step": 300, "told_step": 300}
    others = [{**ONE_CLASS, "rule": f"rule_{n}", "first_step": n, "told_step": 100} for n in range(1, 31)]
    diagnose(folder / "many", [*others, everywhere], range(100, 301, 100))
    _write_groups(folder / "folded")
    server = start(folder, fast=True)
    for name in RUNS:
        server.wait_for(name, 3)
    return server


def _write_groups(folder):
    """A run of a network with a group of layers, one of which has a finding."""
    body = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())
    model = nn.Sequential(OrderedDict(stem=nn.Conv2d(1, 4, 3), body=body, flat=nn.Flatten(), head=nn.Linear(64, 2)))
    record = model_tab_data("Net", arranged(network_graph(model, torch.rand(1, 1, 8, 8))), (1, 8, 8))
    run = Run(folder)
    run.add_blobs("model", "cnnviz/model", 100, list(record.packed()))
    run.close()
    diagnose(folder, [{**VANISHING, "layers": ("body.0",), "first_step": 100, "told_step": 100}], range(100, 301, 100))


@pytest.fixture
def tab(browser):
    tab = Tab(browser, 1280, 720)
    yield tab
    tab.close()


def titles(tab):
    return tab.find(".findings summary b").all_inner_texts()


def marked(tab):
    """Layer → what the mark on it says."""
    blocks = tab.find(".block:has(.pin)").all()
    return {
        block.locator("b").inner_text(): block.locator(".pin[role=img]").get_attribute("aria-label")
        for block in blocks
    }


def chosen_layer(tab):
    return tab.find(".layer select >> nth=0").input_value()


def test_a_mark_stands_where_each_finding_begins_and_those_that_would_overlap_share_one(tab, diagnosed):
    tab.open(diagnosed, run="lenet").at(1200)
    marks = tab.find(".marks").get_by_role("button")
    assert [mark.get_attribute("aria-label") for mark in marks.all()] == [
        "Gradients vanish · conv1 · since step 200",
        "2 findings: Dead units · conv2, fc1 · step 500 to 800; Over-fitting · since step 510",
        "One class predicted · since step 1,010",
    ]
    assert marks.all_inner_texts() == ["!", "2", "!"]
    for index, step in enumerate([200, 500, 1010]):
        box, axis = marks.nth(index).bounding_box(), tab.box(".slider")
        expected = axis["x"] + 56 + (axis["width"] - 56 - 52) * (step - 100) / 1100
        assert box["x"] + box["width"] / 2 == pytest.approx(expected, abs=1)
        assert min(box["width"], box["height"]) >= 24


@pytest.mark.parametrize("way", ["click", "Enter", "Space"])
def test_a_mark_leads_to_the_step_and_to_the_layer(tab, diagnosed, way):
    tab.open(diagnosed, run="lenet", layer="fc2").at(1200)
    mark = tab.find(".mark >> nth=0")
    if way == "click":
        mark.click()
    else:
        mark.press(way)
    tab.at(200)
    assert chosen_layer(tab) == "conv1"
    tab.find(".mark >> nth=2").press("Enter")
    tab.at(1100)  # the first one recorded at which it holds
    assert chosen_layer(tab) == "conv1"  # the finding names none
    assert tab.find(".play").get_attribute("aria-label") == "Play"


@pytest.mark.parametrize("way", ["pointer", "keyboard"])
def test_a_mark_says_what_it_stands_for(tab, diagnosed, way):
    tab.open(diagnosed, run="lenet").at(1200)
    mark = tab.find(".mark >> nth=1")
    if way == "pointer":
        mark.hover()
    else:
        mark.focus()
    lines = ["Dead units · conv2, fc1 · step 500 to 800", "Over-fitting · since step 510"]
    assert tab.words(".tooltip").splitlines() == lines
    if way == "pointer":
        tab.page.mouse.move(5, 5)
    else:
        tab.page.keyboard.press("Tab")
        lines = ["One class predicted · since step 1,010"]
        assert tab.words(".tooltip").splitlines() == lines
        tab.page.keyboard.press("Tab")
    assert tab.find(".tooltip").is_hidden()


def test_only_what_was_told_by_then_is_listed_and_the_rest_is_counted(tab, diagnosed):
    tab.open(diagnosed, run="lenet", step=200).at(200)
    assert titles(tab) == []
    assert tab.words(".findings header").split("\n")[1:] == [
        "none is known at this step, 4 told later:",
        "go to step 300",
    ]
    told = {300: ["Gradients vanish"], 600: ["Gradients vanish", "Dead units"]}
    told |= {900: [*told[600], "Over-fitting"], 1100: [*told[600], "Over-fitting", "One class predicted"]}
    for step, known in told.items():
        tab.find(".findings header button").click()
        tab.at(step)
        assert titles(tab) == known
        assert tab.words(".findings header .aside") == (f"{4 - len(known)} more told later:" if len(known) < 4 else "")
    assert tab.find(".findings header button").is_hidden()
    assert tab.find("summary:focus").count() == 1  # what had the keyboard is gone
    assert tab.find(".findings summary").all_inner_texts()[1].endswith("step 500 to 800 · told at step 600 · likely")
    tab.page.keyboard.press("Home")
    tab.at(100)
    assert titles(tab) == []
    tab.open(diagnosed, run="lenet", step=700).at(700)
    assert tab.find(".findings summary").all_inner_texts()[1].endswith("since step 500 · told at step 600 · likely")


def test_the_evidence_the_advice_and_the_source_are_told(tab, diagnosed):
    tab.open(diagnosed, run="lenet").at(1200)
    details = tab.find(".findings details")
    assert [one.get_attribute("open") is not None for one in details.all()] == [True, False, False, False]
    for finding, one in zip(FOUND, details.all(), strict=True):
        if one.get_attribute("open") is None:
            one.locator("summary").press("Enter")
        told = dict(zip(one.locator("dt").all_inner_texts(), one.locator("dd").all_inner_texts(), strict=True))
        assert told["Evidence"].startswith(finding["evidence"])
        assert (told["Try"], told["Source"]) == (finding["advice"], finding["source"])


def test_what_is_opened_stays_open_as_time_moves_and_its_keys_do_not_play(tab, diagnosed):
    tab.open(diagnosed, run="lenet", step=1000).at(1000)
    tab.find("summary >> nth=0").press("Space")
    tab.find("summary >> nth=1").press("Enter")
    assert tab.find(".play").get_attribute("aria-label") == "Play"
    for key, step in (("ArrowRight", 1100), ("ArrowLeft", 1000), ("ArrowLeft", 900), ("ArrowLeft", 800)):
        tab.page.keyboard.press(key)
        tab.at(step)
        assert tab.words("summary:focus b") == "Dead units"
        opened = [one.get_attribute("open") is not None for one in tab.find(".findings details").all()]
        assert opened[:2] == [False, True]
        assert not any(opened[2:])


def test_layers_are_marked_while_a_finding_holds(tab, diagnosed):
    vanishing, dead = "Gradients vanish · conv1 · since step 200", "Dead units · conv2, fc1 · step 500 to 800"
    tab.open(diagnosed, run="lenet", step=100).at(100)
    assert marked(tab) == {}
    for step, layers in {200: ["conv1"], 500: ["conv1", "conv2", "fc1"], 800: ["conv1", "conv2", "fc1"]}.items():
        tab.open(diagnosed, run="lenet", step=step).at(step)
        assert marked(tab) == {name: vanishing if name == "conv1" else dead for name in layers}
    assert tab.find(".network").get_by_role("button", name=dead).count() == 2
    tab.page.keyboard.press("ArrowRight")
    tab.at(900)
    assert marked(tab) == {"conv1": vanishing}


def test_a_mark_within_a_folded_group_is_on_that(tab, diagnosed):
    tab.open(diagnosed, run="folded").at(300)
    assert list(marked(tab)) == ["0"]
    tab.find(".toggle[title='Fold body']").click()
    assert list(marked(tab)) == ["body"]
    tab.find(".toggle[title='Unfold body']").click()
    assert list(marked(tab)) == ["0"]


def test_the_chart_is_shown_where_the_tab_has_it(tab, diagnosed):
    tab.open(diagnosed, run="lenet", layer="fc2").at(1200)
    for one in tab.find(".findings summary").all()[1:]:
        one.click()
    places = [".gradients canvas", ".distribution canvas", ".slider"]
    buttons = tab.find(".findings dd button")
    assert buttons.count() == len(places)
    for index, (place, layer) in enumerate(zip(places, ["conv1", "conv2", "conv2"], strict=True)):
        buttons.nth(index).click()
        tab.frame.wait_for_function("(place) => document.activeElement.matches(place)", arg=place)
        assert chosen_layer(tab) == layer
        tab.page.wait_for_timeout(500)
        box = tab.box(place)
        assert box["y"] > 64  # below TensorBoard's own bar
        assert box["y"] + box["height"] <= 720
    assert tab.find(".findings dd >> nth=9").inner_text().endswith(" class_report/confusion")


def test_where_nothing_was_found_nothing_is_shown(tab, diagnosed):
    tab.open(diagnosed, run="healthy").at(1200)
    assert tab.find(".findings").count() == 0
    assert tab.find(".mark, .pin").count() == 0
    assert tab.box(".marks")["height"] == 0


def test_two_runs_have_their_own(tab, diagnosed):
    tab.open(diagnosed, run="lenet", compare="other", step=600).at(600)
    views = tab.find(".view")
    assert views.nth(0).locator("summary b").all_inner_texts() == ["Gradients vanish", "Dead units"]
    assert views.nth(1).locator("summary b").count() == 0
    assert views.nth(1).locator(".findings header button").inner_text() == "go to step 750"
    assert [views.nth(1).locator(".block:has(.pin) b").all_inner_texts()] == [["conv2"]]
    rows = tab.find(".marks .row")
    assert [row.get_attribute("aria-label") for row in rows.all()] == ["Findings in lenet", "Findings in other"]
    assert [row.locator(".mark").count() for row in rows.all()] == [3, 1]
    rows.nth(1).locator(".mark").click()
    tab.at(600)
    assert chosen_layer(tab) == "conv2"
    tab.open(diagnosed, run="healthy", compare="other").at(1350)
    assert tab.find(".marks .row").get_attribute("aria-label") == "Findings in other"
    views = tab.find(".view")
    assert views.nth(0).locator(".findings").count() == 0
    assert views.nth(1).locator("summary b").all_inner_texts() == ["Gradients vanish"]


def test_texts_are_never_read_as_html(tab, diagnosed):
    tab.open(diagnosed, run="hostile").at(300)
    title, evidence, advice, source, chart, _ = HOSTILE
    assert tab.words(".findings summary") == (
        f"! {title} · {HOSTILE[0]}, {HOSTILE[1]} and 4 more · since step 1 · told at step 100 · certain"
    )
    found = [f"{evidence} {chart}", advice, ", ".join(HOSTILE), source]
    assert tab.find(".findings dd").all_inner_texts() == found
    assert tab.find(".findings :is(img, script)").count() == 0
    tab.find(".mark").hover()
    assert tab.words(".tooltip").startswith(f"{title} · ")


def test_many_findings_and_layers_take_little_room(tab, diagnosed):
    tab.open(diagnosed, run="many").at(300)
    assert tab.find(".mark").all_inner_texts() == ["30", "!"]
    tab.find(".mark >> nth=0").hover()
    lines = tab.words(".tooltip").splitlines()
    assert len(lines) == 9
    assert lines[-1] == "and 22 more"
    assert len(titles(tab)) == 31
    assert tab.box(".findings")["height"] < 330
    assert len(marked(tab)) == 300
    assert "encoder.blocks.0.mlp.fc, encoder.blocks.1.mlp.fc and 298 more" in tab.find("summary").last.inner_text()


def test_findings_of_a_run_that_goes_on_come_by_themselves(tab, diagnosed, tmp_path, start):
    folder = tmp_path / "logs" / "live"
    lenet(folder)
    diagnose(folder, [], range(100, 401, 100))
    tab.open(start(tmp_path / "logs", fast=True).wait_for("live", 12)).at(1200)
    assert tab.find(".findings").count() == 0
    diagnose(folder, [VANISHING], [500, 600])
    tab.find(".mark").wait_for()
    assert titles(tab) == ["Gradients vanish"]


class Forgetful(pl.LightningModule):
    """Gives the optimizer the weights of its last layer only."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 32, 3)
        self.fc = nn.Linear(32 * 6 * 6, 2)

    def forward(self, x):
        return self.fc(self.conv(x).relu().flatten(1))

    def training_step(self, batch):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.fc.parameters(), lr=0.01)


def test_what_a_diagnosis_finds_in_a_training_is_shown(tab, tmp_path, start):
    pl.seed_everything(0, verbose=False)
    diagnosis = Diagnosis()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=[Architecture(), GradientFlow(), diagnosis],
        logger=TensorBoardLogger(tmp_path / "logs", name="run", version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    data = TensorDataset(torch.randn(128, 1, 8, 8), torch.arange(128) % 2)
    with pytest.warns(UserWarning, match="Diagnosis at step"):
        trainer.fit(Forgetful(), DataLoader(data, 16, shuffle=True))
    (found,) = [finding for finding in diagnosis.findings() if finding.layers == ("conv",)]
    tab.open(start(tmp_path / "logs", fast=True).wait_for("run", 2)).at(16)
    title = found.title[0].upper() + found.title[1:]
    assert title in titles(tab)
    assert f"{title} · conv · since step {found.first_step}" in marked(tab)["conv"]
    evidence = tab.find(f"details:has-text('{title}') dd >> nth=0")
    assert evidence.text_content() == f"{found.evidence} show the chart"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_fault(tab, diagnosed, axe, dark):
    states = [
        {"run": "lenet"},
        {"run": "lenet", "step": 200},
        {"run": "lenet", "compare": "other"},
        {"run": "hostile"},
    ]
    for state in states:
        tab.open(diagnosed, dark=dark, **state)
        tab.find(".panel canvas >> visible=true >> nth=0").wait_for()
        assert not faults(tab, axe), state
