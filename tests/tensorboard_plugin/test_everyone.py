"""The tab for everyone: without faults that axe-core finds, by keyboard, in the system's colours, without motion."""

import numpy as np
import pytest
from tensorboard_plugin.scenes import without
from tensorboard_plugin.synthetic_run import CLASSES, read
from tensorboard_plugin.tab_page import Tab, faults

PICTURE = ".sheet:not([hidden]) canvas"
STATES = {
    "a class alone, samples followed": {"run": "lenet", "classes": "1,2", "followed": "3,4"},
    "two runs": {"run": "lenet", "compare": "lenet_other", "view": "feature_maps"},
    "weights": {"run": "lenet", "layer": "fc1"},
    "statistics alone": {"run": "lenet", "layer": "fc2"},
    "gradient maps": {"run": "mapped", "layer": "conv2", "view": "gradient_maps", "channel": 2},
    "gradients of units": {"run": "mapped", "layer": "fc1", "view": "gradient_maps"},
    "nothing recorded": {"run": "sparse", "layer": "fc2", "step": 300},
    "nothing finite": {"run": "nan"},
    "a plane": {"run": "plane"},
    "a damaged record": {"run": "corrupt"},
    "names of any kind": {"run": "hostile"},
}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_fault(tab, fast, axe, dark, capsys):
    found = {}
    for state, values in STATES.items():
        tab.open(fast, dark=dark, **values)
        tab.find(".panel canvas >> visible=true >> nth=0").wait_for()
        found[state] = faults(tab, axe)
    tab.page.keyboard.press("?")
    tab.find("dialog[open]").wait_for()
    found["keys"] = faults(tab, axe)
    tab.find("dialog button >> nth=0").click()
    found["tour"] = faults(tab, axe)
    with capsys.disabled():
        print(
            f"\naxe-core, {'dark' if dark else 'light'}: {sum(map(len, found.values()))} faults in {len(found)} states"
        )
    assert not any(found.values()), found


def test_axe_finds_no_fault_where_there_is_nothing_to_see(tab, start, tmp_path, axe):
    without(tmp_path / "logs" / "bare")
    server = start(tmp_path / "logs", fast=True)
    server.wait_for("bare", 0)
    tab.open(server)
    assert not faults(tab, axe)


def test_the_page_has_a_language_a_title_and_one_headline_per_run(tab, fast):
    tab.open(fast, run="lenet")
    words = "[document.documentElement.lang, document.title, document.querySelector('h1').textContent]"
    assert tab.frame.evaluate(words) == ["en", "CNN Viz", "lenet"]


@pytest.mark.parametrize(
    "state",
    [
        {"run": "lenet"},
        {"run": "lenet", "layer": "fc1"},
        {"run": "lenet", "layer": "fc1", "view": "feature_maps"},
        {"run": "mapped", "layer": "conv1", "view": "gradient_maps"},
        {"run": "plane"},
    ],
)
def test_every_canvas_has_a_name_and_those_that_can_be_clicked_the_keyboard(tab, fast, state):
    tab.open(fast, **state)
    tab.page.wait_for_timeout(800)
    canvases = tab.frame.evaluate("""() => [...document.querySelectorAll("canvas")]
        .filter((canvas) => canvas.checkVisibility())
        .map((canvas) => ({
            hidden: canvas.getAttribute("aria-hidden") === "true", slider: Boolean(canvas.closest("[role=slider]")),
            named: Boolean(canvas.getAttribute("aria-label")), role: canvas.getAttribute("role"),
            reached: canvas.tabIndex === 0,
        }))""")
    shown = [canvas for canvas in canvases if not canvas["hidden"] and not canvas["slider"]]
    assert len(shown) >= 2
    for canvas in shown:
        assert canvas["named"]
        assert canvas["reached"] == (canvas["role"] == "application")
        assert canvas["role"] in ("application", "img")  # a picture that answers to nothing is an image


def test_keys_choose_layers_and_steps_in_the_heat_map(tab, fast, folder):
    tab.open(fast, run="lenet", step=600, layer="conv1").at(600)
    tab.find(".gradients canvas").focus()
    tab.page.keyboard.press("ArrowDown")
    tab.frame.wait_for_function("document.querySelector('.layer select').value === 'conv2'")
    told = tab.words(".tooltip").splitlines()
    value = read(folder / "lenet", "cnnviz/gradients", 600)["values"][1, 0]
    assert told[:2] == ["conv2", "step 600"]
    assert float(told[2].split(": ")[1].replace("−", "-")) == pytest.approx(value, rel=0.05)
    tab.page.keyboard.press("ArrowRight")
    tab.at(700)
    assert tab.words(".tooltip").splitlines()[:2] == ["conv2", "step 700"]


