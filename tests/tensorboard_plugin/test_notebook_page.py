"""The page in the output of a notebook: a frame without an origin, which asks nothing of anyone and says nothing."""

import pytest
from tensorboard_plugin.scenes import lenet
from tensorboard_plugin.synthetic_run import Run
from tensorboard_plugin.test_file_page import FilePage

from lightning_cnnviz.report.notebook import RunPage

REPLACED = """(html) => {
    const output = document.querySelector(".output");
    output.innerHTML = html;
    for (const script of output.querySelectorAll("script")) {  // as notebooks do, since `innerHTML` runs none
        const copy = document.createElement("script");
        copy.textContent = script.textContent;
        script.replaceWith(copy);
    }
}"""


class NotebookPage(FilePage):
    """A document with a cell's output, and the page in it; whatever a browser says is a complaint."""

    def _hear(self, message):
        self.complaints.append(f"{message.type}: {message.text}")

    def open_output(self, path, html):
        path.write_text(f"<!doctype html><meta charset='utf-8'><div class='output'>{html}</div>", encoding="utf-8")
        self.opened.add(path.as_uri())
        self.page.goto(path.as_uri())
        return self.settle()

    def replace(self, html):
        self.page.evaluate(REPLACED, html)
        return self.settle()

    def settle(self):
        self.frame = self.page.query_selector("iframe").content_frame()
        self.until("() => document.querySelector('.block')")
        return self


@pytest.fixture(params=["browser", "firefox"])
def notebook(request):
    page = NotebookPage(request.getfixturevalue(request.param), width=900, height=800)
    yield page
    page.close()


@pytest.fixture
def growing(tmp_path):
    """A run that grows, and its page."""
    lenet(tmp_path / "lenet")
    page = RunPage([str(tmp_path / "lenet")], 720, {})
    page.update()

    def grow():
        run = Run(tmp_path / "lenet", start=1_800_000_000.0)
        run.add("curves", "cnnviz/curves", 1300, points={"loss/val": [[13, 1300, 0.1]]})
        run.close()
        page.update()

    return page, grow


def test_it_works_without_an_origin_and_reaches_nothing_outside(notebook, growing, tmp_path):
    page, _ = growing
    notebook.open_output(tmp_path / "notebook.html", page._repr_html_()).at(1200)
    assert notebook.frame.evaluate("() => [location.href, origin, history.length]")[:2] == ["about:srcdoc", "null"]
    assert notebook.frame.evaluate("() => { try { return parent.document.title } catch (e) { return e.name } }") == (
        "SecurityError"
    )
    notebook.find(".block").filter(has_text="conv2").first.click()
    notebook.find(".segments button").filter(has_text="Feature maps").click()
    notebook.frame.locator("body").press("Home")
    notebook.at(100)
    notebook.find(".play").click()
    notebook.at(1200)
    assert notebook.page.url == (tmp_path / "notebook.html").as_uri()


def test_a_newer_page_goes_on_where_the_reader_was(notebook, growing, tmp_path):
    page, grow = growing
    notebook.open_output(tmp_path / "notebook.html", page._repr_html_()).at(1200)
    notebook.find(".block").filter(has_text="conv2").first.click()
    notebook.find(".segments button").filter(has_text="Feature maps").click()
    notebook.frame.locator("body").press("Home")
    notebook.at(100)
    notebook.frame.evaluate("() => scrollTo(0, 240)")
    notebook.page.wait_for_timeout(600)
    grow()
    notebook.replace(page._repr_html_()).at(100)
    assert notebook.find(".layer select").first.input_value() == "conv2"
    assert notebook.find(".segments [aria-pressed=true]").first.inner_text() == "Feature maps"
    assert notebook.frame.evaluate("() => scrollY") == 240
    notebook.find(".network h2").click()  # keys are the notebook's until there is a click into the page
    notebook.frame.locator("body").press("End")
    notebook.at(1300)  # which only the newer one has


def test_whoever_is_at_the_newest_step_stays_there(notebook, growing, tmp_path):
    page, grow = growing
    notebook.open_output(tmp_path / "notebook.html", page._repr_html_()).at(1200)
    notebook.find(".block").filter(has_text="conv2").first.click()
    notebook.page.wait_for_timeout(600)
    grow()
    notebook.replace(page._repr_html_()).at(1300)
    assert notebook.find(".layer select").first.input_value() == "conv2"


def test_pages_of_other_outputs_do_not_mix(notebook, growing, tmp_path):
    page, _ = growing
    other = RunPage([str(tmp_path / "lenet")], 720, {})
    other.update()
    notebook.open_output(tmp_path / "notebook.html", page._repr_html_()).at(1200)
    notebook.find(".block").filter(has_text="conv2").first.click()
    notebook.page.wait_for_timeout(600)
    notebook.replace(other._repr_html_()).at(1200)
    assert notebook.find(".layer select").first.input_value() == "conv1"


def test_a_notebook_that_is_not_trusted_says_what_to_do(notebook, growing, tmp_path):
    page, _ = growing
    notebook.open_output(tmp_path / "notebook.html", page._repr_html_()).at(1200)
    sentence = notebook.page.locator("p")
    covered = (
        "(p) => document.elementFromPoint(p.getBoundingClientRect().x + 5, p.getBoundingClientRect().y + 5) !== p"
    )
    assert sentence.evaluate(covered)
    notebook.page.evaluate("() => document.querySelector('iframe').remove()")
    assert not sentence.evaluate(covered)
    assert sentence.inner_text().startswith("lenet: trust this notebook")
