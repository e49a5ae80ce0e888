"""Line charts: nothing is cut off or overlaps, whatever the names and ranges, and all texts are there."""

import numpy as np
import pytest
from helpers.placed import clashes, texts_from_now_on
from helpers.reading import written

from lightning_cnnviz.functional.drawing import plot
from lightning_cnnviz.functional.drawing.line_chart import line_chart

nan = np.nan
LONG = "my_extremely_long_metric_name_for_training/with/slashes_epoch_mean_over_everything_there_is_to_be_averaged"
RANGES = {
    "a loss": (0.03, 2.31),
    "constant": (0.5, 0.5),
    "huge": (1e30, 1e38),
    "the largest": (-1.79e308, 1.79e308),
    "tiny": (1e-38, 3e-38),
    "narrow": (0.5, 0.5 + 1e-7),
    "of both signs": (-1e5, 1e5),
    "with many digits": (123_456.7, 123_456.9),
}

pytestmark = pytest.mark.usefixtures("no_warnings")


def chart(low=0.0, high=1.0, *, count=20, name="train: loss", title="epoch 20 · step 9,380", last=20.0):
    x = np.linspace(1, last, count)
    y = np.linspace(high / 2, low / 2, count) * 2
    return line_chart(
        {name: (x, y), f"val: {name}": (x, y)},
        title=title,
        x_label="epochs completed",
        y_label="loss",
        mark=(last, low, "best val: 0.03 after epoch 20"),
    )


@pytest.mark.parametrize("ends", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("count", [1, 2, 500])
@pytest.mark.parametrize("name", ["loss", LONG])
def test_no_text_is_cut_off_or_covers_another(monkeypatch, ends, count, name):
    texts = texts_from_now_on(monkeypatch)
    chart(*ends, count=count, name=name, title=f"{name} " * 4, last=3e6 if count == 500 else 20.0)
    assert len(texts) >= 8
    assert not clashes(texts)


def test_all_texts_are_there():
    picture = chart(0.0, 1.0)
    assert written(picture, "epoch 20 · step 9,380", size=15)
    for text in ("train: loss", "val: train: loss", "best val: 0.03 after epoch 20"):
        assert written(picture, text)
    for text in ("0.0", "0.2", "1.0", "20", "epochs completed"):
        assert written(picture, text, rows=None)
    assert written(np.rot90(picture, -1), "loss", rows=None)


def test_a_long_title_goes_on_in_the_next_line_and_none_of_it_is_lost(monkeypatch):
    lines = []
    written_line = plot.text_line
    monkeypatch.setattr(plot, "text_line", lambda text, **size: lines.append(text) or written_line(text, **size))
    title = " · ".join(f"word{number}" for number in range(40))
    picture = chart(title=title)
    assert 400 < picture.shape[0] < 600
    assert picture.shape[1] == 700
    count = lines.index("train: loss")
    assert " ".join(lines[:count]) == title
    for line in lines[:count]:
        assert written(picture, line, size=15, rows=None)


def test_names_that_are_too_long_are_shortened_where_they_say_least():
    assert written(chart(name=LONG), LONG[:80])


def drawn(y, **options):
    x = np.arange(float(len(y)))
    return line_chart({"a": (x, np.array(y))}, title="", x_label="x", y_label="y", **options)


def blue(picture):
    return (picture[30:] == (63, 144, 218)).all(-1).sum()


def test_a_value_between_two_gaps_is_a_point():
    many = np.full(100, nan)
    assert blue(drawn(many)) == 0
    many[50] = 1.0
    assert 4 <= blue(drawn(many)) <= 25


def test_values_beyond_what_floats_hold_leave_a_gap_and_keep_the_others_where_they_were():
    values = [1.0, np.inf, 2.0, -np.inf, 3.0]
    shown = [1.0, nan, 2.0, nan, 3.0]
    assert np.array_equal(drawn(values), drawn(shown))


def test_lines_rise_with_their_values():
    rows = [np.nonzero((drawn([0.0, value, 1.0])[30:] == (63, 144, 218)).all(-1)) for value in (0.25, 0.75)]
    middles = []
    for row, column in rows:
        middle = (column.min() + column.max()) / 2
        middles.append(row[np.abs(column - middle) <= 1].mean())
    assert middles[0] - middles[1] == pytest.approx(np.ptp(rows[0][0]) / 2, rel=0.05)


def test_pictures_do_not_depend_on_what_was_drawn_before():
    first = chart()
    chart(1e30, 1e38, name="other", title="other " * 30)
    assert np.array_equal(chart(), first)
    first[:] = 0  # what its reader does to a picture stays in it
    assert chart().any()


def test_few_colours_are_used_so_that_files_stay_small():
    assert len(np.unique(chart().reshape(-1, 3), axis=0)) <= 256
