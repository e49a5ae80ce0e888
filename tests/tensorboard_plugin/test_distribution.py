"""A layer's distribution over time, and its numbers at the current step."""

import numpy as np
import pytest
from helpers.tiny import TinyNet, events, fit
from tensorboard_plugin.synthetic_run import STATISTICS, Run, read
from tensorboard_plugin.tab_page import Tab

from lightning_cnnviz import cnnviz_callbacks

CANVAS = ".distribution canvas"
LEFT, TOP, HEIGHT = 48, 4, 110


def numbers(tab):
    return tab.words(".distribution .numbers").replace("−", "-").split(" · ")


def columns(tab, count):
    """The middles of the columns, in CSS pixels."""
    width = tab.box(CANVAS)["width"]
    return LEFT + (np.arange(count) + 0.5) * (width - LEFT - 4) / count


@pytest.mark.parametrize("step", [100, 700, 1200])
def test_the_numbers_are_those_of_the_step(tab, fast, folder, step):
    tab.open(fast, run="lenet", layer="conv2", step=step).at(step)
    info = read(folder / "lenet", "cnnviz/activations/conv2", step)["info"]
    mean, dead, unknown, samples = numbers(tab)
    assert [float(part) for part in mean.removeprefix("mean ").split(" ± ")] == pytest.approx(
        [info["mean"], info["std"]], rel=0.01
    )
    assert dead == f"dead {100 * info['dead']:.1f} % ({round(16 * info['dead'])} of 16 units)"
    assert unknown == "saturated not measured"
    assert samples == "1,000 validation samples"


def test_bins_are_where_values_are_and_the_current_step_is_framed(tab, fast, folder):
    tab.open(fast, run="lenet", layer="fc2", step=1200).at(1200)
    tab.page.wait_for_timeout(400)
    picture = tab.pixels(CANVAS).astype(int)
    records = [read(folder / "lenet", "cnnviz/activations/fc2", step) for step in range(100, 1201, 100)]
    least = min(one["info"]["low"] for one in records)
    most = max(one["info"]["high"] for one in records)
    card = picture[TOP + 2, int(columns(tab, 12)[0])][:3]
    for x, one in list(zip(columns(tab, 12), records, strict=True))[:-1]:
        found = np.abs(picture[TOP : TOP + HEIGHT, int(x) - 8, :3] - card).max(-1) > 12
        rows = np.flatnonzero(found)
        expected = [(most - one["info"][end]) / (most - least) * HEIGHT for end in ("high", "low")]
        assert abs(rows[0] - expected[0]) <= 6
        assert abs(rows[-1] - expected[1]) <= 3
    accent = (np.abs(picture[..., :3] - [184, 67, 10]) < 40).all(-1).sum(axis=0)
    framed = np.flatnonzero(accent > HEIGHT / 2)
    assert framed[0] > columns(tab, 12)[-1] - 80
    assert framed[-1] - framed[0] == pytest.approx((columns(tab, 2)[1] - columns(tab, 2)[0]) / 6, abs=4)


