import threading
import warnings

import matplotlib
import numpy as np
import pytest

from lightning_cnnviz.functional.figure import (
    bar_chart,
    class_colours,
    heat_map,
    line_chart,
    new_axes,
    render,
    scatter_chart,
)

nan, inf = np.nan, np.inf


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def lines(title="title", name="train", mark=None):
    x = np.arange(5.0)
    return line_chart({name: (x, x**2)}, title=title, x_label="epoch", y_label="loss", mark=mark)


def bars(title="title", name="conv1"):
    return bar_chart([name], {"max": np.array([2.0])}, title=title, value_label="g", notes={})


def matrix(title="title", name="conv1"):
    return heat_map(np.ones((1, 2)), [name], [1, 2], title=title, x_label="step", value_label="g")


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
        columns = np.flatnonzero((render(axes) < 128).any(axis=(0, 2)))
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
    assert render(new_axes(3, 2, "")).shape == (200, 300, 3)


def test_a_mark_is_ringed_and_named():
    plain, marked = lines(), lines(mark=(2.0, 4.0, "best"))
    assert not np.array_equal(plain, marked)
    assert not np.array_equal(marked, lines(mark=(2.0, 4.0, "worst")))


def test_lines_have_gaps_where_values_are_missing():
    x = np.arange(100.0)
    whole, broken = np.sin(x / 9), np.sin(x / 9)
    broken[40:60] = nan
    pictures = [line_chart({"a": (x, y)}, title="", x_label="x", y_label="y") for y in (whole, broken)]
    counts = [(picture == (63, 144, 218)).all(-1).sum() for picture in pictures]
    assert 0.7 < counts[1] / counts[0] < 0.9


@pytest.mark.parametrize("count", [1, 2, 10, 11, 100])
def test_every_class_has_its_own_colour(count):
    colours = class_colours(count)
    assert len(colours) == count
    assert len({tuple(np.round(np.array(colour) * 255)) for colour in colours}) == count


def test_ten_classes_keep_their_colours_whatever_their_number():
    assert class_colours(3) == class_colours(10)[:3]


def count_of(picture, colour):
    return (picture == np.round(np.array(colour) * 255)).all(-1).sum()


def test_points_have_the_colour_of_their_class():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(300, 2)), np.repeat([0, 1, -1], 100)
    few, more = (class_colours(2)[number] for number in (0, 1))
    both = scatter_chart(points, labels, ["a", "b"], title="")
    alone = scatter_chart(points, np.where(labels == 0, 0, -1), ["a", "b"], title="")
    shown = [np.abs(picture.astype(int) - np.array(more) * 255).max(-1).min() for picture in (both, alone)]
    assert shown[0] < 60
    assert shown[1] > shown[0]
    assert np.abs(alone.astype(int) - np.array(few) * 255).max(-1).min() < 60
    assert count_of(both, (119 / 255,) * 3) > 0  # no class: grey


def test_rows_that_are_not_finite_are_left_out():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(50, 2)), np.arange(50) % 3
    expected = scatter_chart(points, labels, ["a", "b", "c"], title="")
    broken = np.concatenate([points, [[nan, 0], [0, inf], [nan, nan]]])
    assert np.array_equal(
        scatter_chart(broken, np.concatenate([labels, [0, 1, -1]]), ["a", "b", "c"], title=""), expected
    )


@pytest.mark.parametrize(
    ("points", "labels", "names"),
    [
        (np.zeros((0, 2)), np.zeros(0, dtype=int), ["a"]),
        (np.full((3, 2), nan), np.zeros(3, dtype=int), ["a"]),
        (np.zeros((4, 2)), np.zeros(4, dtype=int), ["a"]),
        (np.eye(2), np.array([-1, -1]), []),
        (np.eye(2) * 1e30, np.array([0, 1]), ["a", "b"]),
    ],
)
def test_a_scatter_is_drawn_without_a_warning_whatever_the_points(points, labels, names):
    assert scatter_chart(points, labels, names, title="t").shape == (700, 750, 3)


def test_a_title_may_have_several_lines():
    one, two = scatter(title="one"), scatter(title="one\ntwo")
    assert one.shape == two.shape
    assert not np.array_equal(one, two)
