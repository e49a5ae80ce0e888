"""Gradient maps in the tab: activation and gradient of each channel side by side, each with its scale."""

import re

import numpy as np
import pytest
from matplotlib import colormaps
from tensorboard_plugin.synthetic_run import CLASSES, read
from tensorboard_plugin.tab_page import Tab

from lightning_cnnviz.functional.drawing.colours import SEQUENTIAL

STEPS = range(100, 1201, 100)
SHEET = ".sheet:not([hidden]) canvas"


def record(folder, layer, step):
    """Activations and gradients of a record, with its other arrays."""
    arrays = read(folder / "mapped", f"cnnviz/gradient_maps/{layer}", step)
    low, high = (arrays[name][..., None, None].astype(float) for name in ("low", "high"))
    largest = np.maximum(-arrays["gradient_low"], arrays["gradient_high"])[..., None, None].astype(float)
    activations = low + (high - low) * arrays["values"] / 255
    return activations, (arrays["gradients"].astype(float) - 128) / 127 * largest, arrays


def largest(folder, layer, part, steps=STEPS):
    return max(np.abs(record(folder, layer, step)[part]).max() for step in steps)


def diverging(values, limit):
    return colormaps["RdBu_r"](values / limit / 2 + 0.5)[..., :3] * 255


def sequential(values, limit):
    return np.asarray(SEQUENTIAL)[np.rint(values / limit * (len(SEQUENTIAL) - 1)).astype(int)]


def pairs(tab, columns):
    """The pixels of the first channel's two pictures: the middle of each value."""
    tab.page.wait_for_timeout(400)
    picture = tab.pixels(SHEET).astype(float)
    inside = picture[3, 2:, 3] > 250
    width = (~inside).argmax() if (~inside).any() else len(inside)  # up to the gap beside the first channel
    side = round(width / 2 / columns)
    places = 2 + ((np.arange(columns) + 0.5) * side).astype(int)
    return [picture[np.ix_(places, places + shift)][..., :3] for shift in (0, side * columns)]


def scales(tab):
    """The ends of the two colour bars."""
    tab.page.wait_for_timeout(400)
    return [
        [float(end.replace("−", "-")) for end in re.findall(r"[−\d.]+(?:e[−\d]+)?", text)]
        for text in tab.find(".layer .legend .scale").all_inner_texts()
    ]


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_activation_and_gradient_stand_side_by_side_in_their_colours(tab, server, folder, layer):
    activations, gradients, _ = record(folder, layer, 600)
    tab.open(server, run="mapped", layer=layer, view="gradient_maps", sample=2, step=600).at(600)
    limits = [largest(folder, layer, part) for part in (0, 1)]
    left, right = pairs(tab, activations.shape[-1])
    assert np.abs(left - sequential(activations[2, 0], limits[0])).max() < 8
    assert np.abs(right - diverging(gradients[2, 0], limits[1])).max() < 8
    (start, end), (low, high) = scales(tab)
    assert (start, end) == (0, pytest.approx(limits[0], rel=0.01))
    assert (low, high) == (pytest.approx(-limits[1], rel=0.05), pytest.approx(limits[1], rel=0.05))
    assert tab.words(".layer .legend").split("\n")[0] == "activation"
    tab.find("select[title='One scale for']").select_option("own")
    limits = [largest(folder, layer, part, [600]) for part in (0, 1)]
    left, right = pairs(tab, activations.shape[-1])
    assert np.abs(left - sequential(activations[2, 0], limits[0])).max() < 8
    assert np.abs(right - diverging(gradients[2, 0], limits[1])).max() < 8


def test_the_samples_are_those_of_the_batch_at_each_step(tab, fast, folder):
    for step in (300, 1200):
        tab.open(fast, run="mapped", layer="conv1", view="gradient_maps", step=step).at(step)
        _, _, arrays = record(folder, "conv1", step)
        buttons = tab.find(".samples button")
        expected = [
            f"training sample #{k}: true {CLASSES[target]}, predicted {CLASSES[k + 1]}"
            for k, target in enumerate(arrays["targets"])
        ]
        assert [button.get_attribute("title") for button in buttons.all()] == expected
        seen = tab.pixels(".samples canvas >> nth=1")[..., :3]
        assert np.array_equal(seen, arrays["thumbnails"][1])


