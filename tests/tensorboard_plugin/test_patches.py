"""The numbers and classes under patches can be read in a narrow window, too, and reached by keyboard."""

import pytest
from helpers.tiny import fit

from lightning_cnnviz import MaximallyActivatingPatches


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patches")
    fit(folder, [MaximallyActivatingPatches(on_error="raise")], max_epochs=1)
    return folder


@pytest.mark.parametrize("width", [400, 1280])
def test_the_picture_is_never_too_small_to_read(width, tab, start, drawn):
    tab.page.set_viewport_size({"width": width, "height": 900})
    tab.open(start(drawn, fast=False).wait_for("run", 1), run="run", step=6).at(6)
    canvas = tab.find(".patches canvas")
    tab.frame.wait_for_function("document.querySelector('.patches canvas').width > 300")
    shown, natural = canvas.evaluate("(canvas) => [canvas.getBoundingClientRect().width, canvas.width]")
    assert 0.84 * natural <= shown <= natural + 1
    assert tab.frame.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page itself stays in place"
    box = tab.find(".patches .scroller")
    scrolls = box.evaluate("(box) => box.scrollWidth > box.clientWidth")
    assert scrolls == (width == 400)
    assert (box.get_attribute("tabindex") == "0") == scrolls
