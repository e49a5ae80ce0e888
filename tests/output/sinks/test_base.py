"""What every logger gets, and tags that lead nowhere else."""

import numpy as np
import pytest
from helpers.loggers import make
from helpers.tiny import NumbersLogger, fit

from lightning_cnnviz import KernelGrid
from lightning_cnnviz.functional.drawing.encode import encode
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.output.sinks import Sink
from lightning_cnnviz.output.sinks.base import safe_path


@pytest.mark.parametrize(
    ("tag", "path"),
    [
        ("kernels/features.0", "kernels/features.0"),
        ("../../etc/passwd", "_/_/etc/passwd"),
        ("/absolute", "_/absolute"),
        ("a//b", "a/_/b"),
        ("C:\\temp\\x", "C__temp_x"),
        ("true: <b>é</b>", "true_ _b___/b_"),
        (" . /..", "_/_"),
        ("", "_"),
    ],
)
def test_a_tag_becomes_a_path_of_plain_letters_that_stays_inside(tag, path, tmp_path):
    assert safe_path(tag) == path
    assert (tmp_path / path).resolve().is_relative_to(tmp_path.resolve())


def test_a_logger_of_somebodys_own_gets_numbers_and_nothing_else():
    logger = NumbersLogger()
    sink = Sink(logger)
    given = {"a": 1.0}
    assert sink.numbers(given, 3) == 0
    given["a"] = 2.0
    picture = encode(np.zeros((4, 5, 3), dtype=np.uint8))
    assert sink.picture("tag", picture, 3) == sink.text("tag", "words", 3) == sink.chart_layout({}) == 0
    assert sink.tab_data(TabData("kernels", {}, {}, {}), 3) == 0
    sink.begin(3)
    sink.flush()
    assert logger.rows == [(3, {"a": 1.0})]
    assert not sink.takes_pictures
    assert sink.defers_numbers


@pytest.mark.parametrize("kind", ["csv", "mlflow"])
def test_a_tag_leads_nowhere_else(kind, tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    logger = make(kind, inside)
    fit(tmp_path, [KernelGrid(tag="../../../out: <b>", on_error="raise")], logger=logger, max_epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert list(inside.rglob("*conv1*")), "the picture is there under another name"
