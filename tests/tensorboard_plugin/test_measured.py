"""The tab shows what was measured: at rest a recorded frame and its numbers; what has no number says why."""

import numpy as np
import pytest
from matplotlib import colormaps
from tensorboard_plugin.synthetic_run import camera, read
from tensorboard_plugin.tab_page import share_drawn

TAG = "cnnviz/projection/fc2/tsne"
STEPS = (400, 800, 1200)


def layout_shown(tab, folder, step):
    return share_drawn(tab, folder / "sparse", TAG, STEPS, step)


@pytest.mark.parametrize("way", ["address", "keys", "drag", "pause"])
def test_at_rest_the_projection_is_a_recorded_frame_with_its_numbers_and_predictions(tab, fast, folder, way):
    tab.open(fast, run="sparse", step=1100 if way == "address" else 1000).at(1100 if way == "address" else 1000)
    if way == "keys":
        tab.find("h2 >> nth=0").click()
        tab.page.keyboard.press("ArrowRight")
    elif way == "drag":
        box = tab.box(".slider")
        x = box["x"] + 56 + (box["width"] - 108) * 980 / 1100
        tab.page.mouse.move(box["x"] + 200, box["y"] + 60)
        tab.page.mouse.down()
        tab.page.mouse.move(x, box["y"] + 60, steps=5)
        tab.page.wait_for_timeout(300)
        assert tab.words(".projection .which") == "Between steps 800 and 1,200; numbers and predictions of step 800"
        assert layout_shown(tab, folder, 800) < 0.97  # on the way, points are in between
        tab.page.mouse.up()
    elif way == "pause":
        tab.find(".play").click()
        reached = "document.querySelector('.now b').textContent === '1,100'"
        tab.frame.wait_for_function(f"{reached} && (document.querySelector('.play').click(), true)")
        tab.page.wait_for_timeout(600)
        assert tab.words(".now b") in ("1,100", "1,200")
        if tab.words(".now b") == "1,200":  # nearer than 1,100 when the button was pressed
            tab.page.keyboard.press("ArrowLeft")
    tab.at(1100)
    assert tab.words(".projection .which") == "Step 800, the last recorded before step 1,100"
    assert layout_shown(tab, folder, 800) > 0.98
    assert layout_shown(tab, folder, 1200) < 0.97
    accuracy = read(folder / "sparse", TAG, 800)["info"]["numbers"]["knn_accuracy"]
    assert tab.words(".projection .aside").startswith(f"10-NN accuracy {accuracy:.1%}".replace("%", " %"))


def test_the_prediction_of_a_sample_at_rest_is_that_of_the_recorded_frame(tab, fast, folder):
    frames = [read(folder / "sparse", TAG, step) for step in (800, 1200)]
    (changed,) = np.nonzero(frames[0]["predicted"] != frames[1]["predicted"])
    classes = read(folder / "sparse", "cnnviz/samples", 100)["info"]["classes"]
    points = frames[0]["points"]
    distances = np.linalg.norm(points[changed, None] - points[None], axis=2)
    sample = int(changed[np.sort(distances, axis=1)[:, 1].argmax()])  # the one that stands most alone
    tab.open(fast, run="sparse", step=1100).at(1100)
    box = tab.box(".points")
    place = camera(folder / "sparse", TAG, STEPS, box["width"], box["height"])(points[sample])
    tab.page.mouse.move(*tab.mouse(".points", *place))
    told = tab.words(".tooltip")
    assert f"Sample {sample} " in told
    assert told.split("predicted")[1].strip() == classes[frames[0]["predicted"][sample]]


def test_a_recorded_step_is_named_alone(tab, fast):
    tab.open(fast, run="sparse", step=800).at(800)
    assert tab.words(".projection .which") == "Step 800"
    tab.open(fast, run="sparse", step=300).at(300)
    assert tab.words(".projection .hint") == "First recorded at step 400."


def test_not_measured_and_no_gradient_differ_by_pattern_and_the_axis_is_as_long_as_the_run(tab, fast, folder):
    tab.open(fast, run="sparse", step=1200).at(1200)
    assert tab.find(".gradients .scale small").all_inner_texts() == ["log", "no gradient", "not measured"]
    picture = tab.pixels(".gradients canvas")
    left = int(np.nonzero(np.ptp(picture[20:60, :, :3].astype(int), axis=(0, 2)))[0][0])
    right = picture.shape[1] - 5

    def cell(row, step):
        """The pixels of a row, 40 high at this width, around a step on an axis from 50 to 1,250."""
        x = left + (right - left) * (step - 50) / 1200
        return picture[20 * row + 3 : 20 * row + 17, int(x) - 12 : int(x) + 12, :3].reshape(-1, 3)

    for row in range(3):
        assert len(np.unique(cell(row, 100), axis=0)) > 3  # before the first record: lines on a ground
    assert len(np.unique(cell(1, 600), axis=0)) == 1  # conv2 is frozen: one grey
    values = {step: read(folder / "sparse", "cnnviz/gradients", step)["values"] for step in (300, 600, 900, 1200)}
    every = np.log(np.stack([frame[[0, 2], 0] for frame in values.values()]))
    for step, frame in values.items():
        share = (np.log(frame[0, 0]) - every.min()) / (every.max() - every.min())
        expected = colormaps["viridis"](round(share * 200) / 200)[:3]
        found = cell(0, step)
        assert len(np.unique(found, axis=0)) == 1
        np.testing.assert_allclose(found[0], np.array(expected) * 255, atol=2)
    tab.page.mouse.move(*tab.mouse(".gradients canvas", left + (right - left) * 50 / 1200, 10))
    assert tab.words(".tooltip").splitlines() == ["conv1", "not measured"]
    tab.page.mouse.move(*tab.mouse(".gradients canvas", left + (right - left) * 550 / 1200, 30))
    assert tab.words(".tooltip").splitlines()[:3] == ["conv2", "step 600", "mean |gradient|: no gradient"]


def test_the_blocks_of_the_network_tell_not_measured_from_no_gradient(tab, fast):
    tab.open(fast, run="sparse", step=1200).at(1200)
    blocks = [tab.find(f".block >> nth={k}") for k in (1, 2)]
    borders = [block.evaluate("(block) => getComputedStyle(block).borderStyle") for block in blocks]
    signs = [block.locator("b").evaluate("(name) => getComputedStyle(name, '::after').content") for block in blocks]
    assert borders == ["solid", "dashed"]
    assert signs == ['"○"', '"?"']
