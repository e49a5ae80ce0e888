"""The way in: keys without a click, help, tour, an address that keeps what is open, and windows of any size."""

import pytest
from tensorboard_plugin.synthetic_run import write
from tensorboard_plugin.tab_page import Tab


def test_keys_need_no_click(tab, server):
    tab.open(server, run="lenet").at(1200)
    for key, step in [("Home", 100), ("ArrowRight", 200), ("End", 1200), ("ArrowLeft", 1100)]:
        tab.page.keyboard.press(key)
        tab.at(step)
    tab.page.keyboard.press("Space")
    tab.frame.wait_for_function("document.querySelector('.play').getAttribute('aria-label') === 'Pause'")


def test_keys_need_no_click_in_the_page_after_one_on_its_tab(tab, fast):
    tab.server = fast
    tab.page.goto(f"{fast.address}#timeseries")
    tab.page.get_by_role("tab", name="CNN Viz").click()
    tab.settle()
    tab.find(".now b").wait_for()
    tab.page.wait_for_timeout(800)
    before = tab.words(".now b")
    tab.page.keyboard.press("ArrowLeft")
    tab.page.wait_for_timeout(600)
    assert tab.words(".now b") != before


def test_a_question_mark_shows_the_keys_and_escape_closes_them(tab, fast):
    tab.open(fast, run="lenet").at(1200)
    tab.page.keyboard.press("?")
    tab.find("dialog[open]").wait_for()
    assert "play and pause" in tab.words("dialog")
    tab.page.keyboard.press("ArrowLeft")
    assert tab.words(".now b") == "1,200"  # not behind the dialog
    tab.page.keyboard.press("Escape")
    tab.frame.wait_for_function("!document.querySelector('dialog[open]')")


def test_the_first_visit_has_a_tour_and_the_second_has_not(browser, fast):
    tab = Tab(browser, first_visit=True)
    tab.open(fast, run="lenet").at(1200)
    tab.find(".tour").wait_for()
    places = []
    for number in range(1, 6):
        assert tab.words(".tour p").startswith(f"{number} of 5: ")
        places.append(tab.find(".toured").get_attribute("class").split()[-2 if number > 1 else 0])
        tab.find(".tour button >> nth=0").click()
    assert places == ["timeline", "network", "layer", "projection", "gradients"]
    assert not tab.find(".tour").is_visible()
    tab.open(fast, run="lenet").at(1200)
    assert not tab.find(".tour").is_visible()
    tab.page.keyboard.press("?")
    tab.find("dialog button >> nth=0").click()
    assert tab.find(".tour").is_visible()
    tab.close()


def test_a_cell_of_the_heat_map_chooses_layer_and_time(tab, fast):
    tab.open(fast, run="lenet", layer="conv1", step=1200).at(1200)
    box = tab.box(".gradients canvas")
    tab.page.mouse.click(*tab.mouse(".gradients canvas", box["width"] / 2, 30))
    tab.page.wait_for_timeout(700)
    assert tab.find(".layer select >> nth=0").input_value() == "conv2"
    assert tab.words(".now b") in ("600", "700")


def test_what_is_open_is_in_the_address(tab, fast):
    tab.open(fast, run="lenet", layer="conv1").at(1200)
    tab.find(".layer .zoom button >> nth=1").click()
    tab.find(".transport select").select_option("8")
    tab.find("select[title='One scale for']").select_option("own")
    tab.page.wait_for_timeout(500)
    assert {"p.cnnviz.zoom=1.5", "p.cnnviz.rate=8", "p.cnnviz.scale=own"} <= set(tab.page.url.split("#")[1].split("&"))
    width = tab.box(".sheet:not([hidden]) canvas")["width"]
    tab.page.reload()
    tab.settle().at(1200)
    assert tab.box(".sheet:not([hidden]) canvas")["width"] == width
    assert tab.find(".transport select").input_value() == "8"


def test_names_of_classes_are_whole_on_hover(tab, fast):
    tab.open(fast, run="hostile").at(300)
    for chip in tab.find(".classes .chip").all():
        assert chip.get_attribute("title").startswith(f"{chip.inner_text()}: ")