def test_two_runs_have_one_axis_or_each_its_own(tab, start, tmp_path):
    spread = {"narrow": 1.0, "wide": 4.0}
    for name, end in spread.items():
        run = Run(tmp_path / "logs" / name)
        run.add("activations", "cnnviz/activations/fc", 1, {"counts": np.ones(8, np.float32)}, layer="fc", mean=0.0,
                std=end / 2, dead=None, saturated=None, units=4, non_finite=0, low=-end, high=end, number=4,
                split="training", samples=8, identity={"layer": "fc"})  # fmt: skip
        run.close()
    server = start(tmp_path / "logs", fast=True).wait_for("narrow", 1).wait_for("wide", 1)
    tab.open(server, run="narrow", compare="wide", layer="fc").at(1)

    def heights():
        """The share of the chart that is covered by bins, of each run."""
        tab.page.wait_for_timeout(500)
        found = []
        for view in (0, 1):
            picture = tab.pixels(f".view >> nth={view} >> {CANVAS}").astype(int)
            column = picture[TOP + 3 : TOP + HEIGHT - 3, LEFT + 60, :3]  # within the frame of the current step
            bright = column[len(column) // 2 + 8]
            found.append((np.abs(column - bright).max(-1) < 12).mean())
        return found

    narrow, wide = heights()
    assert narrow == pytest.approx(wide / 4, abs=0.05)
    tab.find("select[title='One scale for']").select_option("own")
    assert heights() == pytest.approx([wide, wide], abs=0.05)


def test_dead_and_saturated_are_lines_below(tab, start, tmp_path):
    run, dead, saturated = Run(tmp_path / "logs" / "dying"), [0.0, 0.25, 0.5, 0.5], [0.5, 0.25, 0.0, 0.0]
    for step, (one, other) in enumerate(zip(dead, saturated, strict=True), start=1):
        run.add("activations", "cnnviz/activations/relu", step, {"counts": np.ones(8, np.float32)}, layer="relu",
                mean=0.0, std=1.0, dead=one, saturated=other, units=4, non_finite=0, low=-1.0, high=1.0, number=4,
                split="training", samples=8, identity={"layer": "relu"})  # fmt: skip
    run.close()
    tab.open(start(tmp_path / "logs", fast=True).wait_for("dying", 4), run="dying", layer="relu", step=4).at(4)
    assert "dead (—) and saturated (- -)" in tab.words(".distribution h3")
    picture = tab.pixels(CANVAS).astype(int)
    below = TOP + HEIGHT + 15 + 8  # the axis, and room for a number
    for at, *shares in zip(columns(tab, 4), dead, saturated, strict=True):
        around = picture[below - 4 :, int(at) - 6 : int(at) + 7]  # wider than a gap between two dashes
        inked = np.flatnonzero(((around[..., 3] > 200) & (around[..., :3].max(-1) < 150)).any(1)) - 4
        for share in shares:
            assert np.abs(inked - 28 * (1 - share / 0.5)).min() <= 3


def test_no_step_is_written_beyond_the_last(tab, start, tmp_path):
    run = Run(tmp_path / "logs" / "short")
    for step in (4, 8):
        run.add("gradients", "cnnviz/gradients", step, {"values": np.ones((1, 6), np.float32)}, statistics=STATISTICS,
                layers=["fc"], health=["ok"])  # fmt: skip
        run.add("activations", "cnnviz/activations/fc", step, {"counts": np.ones(8, np.float32)}, layer="fc", mean=0.0,
                std=1.0, dead=None, saturated=None, units=4, non_finite=0, low=-1.0, high=1.0, number=4,
                split="training", samples=8, identity={"layer": "fc"})  # fmt: skip
    run.close()
    tab.page.add_init_script("""
        window.written = new Map();
        const write = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
            window.written.set(this.canvas, [...(window.written.get(this.canvas) ?? []), String(text)]);
            write.call(this, text, ...place);
        };""")
    tab.open(start(tmp_path / "logs", fast=True).wait_for("short", 2), run="short", layer="fc").at(8)
    for canvas in (CANVAS, ".gradients canvas"):
        texts = tab.frame.evaluate("(place) => window.written.get(document.querySelector(place))", canvas)
        steps = {int(text) for text in texts if text.isdecimal() and text != "0"}
        assert {4, 8} <= steps <= {1, *range(4, 9)}, canvas  # 1 is a value of the other axis


def test_a_click_and_keys_choose_a_step_and_the_pointer_tells(tab, fast, folder):
    tab.open(fast, run="lenet", layer="fc2", step=1200).at(1200)
    tab.page.wait_for_timeout(400)
    place = tab.mouse(CANVAS, columns(tab, 12)[2], 50)
    tab.page.mouse.move(*place)
    assert tab.words(".tooltip").splitlines()[0] == "step 300"
    tab.page.mouse.click(*place)
    tab.at(300)
    tab.find(CANVAS).focus()
    tab.page.keyboard.press("ArrowRight")
    tab.at(400)
    mean = read(folder / "lenet", "cnnviz/activations/fc2", 400)["info"]["mean"]
    assert float(numbers(tab)[0].removeprefix("mean ").split(" ± ")[0]) == pytest.approx(mean, rel=0.01)


def test_a_layer_with_statistics_alone_says_so_before_and_after_a_click(tab, fast):
    tab.open(fast, run="lenet", layer="fc2").at(1200)
    assert not tab.find(".layer .hint").is_visible()
    assert tab.find(CANVAS).is_visible()
    block = tab.find(".network .block:has-text('fc2')")
    assert "activation statistics" in block.get_attribute("title")


def test_where_nothing_is_finite_it_says_so(tab, fast):
    tab.open(fast, run="nan", layer="fc2").at(400)
    assert numbers(tab)[:2] == ["no finite value", "dead and saturated not measured"]
    assert "4,000 values not finite" in numbers(tab)


def test_a_run_without_them_has_no_section_and_before_the_first_step_it_says_when(tab, start, tmp_path):
    run = Run(tmp_path / "logs" / "late")
    for step in (10, 20):
        run.add("gradients", "cnnviz/gradients", step, {"values": np.ones((2, 6), np.float32)}, statistics=STATISTICS,
                layers=["fc1", "fc2"], health=["ok", "ok"])  # fmt: skip
    run.add("activations", "cnnviz/activations/fc1", 20, {"counts": np.ones(4, np.float32)}, identity={"layer": "fc1"},
            layer="fc1", mean=0.0, std=1.0, dead=0.0, saturated=0.5, units=4, non_finite=0, low=-1.0, high=1.0,
            number=4, split="training", samples=8)  # fmt: skip
    ends = {"low": np.zeros(2, np.float32), "high": np.ones(2, np.float32)}
    run.add("weights", "cnnviz/weights/fc2", 10, {"values": np.ones((2, 2), np.float16), **ends}, layer="fc2",
            identity={"layer": "fc2"}, channels=[0, 1], shape=[2, 2], block=[1, 1], range=[0.0, 1.0])  # fmt: skip
    run.close()
    server = start(tmp_path / "logs", fast=True).wait_for("late", 2)
    tab.open(server, run="late", layer="fc1", step=10).at(10)
    assert tab.words(".distribution .numbers") == "First recorded at step 20."
    tab.page.keyboard.press("End")
    tab.at(20)
    assert numbers(tab) == [
        "mean 0 ± 1", "dead 0.0 % (0 of 4 units)", "saturated 50.0 %", "8 training samples",
    ]  # fmt: skip
    tab.open(server, run="late", layer="fc2", step=20).at(20)
    assert tab.find(".layer select[title=Layer]").input_value() == "fc2"
    assert not tab.find(CANVAS).is_visible()


def test_it_shows_what_a_trainer_has_written(browser, start, tmp_path):
    fit(tmp_path, cnnviz_callbacks(num_samples=20, on_error="raise"), model=TinyNet)
    server = start(tmp_path, fast=True).wait_for("run", 2)
    tab = Tab(browser, height=720)
    tab.open(server, run="run", layer="relu").at(12)
    mean, std, dead = (
        events(tmp_path).Scalars(f"activations/relu/{name}")[-1].value for name in ("mean", "std", "dead")
    )
    found = numbers(tab)
    assert [float(part) for part in found[0].removeprefix("mean ").split(" ± ")] == pytest.approx(
        [mean, std], rel=0.01
    )
    assert found[1] == f"dead {100 * dead:.1f} % ({round(4 * dead)} of 4 units)"
    assert found[-1] == "24 validation samples"
    assert not tab.complaints
    tab.close()
