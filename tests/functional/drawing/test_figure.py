import threading

import matplotlib
import numpy as np
import pytest

from lightning_cnnviz.functional.drawing.figure import (
    bar_figure,
    figure_of,
    heat_map_figure,
    line_figure,
    new_axes,
    render_figure,
)
from lightning_cnnviz.functional.drawing.scatter import scatter_chart

nan, inf = np.nan, np.inf


pytestmark = pytest.mark.usefixtures("no_warnings")


def lines(title="title", name="train", mark=None):
    x = np.arange(5.0)
    return render_figure(line_figure({name: (x, x**2)}, title=title, x_label="epoch", y_label="loss", mark=mark))


def bars(title="title", name="conv1"):
    return render_figure(bar_figure([name], {"max": np.array([2.0])}, title=title, value_label="g", notes={}))


def matrix(title="title", name="conv1"):
    return render_figure(
        heat_map_figure(np.ones((1, 2)), [name], [1, 2], title=title, x_label="step", value_label="g")
    )


def scatter(title="title", name="cat"):
    return scatter_chart(np.eye(2), np.array([0, 0]), [name], title=title)


CHARTS = [lines, bars, matrix, scatter]


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_is_a_picture_with_title_and_name_on_it(chart):
    picture = chart()
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert not np.array_equal(picture, chart(title="other"))
    assert not np.array_equal(picture, chart(name="other"))


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("text", ["$", "$x", "a_$x^2$", "$\\frac{1}", "\\", "50 %", "Größe", ""])
def test_any_text_can_be_a_title_or_a_name(chart, text):
    assert chart(title=text, name=text or "a").shape == chart().shape


def test_text_between_dollar_signs_is_written_as_it_is():
    def width(text):
        axes = new_axes(3, 2, text)
        axes.set_axis_off()
        columns = np.flatnonzero((render_figure(figure_of(axes)) < 128).any(axis=(0, 2)))
        return columns[-1] - columns[0]

    assert width("$a$") > 2 * width("a")
    assert not np.array_equal(scatter(name="$a$"), scatter(name="a"))


@pytest.mark.parametrize("chart", CHARTS)
def test_drawing_leaves_no_trace_in_matplotlib(chart):
    before = dict(matplotlib.rcParams)
    first = chart()
    assert dict(matplotlib.rcParams) == before
    assert np.array_equal(first, chart())


def test_charts_can_be_drawn_on_several_threads_at_once():
    expected = [chart() for chart in CHARTS]
    drawn = {}

    def draw(number):
        drawn[number] = [chart() for chart in CHARTS]

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 3
    for pictures in drawn.values():
        assert all(np.array_equal(*pair) for pair in zip(pictures, expected, strict=True))


def test_the_picture_has_the_size_that_was_asked_for():
    assert render_figure(figure_of(new_axes(3, 2, ""))).shape == (200, 300, 3)


def test_a_mark_is_ringed_and_named():
    plain, marked = lines(), lines(mark=(2.0, 4.0, "best"))
    assert not np.array_equal(plain, marked)
    assert not np.array_equal(marked, lines(mark=(2.0, 4.0, "worst")))


def test_lines_have_gaps_where_values_are_missing():
    x = np.arange(100.0)
    whole, broken = np.sin(x / 9), np.sin(x / 9)
    broken[40:60] = nan
    charts = [line_figure({"a": (x, y)}, title="", x_label="x", y_label="y") for y in (whole, broken)]
    pictures = map(render_figure, charts)
    counts = [(picture == (63, 144, 218)).all(-1).sum() for picture in pictures]
    assert 0.7 < counts[1] / counts[0] < 0.9