@pytest.mark.parametrize("state", [{"layer": "conv1"}, {"layer": "conv1", "view": "feature_maps"}, {"layer": "fc1"}])
def test_at_1280_by_720_nothing_needed_is_below_the_fold(browser, start, tmp_path, state):
    # As trainings write them: units die in activations, which have no pictures.
    write(tmp_path / "logs" / "lenet", dying=False).close()
    tab = Tab(browser, 1280, 720)
    tab.open(start(tmp_path / "logs", fast=True).wait_for("lenet", 12), run="lenet", **state).at(1200)
    height = tab.frame.evaluate("innerHeight")
    needed = [".top", ".network", ".sheet:not([hidden]) canvas", ".foot", ".history canvas", ".distribution canvas"]
    for part in [*needed, ".projection .stage", ".classes", ".gradients canvas"]:
        bottom = tab.find(part).first.evaluate("(part) => part.getBoundingClientRect().bottom")
        assert bottom <= height, part
    for part in (".sheet:not([hidden])", ".projection .stage", ".gradients canvas"):
        assert tab.box(part)["height"] >= 76, part
    tab.close()


@pytest.mark.parametrize("compare", ["", "lenet_other"])
def test_at_400_percent_nothing_is_cut(browser, fast, compare):
    tab = Tab(browser, 320, 256)  # 1280 × 1024 enlarged four times
    tab.open(fast, run="lenet", compare=compare, view="feature_maps").at(1350 if compare else 1200)
    wide, inner = tab.frame.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= inner
    cut = tab.frame.evaluate("""() => [...document.querySelectorAll("main *, header *")]
        .filter((e) => e.checkVisibility() && !e.closest(".row, .samples, .sheet, .heard, .slider, .scroller, option"))
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)
        .map((e) => `${e.tagName} ${e.className}`)""")
    assert cut == []
    hidden = tab.frame.evaluate("""() => [...document.querySelectorAll("main *, header *")]
        .filter((e) => e.checkVisibility() && e.firstChild?.nodeType === Node.TEXT_NODE)
        .filter((e) => !e.closest(".heard, .block, select"))
        .filter((e) => {
            const range = document.createRange();
            range.selectNodeContents(e);
            const [words, own] = [range, e.closest("button") ?? e].map((one) => one.getBoundingClientRect());
            return e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflow !== "visible"
                || words.bottom > own.bottom + 1 || words.top < own.top - 1;
        }).map((e) => `${e.tagName} ${e.className}: ${e.textContent}`)""")
    assert hidden == []
    assert tab.find(".top").evaluate("(top) => getComputedStyle(top).position") == "static"
    tab.close()


SELECTED_IS_IN_VIEW = """(view) => {
    const scroller = document.querySelectorAll(".network .scroller")[view];
    const [frame, block] = [scroller, scroller?.querySelector(".block[aria-pressed=true]")].map(
        (element) => element?.getBoundingClientRect());
    return block && frame.left <= block.left && block.right <= frame.right
        && frame.top <= block.top && block.bottom <= frame.bottom;
}"""


def test_compared_runs_show_the_selected_layer_in_both_strips(tab, start, folder, tmp_path):
    for name in ("one", "two"):
        (tmp_path / "logs").mkdir(exist_ok=True)
        (tmp_path / "logs" / name).symlink_to(folder / "thousand", target_is_directory=True)
    server = start(tmp_path / "logs", fast=True).wait_for("one", 5)
    tab.open(server, run="one", compare="two", layer="encoder.blocks.700.mlp.fc").at(500)
    for view in (0, 1):
        tab.frame.wait_for_function(SELECTED_IS_IN_VIEW, arg=view)
    scroller = tab.find(".network .scroller").first
    before = scroller.evaluate("(scroller) => scroller.scrollLeft")
    scroller.evaluate("(scroller) => { scroller.querySelector('.level').style.columnGap = '40px'; }")
    tab.frame.wait_for_function("(before) => document.querySelector('.scroller').scrollLeft > before", arg=before)
    tab.frame.wait_for_function(SELECTED_IS_IN_VIEW, arg=0)
