"""Input channels and slices of kernels, and normalisation layers, in the tab of a run that a Trainer wrote."""

import re

import numpy as np
import pytest
import pytorch_lightning as pl
from helpers.tiny import TinyNet, fit
from tensorboard_plugin.tab_page import Tab
from tensorboard_plugin.test_everyone import PICTURE, faults
from tensorboard_plugin.test_layer import colours, scale
from torch import nn

from lightning_cnnviz import Architecture, KernelGrid

STEPS = (0, 6, 12)
INPUT, SLICE = (f".layer select[title='{name}']" for name in ("Input channel", "Slice"))


class Net(TinyNet):
    """Kernels with depth, and more input channels than are kept."""

    def __init__(self):
        super().__init__()
        self.three = nn.Conv3d(2, 4, 3, padding=1)
        self.wide = nn.Conv2d(1024, 512, 1)

    def forward(self, x):
        x = x + self.three(x[:, :, None].repeat(1, 2, 1, 1, 1)).mean((1, 2))[:, None]
        return super().forward(x + self.wide(x.mean((2, 3), keepdim=True).repeat(1, 1024, 1, 1)).mean(1, keepdim=True))


class States(pl.Callback):
    """What the layers really held at each step, float64."""

    def __init__(self):
        self.of_step = {}

    def keep(self, trainer, module):
        state = {name: value.detach().double().numpy() for name, value in module.state_dict().items()}
        self.of_step[trainer.global_step] = state

    on_train_start = on_train_epoch_end = keep


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """A folder with the run, and a function that returns a parameter or buffer at all steps."""
    folder, kept = tmp_path_factory.mktemp("parts") / "runs", States()
    fit(folder, [kept, Architecture(), KernelGrid(every_n_epochs=1, on_error="raise")], model=Net)
    assert tuple(kept.of_step) == STEPS
    return folder, lambda name: np.stack([kept.of_step[step][name] for step in STEPS])


@pytest.fixture(scope="module")
def server(states, start):
    return start(states[0], fast=True).wait_for("run", 2)


@pytest.fixture
def tab(browser):
    tab = Tab(browser, 1280, 720)
    yield tab
    tab.close()


def kernel(tab, picture=PICTURE, left=2):
    """The middle of each weight of the first kernel of 3×3, RGB."""
    pixels = tab.pixels(picture).astype(float)
    side = (np.abs(pixels[2:, left:, 3] - 255) > 0).argmax(axis=1)[0] / 3  # up to the gap beside it
    places = ((np.arange(3) + 0.5) * side).astype(int)
    return pixels[np.ix_(2 + places, left + places)][..., :3]


def choose(tab, select, value):
    tab.find(select).select_option(value)
    tab.page.wait_for_timeout(600)


def legend(tab):
    return tab.words(".layer .legend").split("\n")[0]


def test_every_input_channel_is_chosen_and_has_one_scale_or_each_its_own(tab, server, states):
    weights = states[1]("conv2.weight")
    tab.open(server, run="run", layer="conv2", step=6).at(6)
    assert tab.find(f"{INPUT} option").all_inner_texts() == ["0", "1", "2", "3", "mean"]
    assert tab.find(INPUT).input_value() == "0"
    for value, planes in (("2", weights[:, :, 2]), ("mean", weights.mean(2)), ("0", weights[:, :, 0])):
        choose(tab, INPUT, value)
        words = "mean over input channels" if value == "mean" else f"input channel {value}"
        assert legend(tab) == f"weight, {words}"
        largest = abs(planes).max()
        assert scale(tab) == pytest.approx(largest, rel=6e-3)
        np.testing.assert_allclose(kernel(tab), colours(planes[1, 0], largest), atol=10)
        tab.find("select[title='One scale for']").select_option("own")
        assert scale(tab) == pytest.approx(abs(planes[1]).max(), rel=6e-3)
        np.testing.assert_allclose(kernel(tab), colours(planes[1, 0], abs(planes[1]).max()), atol=10)
        tab.find("select[title='One scale for']").select_option("")


