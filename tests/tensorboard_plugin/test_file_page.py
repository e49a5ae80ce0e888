"""The page as a file: it shows what the tab shows, asks nothing of anyone, and runs no script but its own."""

import hashlib
import time
import urllib.parse

import pytest
from tensorboard_plugin.synthetic_run import CLASSES, Run, read
from tensorboard_plugin.tab_page import Tab, faults

from lightning_cnnviz.report.write import write_report

ONE_FONT = """
const sheet = new CSSStyleSheet();
sheet.replaceSync(":root {--font: sans-serif !important}");
document.adoptedStyleSheets = [sheet];
"""
"""TensorBoard brings a typeface of its own, which a file has not."""
CANVASES = """() => [...document.querySelectorAll("canvas")]
    .filter((canvas) => canvas.checkVisibility() && canvas.width && canvas.height)
    .map((canvas) => [canvas.width, canvas.height, canvas.toDataURL()])"""
FIRST_PICTURE = "() => performance.getEntriesByName('cnnviz:first-picture')[0]?.startTime"
STATES = [
    {"run": "lenet", "step": 600},
    {"run": "lenet", "layer": "conv2", "view": "feature_maps", "channel": 3, "sample": 2, "followed": "3,4"},
    {"run": "lenet", "layer": "fc1"},
    {"run": "mapped", "layer": "conv1", "view": "gradient_maps", "step": 500},
    {"run": "plane", "step": 300},
    {"run": "sparse", "step": 700, "classes": "1,2"},
    {"run": "corrupt"},
    {"run": "nan"},
    {"run": "lenet", "compare": "lenet_other", "step": 450},
]


class FilePage(Tab):
    """A page that is a file, in a browser."""

    def __init__(self, browser, **options):
        super().__init__(browser, **options)
        self.opened = set()

    def open(self, path, **state):
        self.opened.add(path.as_uri())
        fields = [f"p.cnnviz.{name}={urllib.parse.quote(str(value))}" for name, value in state.items()]
        self.page.goto("about:blank")
        self.page.goto(f"{path.as_uri()}#{'&'.join(fields)}")
        self.frame = self.page.main_frame
        self.until("() => document.querySelector('.block, .notes p')")
        return self

    def until(self, predicate):
        """Waits for what a function of the page returns; Playwright's own way needs `eval`, which the page forbids."""
        for _ in range(600):
            if found := self.frame.evaluate(predicate):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never: {predicate}")

    def at(self, step):
        self.until(f"() => document.querySelector('.now b')?.textContent === '{step:,}'")
        self.page.wait_for_timeout(500)
        return self

    def close(self):
        asked = [url for url in self.addresses if not url.startswith(("data:", "blob:", "about:"))]
        self.context.close()
        assert not self.complaints, self.complaints
        assert {url.partition("#")[0] for url in asked} <= self.opened


def canvases(tab):
    """What is on every canvas, once it no longer changes."""
    before = None
    for _ in range(40):
        tab.page.wait_for_timeout(400)
        now = tab.frame.evaluate(CANVASES)
        if now and now == before:
            return [(width, height, hashlib.sha1(data.encode()).hexdigest()) for width, height, data in now]
        before = now
    raise AssertionError("the pictures never came to rest")


@pytest.fixture(params=["browser", "firefox"])
def file_page(request):
    page = FilePage(request.getfixturevalue(request.param))
    yield page
    page.close()


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    """Path of the page of a run, perhaps beside another."""
    pages = {}

    def of(run, compare=None):
        if (run, compare) not in pages:
            path = tmp_path_factory.mktemp("pages") / f"{run}.html"
            pages[run, compare] = write_report(folder / run, path, compare=compare and folder / compare)
        return pages[run, compare]

    return of


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_picture_is_that_of_the_tab_to_the_pixel(browser, fast, written, dark, capsys):
    tab, page = Tab(browser), FilePage(browser, color_scheme="dark" if dark else "light")
    for each in (tab, page):
        each.page.add_init_script(ONE_FONT)
    count = 0
    for state in STATES:
        shown = canvases(tab.open(fast, dark=dark, **state))
        found = canvases(page.open(written(state["run"], state.get("compare")), **state))
        for _ in range(5 if found != shown else 0):  # on a busy machine what has come to rest may not be all
            shown, found = canvases(tab), canvases(page)
        assert found == shown, state
        count += len(found)
    with capsys.disabled():
        print(f"\n{'dark' if dark else 'light'}: {count} canvases of the file and the tab are equal")
    assert count > 30
    tab.close()
    page.close()


