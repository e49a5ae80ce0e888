"""Bars and heat maps: nothing is cut off or overlaps, whatever the names and ranges, and all texts are there."""

import numpy as np
import pytest
from helpers.placed import clashes, texts_from_now_on
from helpers.reading import written

from lightning_cnnviz.functional.drawing.row_chart import MAX_ROW_LABELS, bar_chart, heat_map

nan = np.nan
LONG = "model.backbone.encoder.layers.11.residual_block.mlp.parametrizations.weight."
RANGES = {
    "one value": (0.0, 0.0),
    "narrow": (-2.001, -2.0),
    "within a decade": (-2.3, -1.6),
    "usual": (-6.0, -1.0),
    "all there is": (-45.0, 38.0),
}

pytestmark = pytest.mark.usefixtures("no_warnings")


def names(count, start=""):
    return [f"{start}layer{number}" for number in range(count)]


def bars(values, start="", title="epoch 3 · step 300"):
    notes = {0: "no finite gradient"} if len(values) > 1 else {}
    return bar_chart(
        names(len(values), start),
        {"max |g|": values, "mean |g|": values / 3},
        title=title,
        value_label="|gradient| of the loss with respect to the weights",
        notes=notes,
    )


def matrix(values, start="", title="epoch 3 · step 300", steps=None):
    steps = list(range(1, values.shape[1] + 1)) if steps is None else steps
    rows = names(len(values), start)
    return heat_map(values, rows, steps, title=title, x_label="optimizer step", value_label="mean |g|")


@pytest.mark.parametrize("ends", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("count", [1, 5, 30, 150])
@pytest.mark.parametrize("start", ["", LONG], ids=["short", "long"])
def test_no_text_is_cut_off_or_covers_another(monkeypatch, ends, count, start):
    texts = texts_from_now_on(monkeypatch)
    values = 10.0 ** np.linspace(*ends, count)
    bars(values, start, title=f"{start}{start} epoch 3")
    assert not clashes(texts)
    texts.clear()
    matrix(10.0 ** np.linspace(*ends, 40 * count).reshape(count, 40), start, steps=[10**6 * i for i in range(40)])
    assert not clashes(texts)
    assert len(texts) >= 2 + min(count, MAX_ROW_LABELS // 2)


def test_all_texts_are_there():
    picture = bars(np.array([1e-3, 1e-2, 1e-1, 1.0]))
    assert written(picture, "epoch 3 · step 300", size=15)
    for text in ("max |g|", "mean |g|", "no finite gradient", "layer0", "layer3", "10⁻³", "10⁰"):
        assert written(picture, text, rows=None), text
    assert written(picture, "|gradient| of the loss with respect to the weights", rows=None)
    picture = matrix(10.0 ** np.linspace(-5, 0, 12).reshape(3, 4), steps=[100, 200, 300, 40_000])
    for text in ("layer0", "layer2", "100", "40000", "optimizer step"):
        assert written(picture, text, rows=None), text
    assert written(np.rot90(picture, -1), "mean |g|", rows=None)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_each_name_stands_beside_its_row(count):
    values = np.full(count, nan)
    values[-1] = 1.0
    picture = bar_chart(names(count), {"g": values}, title="", value_label="", notes={})
    (rows,) = np.nonzero((picture[30:] == (63, 144, 218)).all(-1).any(axis=1))
    middle = 30 + rows.mean()
    band = picture[round(middle) - 12 : round(middle) + 13]
    assert written(band, f"layer{count - 1}", rows=None)


def test_columns_without_room_are_averaged_and_gaps_fill_no_others():
    decades = np.where(np.arange(20_000) % 2 == 0, -4.0, -2.0)
    fine = matrix(np.concatenate([10 ** decades[None], np.full((1, 20_000), 1e-4), np.full((1, 20_000), 1e-2)]))
    plain = matrix(10.0 ** np.array([[-3.0], [-4.0], [-2.0]]))
    middle = [picture[picture.shape[0] // 2 - 45, 300] for picture in (fine, plain)]
    assert np.abs(np.subtract(*np.int64(middle))).max() <= 6  # an averaged column may hold one more of one kind
    gaps = np.full((1, 20_000), nan)
    gaps[0, ::100] = 1e-2
    shown = matrix(np.concatenate([gaps, np.full((1, 20_000), 1e-4)]))
    row = shown[70, 100:700]
    assert 0.1 < (row == (253, 231, 37)).all(-1).mean() < 0.9
    assert 0.1 < (row == 221).all(-1).mean() < 0.9


def test_pictures_do_not_depend_on_what_was_drawn_before():
    values = 10.0 ** np.linspace(-5, 0, 6)
    first = bars(values), matrix(values[:, None])
    bars(values[:2], LONG, title="other " * 40)
    matrix(values[None], LONG)
    again = bars(values), matrix(values[:, None])
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one, other)


def test_few_colours_are_used_so_that_files_stay_small():
    values = 10.0 ** np.random.default_rng(0).uniform(-6, 0, (30, 60))
    for picture in (bars(values[:, 0]), matrix(values)):
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= 256