def test_two_runs_have_one_scale_of_the_chosen_channel(tab, start, states, tmp_path):
    other, net = States(), Net()
    net.learning_rate = 0.5
    fit(tmp_path / "logs", [other, KernelGrid(every_n_epochs=1, on_error="raise")], model=net)
    (tmp_path / "logs" / "one").symlink_to(states[0] / "run", target_is_directory=True)
    server = start(tmp_path / "logs", fast=True).wait_for("run", 3).wait_for("one", 3)
    tab.open(server, run="one", compare="run", layer="conv2", input=2).at(12)
    tab.page.wait_for_timeout(600)
    largest = [abs(states[1]("conv2.weight")[:, :, 2]).max()]
    largest.append(max(abs(other.of_step[step]["conv2.weight"][:, 2]).max() for step in STEPS))
    assert largest[1] > 1.5 * largest[0]
    for view in (0, 1):
        assert scale(tab, view) == pytest.approx(max(largest), rel=6e-3)
    tab.find("select[title='One scale for']").select_option("own")
    assert scale(tab, 0) == pytest.approx(abs(states[1]("conv2.weight")[-1, :, 2]).max(), rel=6e-3)


def test_every_slice_of_kernels_with_depth_is_chosen(tab, server, states):
    weights = states[1]("three.weight")  # steps, kernels, inputs, slices, height, width
    tab.open(server, run="run", layer="three").at(12)
    assert tab.find(SLICE).input_value() == "1"
    assert legend(tab) == "weight, input channel 0, slice 1 of 3"
    for value, place in (("0", 2), ("1", 0), ("mean", 1)):
        choose(tab, INPUT, value)
        choose(tab, SLICE, str(place))
        planes = (weights.mean(2) if value == "mean" else weights[:, :, int(value)])[:, :, place]
        assert f"slice {place} of 3" in legend(tab)
        np.testing.assert_allclose(kernel(tab), colours(planes[-1, 0], abs(planes).max()), atol=10)


def test_one_channel_over_time_is_that_of_the_input_channel(tab, server, states):
    planes = states[1]("conv2.weight")[:, :, 3]
    tab.open(server, run="run", layer="conv2", input=3, channel=5).at(12)
    tab.page.wait_for_timeout(600)
    strip = tab.pixels(".history canvas").astype(float)
    for number in range(len(STEPS)):
        places = 2 + number * (46 + 6) + ((np.arange(3) + 0.5) * 46 / 3).astype(int)
        rows = 2 + ((np.arange(3) + 0.5) * 46 / 3).astype(int)
        found = strip[np.ix_(rows, places)][..., :3]
        np.testing.assert_allclose(found, colours(planes[number, 5], abs(planes).max()), atol=10)
    every = states[1]("conv2.weight")[-1, 5]
    ends = tab.words(".layer .foot .info").replace("−", "-").split("all weights ")[1].split(" … ")
    assert [float(end) for end in ends] == pytest.approx([every.min(), every.max()], rel=0.01)


def test_what_is_kept_of_more_than_fits_is_said(tab, server, states):
    weights = states[1]("wide.weight")[..., 0, 0]
    tab.open(server, run="run", layer="wide").at(12)
    assert tab.words(".choice .aside") == "115 of 1024 input channels are kept"
    numbers = [int(text) for text in tab.find(f"{INPUT} option").all_inner_texts()[:-1]]
    assert len(numbers) == 115
    assert (numbers[0], numbers[-1]) == (0, 1023)
    choose(tab, INPUT, str(numbers[57]))
    assert scale(tab) == pytest.approx(abs(weights[:, :, numbers[57]]).max(), rel=6e-3)