@pytest.mark.parametrize("name", ["large", "lenet"])
def test_it_opens_soon_from_the_disk(file_page, written, name, capsys):
    path = written(name)
    file_page.open(path)
    took = file_page.until(FIRST_PICTURE)
    size, browser = path.stat().st_size / 1e6, file_page.context.browser.browser_type.name
    with capsys.disabled():
        print(f"\n{name}, {size:.1f} MB, {browser}: first picture after {took:.0f} ms")
    assert took < 5000  # on a machine that is busy with other tests


def test_keys_clicks_and_time_work_as_in_the_tab(file_page, written, folder):
    file_page.open(written("lenet")).at(1200)
    file_page.page.keyboard.press("Home")
    file_page.at(100)
    file_page.page.keyboard.press("ArrowRight")
    file_page.at(200)
    assert "p.cnnviz.step=200" in file_page.page.url
    file_page.find(
        ".block",
    ).filter(has_text="conv2").first.click()
    assert file_page.find(".layer select").first.input_value() == "conv2"
    file_page.find(".segments button").filter(has_text="Feature maps").click()
    file_page.find(".overlay").focus()
    file_page.page.keyboard.press("ArrowRight")
    file_page.page.keyboard.press("Enter")
    file_page.until("() => document.querySelectorAll('.predictions i').length === 12")
    file_page.until("() => ![...document.querySelectorAll('.predictions i')].some((i) => i.title.endsWith('unknown'))")
    sample = int(file_page.words(".followed .row span").split()[0][1:])
    titles = file_page.find(".predictions i").evaluate_all("(cells) => cells.map((cell) => cell.title)")
    guessed = [
        read(folder / "lenet", "cnnviz/projection/fc2/tsne", step)["predicted"][sample]
        for step in range(100, 1201, 100)
    ]
    assert [title.split(": ")[1] for title in titles] == [CLASSES[index] for index in guessed]
    file_page.find(".transport select").select_option("16")
    file_page.find(".play").click()
    file_page.at(1200)


def test_the_summary_is_folded_and_what_only_a_running_training_needs_is_not_there(file_page, written):
    file_page.open(written("lenet"))
    line = file_page.words(".summary summary")
    assert line.startswith("Summary Net · 84,376 parameters · 12 epochs · highest accuracy of the validation: 0.")
    assert not file_page.find(".follow").is_visible()
    assert not file_page.find(".parts").is_visible()
    file_page.find(".summary summary").click()
    assert file_page.find(".parts").is_visible()
    assert file_page.words(".parts section >> nth=0").splitlines()[:3] == ["Model", "class", "Net"]


def test_names_of_any_kind_do_nothing(file_page, written):
    file_page.open(written("hostile")).at(300)
    assert "<img src=x onerror=alert(1)>" in file_page.words(".network")
    assert file_page.frame.evaluate("() => document.querySelectorAll('img').length") == 0


def test_two_runs_stand_side_by_side(file_page, written):
    file_page.open(written("lenet", "lenet_other")).at(1350)
    assert file_page.find(".view h1").all_inner_texts() == ["lenet", "lenet_other"]
    assert file_page.find(".summary").count() == 2


def test_what_was_left_out_is_said(file_page, folder, tmp_path):
    path = write_report(folder / "large", tmp_path / "page.html", max_mb=10)
    assert path.stat().st_size < 10e6
    file_page.open(path).at(5000)
    assert file_page.words(".notes p >> nth=0").startswith(
        "Thinned to fit into 10 MB: of the pictures at 50 steps those"
    )
    file_page.page.keyboard.press("Home")
    file_page.at(100)
    file_page.until("() => document.querySelector('.projection .which').textContent.startsWith('Step 100')")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_fault(browser, written, axe, dark):
    page = FilePage(browser, color_scheme="dark" if dark else "light")
    page.open(written("lenet", "lenet_other"))
    page.find(".summary summary >> nth=0").click()
    page.find(".panel canvas >> visible=true >> nth=0").wait_for()
    assert not faults(page, axe)
    page.close()


def test_a_script_that_is_not_its_own_does_not_run(browser, folder, tmp_path):
    run = Run(tmp_path / "run")
    run.add("curves", "cnnviz/curves", 1, points={"loss/val": [[1, 1, 1.0]]})
    run.close()
    path = write_report(tmp_path / "run")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("<body>", "<body><script>window.ran = 1</script>"), encoding="utf-8")
    page = FilePage(browser)
    page.page.goto(path.as_uri())
    page.page.wait_for_timeout(500)
    assert page.page.evaluate("() => window.ran") is None
    assert any("Content Security Policy" in text for text in page.complaints)
    page.context.close()
