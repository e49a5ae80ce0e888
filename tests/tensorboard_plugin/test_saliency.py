"""Saliency in the tab: the maps that were computed, beside their sample, at the step that is shown."""

import numpy as np
import pytest
from helpers.tiny import fit, loaders
from tensorboard_plugin.synthetic_run import Run, read
from tensorboard_plugin.tab_page import faults

from lightning_cnnviz import Saliency
from lightning_cnnviz.functional.drawing.image import diverging, sequential

METHODS = ["grad_cam", "occlusion"]
TAGS = {"grad_cam": "cnnviz/saliency/grad_cam/conv2", "occlusion": "cnnviz/saliency/occlusion"}
MAPS = ".saliency canvas[role=img]"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A log directory with a run whose last labels are wrong, so that two classes are explained of some samples."""
    folder = tmp_path_factory.mktemp("saliency")
    train, val = loaders()
    val.dataset.targets[::2] = (val.dataset.targets[::2] + 1) % 4
    fit(folder, [Saliency(methods=METHODS, num_images=8, on_error="raise")], data=(train, val), max_epochs=3)
    return folder


@pytest.fixture(scope="module")
def shown(start, trained):
    return start(trained, fast=False).wait_for("run", 3)


def middles(picture, rows, columns):
    """The pixels in the middle of each value; around the picture is an outline of two pixels."""
    inside = picture[2:-2, 2:-2, :3].astype(int)
    places = [
        ((np.arange(n) + 0.5) * side / n).astype(int)
        for n, side in zip((rows, columns), inside.shape[:2], strict=True)
    ]
    return inside[np.ix_(*places)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [6, 18])
def test_each_map_is_drawn_in_its_colours_beside_its_sample(method, step, tab, shown, trained):
    record = read(trained / "run", TAGS[method], step)
    info, largest = record["info"], record["largest"]
    rows = np.array(info["rows"])
    sample = next(row for row in rows if (rows == row).sum() == 2)
    tab.open(shown, run="run", step=step, sample=sample, saliency=TAGS[method], scale="own").at(step)
    canvases = tab.find(MAPS)
    places = np.flatnonzero(rows == sample)
    assert canvases.count() == len(places) == 2
    for number, place in enumerate(places):
        values = (record["values"][place].astype(np.float32) - 128) / 127 * largest[place]
        expected = diverging(values, largest[place]) if info["signed"] else sequential(values, 0.0, largest[place])
        tab.page.wait_for_timeout(300)
        address = f"{MAPS} >> nth={number}"
        assert np.abs(middles(tab.pixels(address), *values.shape) - expected.astype(int)).max() < 6
        title = canvases.nth(number).get_attribute("aria-label")
        role = "predicted" if info["classes"][place] == info["predicted"][sample] else "true"
        assert role in title


def test_another_sample_and_another_method_can_be_chosen(tab, shown, trained):
    tab.open(shown, run="run", step=18).at(18)
    assert tab.find(".saliency select option").all_inner_texts() == ["Grad-CAM · conv2", "occlusion"]
    before = tab.words(".saliency")
    tab.find(".saliency .samples button").nth(3).click()
    tab.page.wait_for_timeout(500)
    assert tab.words(".saliency") != before
    tab.find(".saliency select").select_option(label="occlusion")
    tab.frame.wait_for_function("document.querySelector('.saliency').innerText.includes('to red')")
    samples = read(trained / "run", TAGS["occlusion"], 18)["info"]["samples"]
    assert tab.find(".saliency .samples button").count() == len(samples) == 8
    tab.page.wait_for_function("location.hash.includes('p.cnnviz.saliency=')")  # a link to what is seen


@pytest.mark.parametrize("dark", [False, True])
def test_nobody_is_kept_out(dark, tab, shown, axe):
    tab.open(shown, run="run", step=18, dark=dark).at(18)
    assert faults(tab, axe) == []


def test_a_frame_without_its_ranges_costs_itself_only(tab, start, tmp_path):
    run = Run(tmp_path / "logs" / "run")
    for step, arrays in ((1, {"largest": np.ones(1, np.float32)}), (2, {})):
        arrays = {"values": np.full((1, 3, 3), 255, np.uint8), **arrays}
        run.add("saliency", "cnnviz/saliency/occlusion", step, arrays, identity={"method": "occlusion"},
                method="occlusion", samples=[0], rows=[0], classes=[0], predicted=[0], signed=False)  # fmt: skip
    run.close()
    tab.open(start(tmp_path / "logs", fast=True).wait_for("run", 2), run="run", step=2).at(2)
    assert "damaged: it has no largest" in tab.words(".saliency .hint")
    tab.find(".saliency h2").click()
    tab.page.keyboard.press("Home")
    tab.at(1)
    tab.find(MAPS).wait_for()
    assert "cannot be drawn" not in tab.words(".notes")


def test_the_maps_of_a_sample_have_one_scale_over_time_and_between_runs(tab, start, tmp_path):
    largest = {"one": {1: [2.0, 1.0], 2: [8.0, 1.0]}, "two": {1: [4.0, 1.0], 2: [16.0, 1.0]}}
    values = np.full((2, 3, 3), 255, np.uint8)
    for name, steps in largest.items():
        run = Run(tmp_path / "logs" / name)
        run.add("samples", "cnnviz/samples", 1, {"targets": np.zeros(2, np.int32),
                "thumbnails": np.zeros((2, 3, 3, 3), np.uint8)}, classes=["cat"])  # fmt: skip
        for step, ends in steps.items():
            run.add("saliency", "cnnviz/saliency/occlusion", step, {"values": values, "largest": np.float32(ends)},
                    identity={"method": "occlusion"}, method="occlusion", samples=[0, 1], rows=[0, 1], classes=[0, 0],
                    predicted=[0, 0], signed=False)  # fmt: skip
        run.close()
    server = start(tmp_path / "logs", fast=True).wait_for("one", 2).wait_for("two", 2)

    def shown():
        tab.page.wait_for_timeout(500)
        words = tab.find(".saliency small:has-text('bright')").all_inner_texts()
        pixels = [middles(tab.pixels(f"{MAPS} >> nth={number}"), 3, 3)[1, 1] for number in range(len(words))]
        return [float(each.split("bright ")[1]) for each in words], pixels

    tab.open(server, run="one", compare="two", step=1).at(1)
    ends, pixels = shown()
    assert ends == [16, 16]
    for pixel, end in zip(pixels, (2.0, 4.0), strict=True):
        assert np.abs(pixel - sequential(np.array([[end]]), 0.0, 16.0)[0, 0]).max() < 6
    tab.find(".saliency .samples button >> nth=1").click()
    assert shown()[0] == [1, 1]  # of another sample
    tab.find(".saliency .samples button >> nth=0").click()
    tab.find("select[title='One scale for']").select_option("own")
    ends, pixels = shown()
    assert ends == [2, 4]
    assert np.array_equal(*pixels)