def test_keys_and_buttons_step_through_the_channels_and_the_address_keeps_them(tab, server):
    tab.open(server, run="run", layer="three").at(12)
    tab.find(INPUT).focus()
    tab.page.keyboard.press("ArrowDown")
    tab.page.wait_for_timeout(600)
    assert tab.find(INPUT).input_value() == "1"
    assert tab.words(".now b") == "12"  # the same keys do not move through time here
    tab.find("button[title='Next input channel']").click()
    tab.find("button[title='Next input channel']").click()  # the last one stays
    tab.find("button[title='Previous slice']").click()
    tab.page.wait_for_timeout(600)
    assert legend(tab) == "weight, mean over input channels, slice 0 of 3"
    assert "p.cnnviz.input=mean" in tab.page.url
    assert "p.cnnviz.slice=0" in tab.page.url
    tab.page.reload()
    tab.settle().at(12)
    assert legend(tab) == "weight, mean over input channels, slice 0 of 3"
    tab.find(".layer header select").select_option("conv2")  # without depth
    tab.page.wait_for_timeout(600)
    assert legend(tab) == "weight, mean over input channels"
    assert not tab.find(SLICE).is_visible()
    tab.find(".layer header select").select_option("conv1")  # of one input channel
    tab.page.wait_for_timeout(600)
    assert legend(tab) == "weight, input channel 0"
    assert not tab.find(".choice").is_visible()


@pytest.mark.parametrize("quantity", ["weight", "bias", "running_mean", "running_var"])
def test_a_normalisation_layer_is_bars_and_lines(tab, server, states, quantity):
    values = states[1](f"norm.{quantity}")
    tab.open(server, run="run", layer="norm", quantity=quantity, channel=2).at(12)
    words = quantity.replace("_", " ").replace("var", "variance")
    assert tab.find(".layer .segments >> nth=0").all_inner_texts() == ["Normalisation"]
    assert tab.words(".choice [aria-pressed=true]") == words
    assert legend(tab) == words
    low, high = min(values.min(), 0), max(values.max(), 0)
    if values.min() < 0:
        low, high = -max(-low, high), max(-low, high)
    picture = tab.pixels(PICTURE).astype(int)
    coloured = np.ptp(picture[..., :3], axis=2) > 60
    height = picture.shape[0] - 30
    for channel, value in enumerate(values[-1]):
        (rows,) = np.nonzero(coloured[8 : 8 + height, 48 + channel * 28 + 14])
        assert abs(len(rows) - abs(value) / (high - low) * height) <= 2, channel
    told = tab.words(".layer .foot .info").replace("−", "-").split(" · ")
    assert told[0] == "Channel 2"
    names = {"weight": "weight", "bias": "bias", "running mean": "running_mean", "variance": "running_var"}
    for (name, key), text in zip(names.items(), told[1:], strict=True):
        exact = states[1](f"norm.{key}")[-1, 2]
        assert float(text.removeprefix(f"{name} ")) == pytest.approx(exact, rel=0.006)
    line = tab.pixels(".history canvas").astype(int)
    own = values[:, 2]
    for step, value in list(zip(STEPS, own, strict=True))[1:-1]:  # the last is below the mark of the step
        x = 48 + round((line.shape[1] - 60) * step / 12)
        (rows,) = np.nonzero((np.ptp(line[:, x, :3], axis=1) > 60) & (line[:, x, 3] > 128))
        y = line.shape[0] - 16 - (value - own.min()) / np.ptp(own) * (line.shape[0] - 24)
        assert abs(rows.mean() - y) <= 3


def test_layers_say_before_the_click_what_can_be_seen(tab, server):
    tab.open(server, run="run", layer="conv2").at(12)
    blocks = {block.inner_text().split("\n")[0]: block for block in tab.find(".block").all()}
    assert "recorded: normalisation" in blocks["norm"].get_attribute("title")
    assert re.search(r"recorded: kernels( ·|$)", blocks["conv2"].get_attribute("title"))
    assert "N" in blocks["norm"].locator(".badge").all_inner_texts()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_fault_in_the_choice(tab, server, axe, dark):
    for state in ({"layer": "three", "input": "mean"}, {"layer": "wide"}, {"layer": "norm"}):
        tab.open(server, dark=dark, run="run", **state).at(12)
        assert not faults(tab, axe), state