def test_a_channel_has_its_numbers_and_its_gradients_over_time(tab, fast, folder):
    tab.open(fast, run="mapped", layer="conv1", view="gradient_maps", channel=3, sample=1, step=500).at(500)
    activations, gradients, _ = record(folder, "conv1", 500)
    told = tab.words(".layer .foot .info").replace("−", "-")
    numbers = [float(text) for text in re.findall(r"-?[\d.]+(?:e-?\d+)?", told.split(" · ", 1)[1])]
    own = [end for part in (activations, gradients) for end in (part[1, 3].min(), part[1, 3].max())]
    assert told.startswith("Channel 3 · activation ")
    assert numbers == pytest.approx(own, rel=0.05)
    assert (
        tab.words(".history:not(.distribution) h3")
        == "Channel 3 over time: gradient of the batch's loss, each time another batch"
    )
    strip = tab.pixels(".history canvas").astype(float)
    size, limit, side = activations.shape[-1], largest(folder, "conv1", 1), strip.shape[0] - 20
    for k in (0, 4, 11):
        _, values, _ = record(folder, "conv1", STEPS[k])
        places = ((np.arange(size) + 0.5) * side / size).astype(int)
        found = strip[np.ix_(2 + places, 2 + k * (side + 6) + places)][..., :3]
        away = np.abs(found - diverging(values[1, 3], limit)).max(-1)
        assert np.median(away) < 8, STEPS[k]  # pixels at edges may be those of a neighbour


def test_units_have_bars_of_activations_above_those_of_gradients(tab, fast, folder):
    activations, gradients, _ = record(folder, "fc1", 1200)
    tab.open(fast, run="mapped", layer="fc1", view="gradient_maps", sample=1).at(1200)
    assert tab.find(".layer .segments button").all_inner_texts() == ["Weights", "Activations", "Gradients"]
    tab.page.wait_for_timeout(400)
    picture = tab.pixels(SHEET).astype(int)
    units = activations.shape[1]
    step = (picture.shape[1] - 52) / units
    coloured = np.ptp(picture[..., :3], axis=2) > 60
    tall = (picture.shape[0] - 8 - 22 - 8) / 2
    for part, values in enumerate((activations, gradients)):
        top, limit = 8 + part * (tall + 8), largest(folder, "fc1", part)
        for unit, value in enumerate(values[1, :, 0, 0]):
            (rows,) = np.nonzero(coloured[int(top) : int(top + tall) + 1, int(48 + unit * step + min(step, 2) / 2)])
            assert abs(len(rows) - abs(value) / limit / 2 * tall) <= 2, (part, unit)
            assert len(rows) < 2 or (rows.mean() < tall / 2) == (value > 0), (part, unit)


def test_a_layer_says_before_it_is_chosen_that_it_has_gradient_maps(tab, fast):
    tab.open(fast, run="mapped").at(1200)
    for layer, has in (("conv1", True), ("conv2", True), ("fc1", True), ("fc2", False)):
        block = tab.find(".block").filter(has_text=layer)
        assert ("gradient maps" in block.get_attribute("title")) == has, layer
        assert ("∂" in block.inner_text()) == has, layer
    assert "gradient maps" in tab.words(".network .key")


def test_where_none_are_recorded_none_are_offered(tab, fast):
    tab.open(fast, run="lenet", layer="conv1", view="gradient_maps").at(1200)
    assert "Gradient maps" not in tab.words(".layer header .segments")


@pytest.mark.parametrize("layer", ["conv1", "fc1"])
def test_at_1280_by_720_it_is_seen_whole(browser, fast, layer):
    tab = Tab(browser, 1280, 720)
    tab.open(fast, run="mapped", layer=layer, view="gradient_maps").at(1200)
    for part in (SHEET, ".foot", ".history canvas"):
        bottom = tab.find(part).first.evaluate("(part) => part.getBoundingClientRect().bottom")
        assert bottom <= tab.frame.evaluate("innerHeight"), part
    assert tab.box(".sheet:not([hidden])")["height"] >= 50
    assert tab.frame.evaluate("document.documentElement.scrollWidth") <= 1280
    tab.close()
