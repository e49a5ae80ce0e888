"""A sample is found by its number, and its passes are those of the records."""

import numpy as np
import pytest
from helpers.tiny import TinyData, fit, loaders
from tensorboard_plugin.synthetic_run import Run, read
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


def test_two_runs_show_one_sample_on_one_axis(tab, start, tmp_path):
    margins = {"one": [-1.0, -0.5], "two": [-4.0, 4.0]}
    for name, (first, second) in margins.items():
        run = Run(tmp_path / "logs" / name)
        for step, share in ((1, 0.5), (2, 1.0)):
            arrays = {"values": np.float32([first, second]) * np.float32(share), "targets": np.zeros(2, np.int32),
                      "predicted": np.ones(2, np.int32)}  # fmt: skip
            listed = [{"sample": int(name == "two"), "margin": -1.0, "first_learned": None, "forgotten": 0}]
            run.add("sample_history", "cnnviz/sample_history/train", step, arrays, identity={"split": "train"},
                    split="train", samples=2, classes=["cat", "dog"], listed=listed)  # fmt: skip
        run.close()
    server = start(tmp_path / "logs", fast=True).wait_for("one", 2).wait_for("two", 2)
    tab.open(server, run="one", compare="two").at(2)
    tab.page.wait_for_timeout(600)
    assert [box.input_value() for box in tab.find(f"{PANEL} input").all()] == ["0", "0"]

    def heights():
        """How high each line is."""
        tab.page.wait_for_timeout(500)
        pictures = [tab.pixels(f".view >> nth={view} >> {PANEL} canvas").astype(int) for view in (0, 1)]
        reds = [(one[..., 0] - one[..., 2] > 60) & (one[..., 1] < 110) & (one[..., 3] > 200) for one in pictures]
        return [np.ptp(np.flatnonzero(red[:, 60:300].any(1))) for red in reds]

    one, two = heights()
    assert one <= 0.5 * two
    tab.find("select[title='One scale for']").select_option("own")
    one, two = heights()
    assert one == two
