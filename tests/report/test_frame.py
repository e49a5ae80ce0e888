from html.parser import HTMLParser

import pytest

from lightning_cnnviz.report.frame import framed, waiting

PAGE = "<p class='a' title=\"b\">&amp; &quot;x&quot; </iframe></script><b>\n\u4e2d</b></p>"


class Elements(HTMLParser):
    """What a browser makes of it: elements with their attributes, and the text outside of scripts."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text, self.open = [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.open = tag

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open != "script":
            self.text.append(data.strip())


def test_the_frame_has_the_page_as_it_is_and_may_do_nothing_but_draw():
    found = dict(Elements(framed(PAGE, "lenet", "key", 500)).found)
    assert found["iframe"]["srcdoc"] == PAGE
    assert found["iframe"]["sandbox"] == "allow-scripts"
    assert found["iframe"]["data-cnnviz"] == "key"
    assert "src" not in found["iframe"]
    assert "height:500px" in found["div"]["style"]


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", 'it\'s "quoted" & </p>', "{page}"])
def test_a_name_is_text(name):
    for html in (framed("page", name, "key", 500), waiting(name, name)):
        elements = Elements(html)
        assert {tag for tag, _ in elements.found} <= {"div", "p", "iframe", "script"}
        assert any(name in text for text in elements.text)


def test_what_it_adds_to_a_page_is_little():
    page = "\"quoted\" 'and' &" * 100_000
    assert len(framed('"' * 10**6, "lenet", "key", 500)) < 10**6 + 2000
    assert len(framed(page, "lenet", "key", 500)) < 2 * len(page)