@pytest.mark.parametrize(
    ("state", "keys", "channel"),
    [
        ({"layer": "conv1"}, ["ArrowRight", "ArrowRight", "ArrowDown"], 5),  # the last, of four in a row
        ({"layer": "fc1", "view": "weights"}, ["ArrowDown", "ArrowDown", "ArrowDown"], 2),
        ({"layer": "fc1", "view": "feature_maps"}, ["ArrowRight", "ArrowRight", "ArrowLeft"], 0),
    ],
    ids=["grid", "matrix", "bars"],
)
def test_keys_choose_a_channel(tab, fast, state, keys, channel):
    tab.open(fast, run="lenet", **state).at(1200)
    tab.find(PICTURE).focus()
    for key in keys:
        tab.page.keyboard.press(key)
    tab.page.wait_for_timeout(300)
    assert tab.words(".layer .foot .info").split(" · ")[0].split()[1] == str(channel)
    assert tab.words(".now b") == "1,200"  # the same keys do not move through time here
    tab.find(".history canvas").focus()
    tab.page.keyboard.press("ArrowLeft")
    tab.at(1100)


def test_keys_go_from_sample_to_sample_and_follow_one(tab, fast, folder):
    tab.open(fast, run="lenet").at(1200)
    record = read(folder / "lenet", "cnnviz/projection/fc2/tsne", 1200)
    points, targets = record["points"], read(folder / "lenet", "cnnviz/samples", 100)["targets"]
    tab.find(".overlay").focus()
    seen = []
    for _ in range(4):
        tab.page.keyboard.press("ArrowRight")
        told = tab.words(".tooltip")
        seen.append(int(told.split()[1]))
        assert CLASSES[targets[seen[-1]]] in told.split("true")[1].split("predicted")[0]
        assert CLASSES[record["predicted"][seen[-1]]] in told.split("predicted")[1]
    x = points[seen, 0]
    assert (np.diff(x) > 0).all()
    tab.page.keyboard.press("Enter")
    assert tab.find(".followed .row").inner_text().startswith(f"#{seen[-1]} ")
    steps = range(100, 1201, 100)
    guessed = [read(folder / "lenet", "cnnviz/projection/fc2/tsne", step)["predicted"][seen[-1]] for step in steps]
    tab.frame.wait_for_function(
        "![...document.querySelectorAll('.predictions i')].some((i) => i.title.endsWith('unknown'))"
    )
    titles = tab.find(".predictions i").evaluate_all("(cells) => cells.map((cell) => cell.title)")
    assert [title.split(": ")[1] for title in titles] == [CLASSES[index] for index in guessed]


def luminance(colour):
    share = np.asarray(colour, dtype=float) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_canvases_are_readable_in_the_colours_of_the_system(browser, fast, scheme):
    tab = Tab(browser, forced_colors="active", color_scheme=scheme)
    tab.open(fast, run="lenet", dark=scheme == "light").at(1200)  # whatever TensorBoard's own theme is
    ground = tab.find("body").evaluate("(body) => getComputedStyle(body).backgroundColor")
    ground = luminance([int(part) for part in ground.removeprefix("rgb(").strip(")").split(",")[:3]])
    for canvas, area in ((".gradients canvas", np.s_[:80, :40]), (".plot canvas", np.s_[80:, 60:900])):
        picture = tab.pixels(canvas)[area]
        written = luminance(picture[picture[..., 3] > 250][:, :3])
        light, dark = np.maximum(written, ground), np.minimum(written, ground)
        assert np.quantile((light + 0.05) / (dark + 0.05), 0.9) > 4.5, canvas
    tab.close()


def test_those_who_want_no_motion_see_recorded_frames_only(browser, fast):
    tab = Tab(browser, reduced_motion="reduce")
    tab.open(fast, run="sparse", step=400).at(400)
    tab.find(".transport select").select_option("8")
    tab.find(".play").click()
    seen = set()
    for _ in range(60):
        seen.add(tab.words(".projection .which").split(",")[0])
        tab.page.wait_for_timeout(20)
    assert tab.words(".now b") == "1,200"
    assert {"Step 400", "Step 800"} <= seen
    assert all(words.startswith("Step ") for words in seen)
    tab.close()
