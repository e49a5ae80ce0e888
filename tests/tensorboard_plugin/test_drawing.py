"""What the page draws with, each part alone."""

import numpy as np
import pytest
from matplotlib import color_sequences, colormaps
from matplotlib.colors import to_rgb

CLASS_COLOURS = np.array([to_rgb(colour) for colour in color_sequences["petroff10"]]) * 255


def test_classes_have_the_colours_of_the_pictures(tab, fast):
    tab.open(fast, run="lenet")
    script = """async () => {
      const { classColour } = await import("./static/draw/colours.js");
      return [7, 10, 11, 48, 200].map((count) => Array.from({ length: count }, (_, k) => classColour(k, count)));
    }"""
    for colours in tab.frame.evaluate(script):
        count = len(colours)
        many = colormaps["turbo"](np.linspace(0.03, 0.97, count))[:, :3] * 255
        np.testing.assert_array_equal(colours, np.round(CLASS_COLOURS[:count] if count <= 10 else many))


def test_values_and_not_colours_are_averaged_where_images_do_not_fit(tab, fast):
    tab.open(fast, run="lenet")
    values = np.random.default_rng(0).normal(size=(5, 7, 3))
    values[4, 6, 1] = np.nan
    script = """async (values) => {
      const { averaged } = await import("./static/draw/reduction.js");
      const found = averaged(values.map((value) => value ?? NaN), 3, 7, 5, 2);
      return [found.rows, found.columns, Array.from(found.values, (value) => (Number.isNaN(value) ? null : value))];
    }"""
    sent = [None if np.isnan(value) else value for value in values.ravel().tolist()]
    rows, columns, means = tab.frame.evaluate(script, sent)
    assert (rows, columns) == (3, 4)
    found = np.array(means, dtype=float).reshape(3, 4, 3)
    for row, column in np.ndindex(3, 4):
        area = values[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        np.testing.assert_allclose(found[row, column], area.mean(axis=(0, 1)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("letter", ["x", "猫", "🦊", "👩\u200d🚀", "नि"])
def test_long_names_are_cut_between_letters(tab, fast, letter):
    tab.open(fast, run="lenet")
    script = """async (text) => {
      const { truncateStart } = await import("./static/draw/canvas.js");
      const context = document.createElement("canvas").getContext("2d");
      return truncateStart(context, text, context.measureText(text).width * 0.6);
    }"""
    assert tab.frame.evaluate(script, letter * 9) in {f"…{letter * count}" for count in range(2, 6)}


def test_a_value_between_gaps_is_a_dot(tab, fast):
    tab.open(fast, run="lenet")
    script = """async () => {
      const { drawLine } = await import("./static/draw/canvas.js");
      const context = document.createElement("canvas").getContext("2d");
      drawLine(context, [[10, 9], [20, NaN], [30, 9], [40, 9], [50, NaN], [60, 9]], "black", 2);
      return [10, 20, 35, 45, 60].map((x) => context.getImageData(x, 9, 1, 1).data[3]);
    }"""
    assert tab.frame.evaluate(script) == [255, 0, 255, 0, 255]


def test_an_axis_begins_at_zero_and_not_at_minus_zero(tab, fast):
    tab.open(fast, run="lenet")
    script = (
        'async () => (await import("./static/draw/scales.js")).ticks(0, 900, 5).map((step) => Object.is(step, -0))'
    )
    assert tab.frame.evaluate(script) == [False] * 5
