"""Names that mean mischief stay names."""

from html.parser import HTMLParser

import pytest
from tensorboard.plugin_util import markdown_to_safe_html

from lightning_cnnviz.functional.drawing.caption import text_line
from lightning_cnnviz.functional.escaping import file_name, markdown, one_line
from lightning_cnnviz.functional.input_partition.weight_history import history_folder
from lightning_cnnviz.functional.model_summary.layer_info import LayerInfo
from lightning_cnnviz.functional.model_summary.layer_table import ParameterCount, architecture_table
from lightning_cnnviz.output.event_file import EventFile

NAMES = [
    "conv1",
    "a|b",
    "`|`",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "**bold** _it_ __x__",
    "[click](javascript:alert(1))",
    "![](http://example.com/x.png)",
    "line\n\n# heading\r\n| a | b |",
    "&lt;b&gt;",
    "\\| \\`",
    "http://example.com",
]
TAGS = ["../../etc/x", "/etc/passwd", "..", "a/../../b", "C:\\x", "x\0y", "~root", "kernels/conv1"]


class Cells(HTMLParser):
    """The text in each cell of a table, and the tags in it that are more than its own."""

    def __init__(self, html):
        super().__init__()
        self.cells, self.extra, self._inside = [], set(), False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "td":
            self.cells.append("")
            self._inside = True
        elif self._inside and tag not in ("code", "tr", "tbody"):
            self.extra.add(tag)

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "td"

    def handle_data(self, data):
        if self._inside:
            self.cells[-1] += data


@pytest.mark.parametrize("name", NAMES)
def test_a_table_shows_names_of_layers_and_kinds_as_they_are(name):
    info = LayerInfo(
        name=name, kind=name, role="other", runs=1, output_shape=(3,), parameters=0, trainable=0, multiply_adds=0
    )
    page = Cells(markdown_to_safe_html(architecture_table([info], ParameterCount(0, 0, 0))))
    assert page.extra == set()
    assert len(page.cells) == 5
    shown = " ".join(one_line(name).split())
    assert [" ".join(cell.split()) for cell in page.cells[:2]] == [shown, shown]


@pytest.mark.parametrize("tag", TAGS)
def test_files_stay_in_their_folder(tag, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    assert history_folder(run, tag).resolve().parent == run.resolve()
    file = EventFile.__new__(EventFile)
    file.folder = str(run)
    file.keep(f"{tag}.png", b"picture")
    (kept,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert kept.resolve().parent == (run / "cnnviz").resolve()
    assert file_name(tag) == file_name(file_name(tag))


@pytest.mark.parametrize("sign", ["\r", "\n", "\t", "\0", "\x1b", "\u202e", "\ud800", "\u2028"])
def test_signs_that_cannot_be_written_do_not_cost_the_picture(sign):
    assert text_line(f"cat{sign}").shape == text_line("cat ").shape
    assert markdown(f"cat{sign}") == "cat "
