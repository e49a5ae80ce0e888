"""A sample is found by its number, and its passes are those of the records."""

import pytest
from helpers.tiny import TinyData, fit, loaders
from tensorboard_plugin.synthetic_run import read
from torch.utils.data import DataLoader

from lightning_cnnviz import SampleHistory

PANEL = ".sample_history"
WRONG = [5, 30]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of six epochs in which two samples have a wrong label."""
    folder = tmp_path_factory.mktemp("samples")
    data = TinyData(64)
    data.targets[WRONG] = (data.targets[WRONG] + 2) % 4
    fit(
        folder, [SampleHistory(on_error="raise")], data=(DataLoader(data, 8, shuffle=True), loaders()[1]), max_epochs=6
    )
    return folder / "run"


@pytest.fixture
def opened(tab, start, run):
    return tab.open(start(run.parent, fast=True).wait_for("run", 6), run="run", step=48).at(48)


def words(tab):
    return tab.words(f"{PANEL} p:not(.hint)").replace("−", "-")


def test_a_sample_is_found_by_its_number_and_followed(opened, run):
    tab = opened
    record = read(run, "cnnviz/sample_history/train", 48)
    listed = [one["sample"] for one in record["info"]["listed"]]
    assert set(WRONG) <= set(listed)
    number = tab.find(f"{PANEL} input")
    assert int(number.input_value()) == listed[0]
    number.fill("7")
    number.press("Enter")
    tab.page.wait_for_timeout(500)
    values, targets = record["values"], record["targets"]
    assert f"Sample 7: labelled {TinyData.classes[targets[7]]}" in words(tab)
    assert float(words(tab).rpartition("margin ")[2]) == pytest.approx(values[7], rel=0.01)
    tab.find(f"{PANEL} canvas").focus()
    tab.page.keyboard.press("ArrowLeft")
    tab.at(40)
    before = read(run, "cnnviz/sample_history/train", 40)["values"]
    assert float(words(tab).rpartition("margin ")[2]) == pytest.approx(before[7], rel=0.01)


def test_those_with_a_wrong_label_are_a_click_away(opened):
    tab = opened
    tab.frame.locator(f"{PANEL} .classes button", has_text=f"#{WRONG[0]}").first.click()
    tab.page.wait_for_timeout(500)
    assert f"Sample {WRONG[0]}: labelled" in words(tab)
    assert int(tab.find(f"{PANEL} input").input_value()) == WRONG[0]


def test_the_validation_has_numbers_of_its_own_and_no_other_sample(opened):
    tab = opened
    tab.find(f"{PANEL} select").select_option("val")
    number = tab.find(f"{PANEL} input")
    tab.page.wait_for_timeout(500)
    number.fill("1000")
    number.press("Enter")
    tab.page.wait_for_timeout(500)
    assert "Sample 39: labelled" in words(tab)  # the last one
