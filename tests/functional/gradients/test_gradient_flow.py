import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import ndimage

from lightning_cnnviz.functional.gradients.gradient_flow import diagnose, gradient_bars, gradient_heat_map

nan, inf = np.nan, np.inf
BLUE = (63, 144, 218)
VIRIDIS = np.round(np.array(matplotlib.colormaps["viridis"].colors) * 255)


FINE = {"mean_abs": 1e-3, "max_abs": 1.0, "norm": 0.5, "zero_share": 0.4, "non_finite": 0.0, "weight_norm": 10.0}
BROKEN = ("non-finite", "3 entries NaN or infinite")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"norm": 1.01e-6}, None),
        ({"norm": 9.9e-7}, ("vanishing", "‖g‖/‖w‖ = 9.9e-08, below 1e-07")),
        ({"norm": 9.9e-7, "weight_norm": 1.0}, None),
        ({"mean_abs": 1e-12}, None),  # small by itself says nothing in a large layer
        ({"norm": 0.0, "mean_abs": 0.0, "max_abs": 0.0}, ("vanishing", "all exactly zero")),
        ({"norm": 0.0, "mean_abs": 0.0, "max_abs": 0.0, "weight_norm": 0.0}, ("vanishing", "all exactly zero")),
        ({"zero_share": 1.0}, None),  # of the steps in which zeros were counted, while others had a gradient
        ({"weight_norm": 0.0}, None),
        ({"mean_abs": 100.0}, None),
        ({"mean_abs": 250.0}, ("exploding", "mean |g| = 250, above 100")),
        ({"non_finite": 3.0}, BROKEN),
        ({"non_finite": 3.0, "mean_abs": nan, "norm": nan}, BROKEN),
        ({"non_finite": 3.0, "mean_abs": 250.0}, BROKEN),
        ({"non_finite": 3.0, "max_abs": 0.0}, BROKEN),
    ],
)
def test_diagnosis_says_what_is_wrong_and_nothing_else(change, words):
    assert diagnose({**FINE, **change}, vanishing=1e-7, exploding=1e2) == words


# ---- pictures


def names(count):
    return [f"layer{number}" for number in range(count)]


def bar_widths(picture, colour, count):
    """Pixels from the left to the right end of each bar, from the top."""
    mask = (picture == colour).all(-1)
    bands, _ = ndimage.label(mask.any(axis=1))
    columns = [np.flatnonzero(mask[rows].any(axis=0)) for (rows,) in ndimage.find_objects(bands)]
    return np.array([places[-1] - places[0] + 1 for places in columns[-count:]])  # below the legend


@pytest.mark.parametrize(
    ("mean_abs", "max_abs"),
    [
        ([1e-3], [1e-1]),
        ([nan], [nan]),
        ([0.0], [0.0]),
        ([inf], [inf]),
        ([1e-3, nan, 0.0, inf], [1e-1, nan, 0.0, inf]),
        ([nan, nan], [nan, nan]),
        ([1e-12, 1e12], [1e-11, 1e13]),
        ([1e-3] * 100, [1e-1] * 100),
    ],
)
@pytest.mark.usefixtures("no_warnings")
def test_bars_render_without_a_warning_whatever_the_values(mean_abs, max_abs):
    picture = gradient_bars(names(len(mean_abs)), np.array(mean_abs), np.array(max_abs), title="gradient flow")
    assert picture.dtype == np.uint8
    assert picture.ndim == 3


@pytest.mark.usefixtures("no_warnings")
def test_very_long_layer_names_leave_room_for_bars():
    long = ["model.backbone.encoder.layers.11.residual_block.mlp.parametrizations.weight.original" + "x" * 30] * 3
    picture = gradient_bars(long, np.full(3, 1e-3), np.full(3, 1e-2))
    assert (bar_widths(picture, BLUE, 3) > 100).all()


def test_of_long_layer_names_the_end_is_kept_by_which_they_differ():
    start = "model.backbone.encoder.layers.11.residual_block.mlp.parametrizations.weight."
    bars = [gradient_bars([start + end], np.ones(1), np.ones(1)) for end in ("original0", "original1")]
    maps = [gradient_heat_map([start + end], [1], np.ones((1, 1))) for end in ("original0", "original1")]
    assert not np.array_equal(*bars)
    assert not np.array_equal(*maps)


