"""Runs that are still written, damaged, deleted, or that have hardly anything to show."""

import shutil

import pytest
from tensorboard_plugin.scenes import lenet, without
from tensorboard_plugin.synthetic_run import HOSTILE, write


@pytest.mark.parametrize("loader", ["fast", "slow"])
def test_a_run_that_is_written_updates_by_itself(tab, start, tmp_path, loader):
    run = write(tmp_path / "logs" / "live", epochs=6, epoch_list=[1, 2], samples=50)
    tab.open(start(tmp_path / "logs", fast=loader == "fast").wait_for("live", 2), run="live").at(200)
    write(None, epochs=6, epoch_list=[3, 4], samples=50, run=run)
    tab.at(400)
    tab.find("h2 >> nth=0").click()
    tab.page.keyboard.press("ArrowLeft")
    tab.at(300)
    write(None, epochs=6, epoch_list=[5], samples=50, run=run)
    tab.frame.wait_for_function("document.querySelector('.slider').getAttribute('aria-valuemax') === '500'")
    tab.at(300)  # who looks at an old step stays there
    run.close()


def test_names_are_shown_as_they_are(tab, server):
    tab.open(server, run="hostile").at(300)
    assert tab.find(".block b").all_inner_texts() == HOSTILE
    assert tab.find(".classes .chip").all_inner_texts() == HOSTILE
    assert tab.find("img, script:not([type=module])").count() == 0
    for index in range(len(HOSTILE)):
        tab.find(f".block >> nth={index}").click()
        tab.find(".layer .sheet:not([hidden]) canvas").wait_for()
    tab.frame.wait_for_function("(name) => document.querySelector('.layer select').value === name", arg=HOSTILE[-1])


@pytest.mark.parametrize(
    ("run", "step", "told"),
    [
        ("single", 100, None),
        ("nan", 400, None),
        ("thousand", 500, "Not in this run: kernels (add KernelGrid()), feature maps (add FeatureMaps()), projection"),
        ("corrupt", 300, "cnnviz/kernels/conv1 at step 300 is damaged"),
        ("foreign", 200, "written by a newer lightning-cnnviz (expected schema 1, got 2)"),
        ("truncated", 300, None),
    ],
)
def test_odd_runs_show_what_there_is_and_say_what_is_wrong(tab, server, run, step, told):
    tab.open(server, run=run)
    tab.at(step)
    tab.find(".gradients canvas").wait_for()
    if told:
        tab.frame.wait_for_function("document.querySelector('.notes p')")
        assert told in tab.words(".notes")
    if run == "nan":
        assert "No finite" not in tab.words(".layer .legend")
        assert tab.words(".gradients .scale") == "not finite"
        assert "no finite loss" in tab.words(".bar")
    if run == "thousand":
        assert tab.find(".block").count() == 1000
    tab.find("h2 >> nth=0").click()
    for key in ("Home", "Space", "End"):
        tab.page.keyboard.press(key)
    tab.page.wait_for_timeout(300)


def test_without_our_data_the_page_says_what_to_add(tab, start, tmp_path):
    without(tmp_path / "logs" / "bare")
    server = start(tmp_path / "logs", fast=True)
    server.wait_for("bare", 0)
    tab.open(server)
    assert "cnnviz_callbacks()" in tab.words(".empty")
    lenet(tmp_path / "logs" / "new")
    tab.find(".block >> nth=0").wait_for()
    assert not tab.find(".empty").is_visible()


def test_a_run_deleted_while_it_is_open(tab, start, tmp_path):
    write(tmp_path / "logs" / "gone", epochs=2, samples=50).close()
    server = start(tmp_path / "logs", fast=True).wait_for("gone", 2)
    tab.open(server, run="gone").at(200)
    shutil.rmtree(tmp_path / "logs" / "gone")
    tab.find(".notes p").wait_for()
    assert "gone has no data for this tab any more" in tab.words(".notes")
    tab.page.wait_for_timeout(3500)