@pytest.mark.usefixtures("no_warnings")
def test_pictures_grow_with_the_layers():
    heights = {count: len(gradient_bars(names(count), np.ones(count), np.ones(count))) for count in (1, 10, 100)}
    assert heights[100] - heights[10] == 90 * (heights[10] - heights[1]) / 9 > 90 * 15  # room for a line of text
    maps = {count: len(gradient_heat_map(names(count), [1, 2], np.ones((count, 2)))) for count in (1, 10, 100)}
    assert maps[100] - maps[10] == 90 * (maps[10] - maps[1]) / 9


@pytest.mark.usefixtures("no_warnings")
def test_bars_grow_with_the_logarithm_of_the_value():
    largest = np.array([1e-1, 1e-3, 1e-2, 1e-4])
    widths = bar_widths(gradient_bars(names(4), np.full(4, nan), largest), BLUE, 4)
    decade = (widths[0] - widths[3]) / 3
    assert decade > 50
    assert np.abs(widths - widths[3] - decade * np.log10(largest / 1e-4)).max() <= 2


@pytest.mark.usefixtures("no_warnings")
def test_layers_without_a_bar_say_why():
    drawn = [gradient_bars(["a", "b"], np.array([1.0, value]), np.array([1.0, value])) for value in (nan, 0.0)]
    assert not np.array_equal(*drawn)
    for picture in drawn:
        dark = (picture < 120).all(-1)[:, 200:-200].sum()
        assert dark > 100  # words inside the axes


@pytest.mark.usefixtures("no_warnings")
def test_an_infinite_gradient_says_so_too():
    infinite = gradient_bars(["a", "b"], np.array([1.0, inf]), np.array([1.0, inf]))
    assert np.array_equal(infinite, gradient_bars(["a", "b"], np.array([1.0, nan]), np.array([1.0, nan])))


def cells(picture, rows, columns):
    """The colours in the middle of the cells of the matrix, the largest area that has the map's colours."""
    colours = np.vstack([VIRIDIS, [221, 221, 221]])
    different, where = np.unique(picture.reshape(-1, 3), axis=0, return_inverse=True)
    known = np.abs(different[:, None] - colours).max(axis=-1).min(axis=-1) <= 1
    inside = known[where].reshape(picture.shape[:2])
    areas, count = ndimage.label(inside)
    largest = np.argmax(ndimage.sum(inside, areas, range(1, count + 1)))
    high, wide = ndimage.find_objects(areas)[largest]
    middle_rows = high.start + (np.arange(rows) + 0.5) * (high.stop - high.start) / rows
    middle_columns = wide.start + (np.arange(columns) + 0.5) * (wide.stop - wide.start) / columns
    return picture[np.ix_(middle_rows.astype(int), middle_columns.astype(int))]


@pytest.mark.usefixtures("no_warnings")
def test_heat_map_colours_are_the_logarithms_of_the_values_in_their_places():
    values = 10.0 ** np.random.default_rng(0).permutation(np.linspace(-6, 1, 15)).reshape(3, 5)
    pixels = cells(gradient_heat_map(names(3), [10, 20, 30, 40, 50], values), 3, 5)
    index = np.abs(pixels[..., None, :] - VIRIDIS).sum(-1).argmin(-1)
    assert np.abs(index / 255 - (np.log10(values) + 6) / 7).max() < 0.02


@pytest.mark.usefixtures("no_warnings")
def test_of_a_very_deep_network_every_layer_has_its_row_in_a_picture_that_still_fits_a_page():
    values = 10.0 ** np.random.default_rng(0).permutation(np.linspace(-6, 1, 500))
    picture = gradient_heat_map(names(500), [10], values[:, None])
    assert len(picture) < 3300
    index = np.abs(cells(picture, 500, 1)[:, 0, None, :] - VIRIDIS).sum(-1).argmin(-1)
    assert np.abs(index / 255 - (np.log10(values) + 6) / 7).max() < 0.02
    bars = gradient_bars(names(500), np.full(500, 1e-8), values)
    assert len(bars) == len(picture)
    blue = (bars == BLUE).all(-1)
    blue[:30] = False  # the legend
    inside = np.flatnonzero(blue.any(axis=1))
    middles = np.linspace(inside[0] + 2, inside[-1] - 2, 500)  # of bars that are four pixels high
    widths = blue[middles.round().astype(int)].sum(axis=1)
    assert np.corrcoef(widths, np.log10(values))[0, 1] > 0.97


@pytest.mark.usefixtures("no_warnings")
def test_heat_map_shows_zero_darkest_and_what_is_not_finite_grey():
    values = np.array([[1e-3, 0.0, 1e-2], [nan, 1e-1, inf]])
    pixels = cells(gradient_heat_map(names(2), [1, 2, 3], values), 2, 3)
    expected = [[None, VIRIDIS[0], None], [[221] * 3, VIRIDIS[-1], [221] * 3]]
    for row, column in ((0, 1), (1, 0), (1, 1), (1, 2)):
        assert np.abs(pixels[row, column] - np.array(expected[row][column])).max() <= 1


@pytest.mark.usefixtures("no_warnings")
@pytest.mark.parametrize("start", [0, 30])
@pytest.mark.parametrize("steps", [[100, 110, 400], [40, 200, 231, 1800, 1817], list(range(100, 3100, 3))])
def test_columns_of_the_heat_map_are_as_wide_as_their_steps(start, steps):
    values = 10.0 ** np.random.default_rng(0).uniform(-6, 1, (1, len(steps)))
    values[0, 0], values[0, -1] = 1e-6, 10
    count = 97
    pixels = cells(gradient_heat_map(names(1), steps, values, start=start), 1, count)[0]
    index = np.abs(pixels[:, None, :] - VIRIDIS).sum(-1).argmin(-1)
    middles = start + (np.arange(count) + 0.5) * (steps[-1] - start) / count
    column = np.searchsorted(steps, middles)
    expected = (np.log10(values[0, column]) + 6) / 7
    pixel = (steps[-1] - start) / 600
    inside = np.array([np.abs(np.array([start, *steps]) - middle).min() > 2 * pixel for middle in middles])
    if len(steps) < 10:
        assert inside.mean() > 0.8
        assert np.abs(index / 255 - expected)[inside].max() < 0.02
    assert len(set(index)) >= 3


def test_the_axis_of_the_heat_map_has_the_steps_of_the_run():
    axes = gradient_heat_map(names(1), [10, 20, 1000], np.ones((1, 3)), as_figure=True).axes[0]
    (picture,) = axes.images
    columns = picture.get_array().shape[1]
    labels = [int(label.get_text()) for label in axes.get_xticklabels()]
    places = (axes.get_xticks() + 1) / columns
    assert labels == pytest.approx(1000 * places)
    assert labels[-1] == 1000


@pytest.mark.parametrize(
    "values",
    [
        [[1e-3]],
        [[0.0]],
        [[nan]],
        [[inf]],
        [[1e-3, 1e-3], [1e-3, 1e-3]],
        [[0.0, nan], [inf, 0.0]],
        np.geomspace(1e-30, 1e30, 200).reshape(2, 100),
        np.ones((100, 1000)),
    ],
)
@pytest.mark.usefixtures("no_warnings")
def test_heat_map_renders_without_a_warning_whatever_the_values(values):
    values = np.array(values)
    steps = list(range(1, values.shape[1] + 1))
    assert gradient_heat_map(names(len(values)), steps, values, title="gradient flow").dtype == np.uint8


@pytest.mark.usefixtures("no_warnings")
def test_a_dollar_sign_in_a_name_is_no_formula():
    one = gradient_bars(["$x_1$"], np.ones(1), np.ones(1))
    other = gradient_bars(["x_1"], np.ones(1), np.ones(1))
    assert not np.array_equal(one, other)
    assert gradient_bars(["$\\broken"], np.ones(1), np.ones(1), title="$\\broken").shape == one.shape


def test_figures_show_what_the_pictures_show():
    values = np.array([1e-3, nan, 1e-2])
    figure = gradient_bars(names(3), values, 10 * values, title="gradients", as_figure=True)
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    assert axes.get_title("left") == "gradients"
    assert [label.get_text() for label in axes.get_yticklabels()] == names(3)
    for container, expected in zip(axes.containers, (10 * values, values), strict=True):
        np.testing.assert_allclose([bar.get_x() + bar.get_width() for bar in container], expected)
    assert [text.get_text() for text in axes.texts] == ["no finite gradient"]
    steps = np.stack([values, 2 * values], axis=1)
    figure = gradient_heat_map(names(3), [10, 20], steps, title="gradients", as_figure=True)
    axes, scale = figure.axes
    assert axes.get_title("left") == "gradients · grey: no finite gradient"
    np.testing.assert_array_equal(axes.images[0].get_array().filled(nan), steps)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "20"]
    assert scale.get_ylabel() == "mean |g|"
