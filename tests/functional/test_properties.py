"""What holds for every picture whatever it is given: shapes, dtypes, strides, numbers that are none."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lightning_cnnviz.functional.class_report import class_accuracies, confusion_matrix_chart
from lightning_cnnviz.functional.curves import Point, best_point, curve_chart
from lightning_cnnviz.functional.drawing.colours import DIVERGING, NON_FINITE, SEQUENTIAL
from lightning_cnnviz.functional.drawing.encode import encode
from lightning_cnnviz.functional.drawing.image import (
    diverging,
    finite_limit,
    planes,
    sequential,
    signed_rgb,
    tile,
    to_array,
)
from lightning_cnnviz.functional.drawing.image_sheet import image_sheet
from lightning_cnnviz.functional.drawing.photograph import photograph
from lightning_cnnviz.functional.feature_map_grid import feature_maps, mean_maps
from lightning_cnnviz.functional.filter_response_grid import filter_response
from lightning_cnnviz.functional.gradients.gradient_flow import gradient_bars, gradient_heat_map
from lightning_cnnviz.functional.kernels import kernel_grid
from lightning_cnnviz.functional.projection.layout import project

NEUTRAL = [247, 247, 247]
some = settings(
    max_examples=30, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
few = settings(some, max_examples=8)
"""For charts, which take longer to draw."""
EXTREMES = np.float32([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-38, 3.4e38, -3.4e38]).tolist()
FLOATS = st.one_of(st.floats(-5, 5, width=32), st.sampled_from(EXTREMES))
TYPES = ["float16", "float32", "float64", "int64", "uint8", "bool", "torch.bfloat16", "torch.float16", "torch.float32"]
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@st.composite
def arrays(draw, shape):
    """Values of a shape, as an array or tensor of any type and memory layout."""
    values = draw(hnp.arrays(np.float32, shape, elements=FLOATS, fill=st.sampled_from([0.0, 1.0, -2.0])))
    kind = draw(st.sampled_from(TYPES))
    with np.errstate(all="ignore"):
        if kind.startswith("torch"):
            found = torch.from_numpy(values).to(getattr(torch, kind.partition(".")[2]))
        else:
            whole = kind in ("int64", "uint8", "bool")
            found = (np.clip(np.nan_to_num(values), 0, 200) if whole else values).astype(kind)
    layout = draw(st.sampled_from(["plain", "transposed", "strided", "expanded"]))
    if layout == "transposed" and found.ndim > 1:
        back = found.transpose(0, 1) if isinstance(found, torch.Tensor) else found.swapaxes(0, 1)
        copied = back.contiguous() if isinstance(found, torch.Tensor) else back.copy()
        found = copied.transpose(0, 1) if isinstance(found, torch.Tensor) else copied.swapaxes(0, 1)
    elif layout == "strided":
        twice = torch.repeat_interleave(found, 2, -1) if isinstance(found, torch.Tensor) else found.repeat(2, -1)
        found = twice[..., ::2]
    elif layout == "expanded":  # all rows are one in memory
        one = found[:1]
        found = one.expand(found.shape) if isinstance(found, torch.Tensor) else np.broadcast_to(one, found.shape)
    return found.requires_grad_() if kind.startswith("torch") and draw(st.booleans()) and found.is_leaf else found


def sizes(fewest, most, largest=6):
    return st.lists(st.integers(1, largest), min_size=fewest, max_size=most).map(tuple)


def drawn(draw):
    """The picture, after a look at what every picture has to be."""
    first, second = draw(), draw()
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert first.shape[2] == 3
    assert min(first.shape) > 0
    np.testing.assert_array_equal(first, second)
    encode(first)
    return first


def plainly(values):
    """As float64, in an independent way."""
    return values.detach().double().numpy() if isinstance(values, torch.Tensor) else values.astype(np.float64)


@some
@given(st.data(), sizes(1, 4))
def test_an_array_is_a_copy_with_the_values_it_had(data, shape):
    values = data.draw(arrays(shape))
    before = plainly(values).copy()
    found = to_array(values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, before.astype(np.float32))
    found += 1
    np.testing.assert_array_equal(plainly(values), before)


@some
@given(st.data(), sizes(1, 4))
def test_signed_colours(data, shape):
    values = to_array(data.draw(arrays(shape)))
    colours = diverging(values, finite_limit(values))
    assert colours.shape == (*shape, 3)
    finite = np.isfinite(values)
    assert (colours[values == 0] == NEUTRAL).all()
    assert (colours[~finite] == NON_FINITE).all()
    assert not (colours[finite] == NON_FINITE).all(-1).any()
    np.testing.assert_array_equal(diverging(-values, finite_limit(values))[finite], mirrored(colours[finite]))
    largest = finite & (np.abs(values) == finite_limit(values)) & (values != 0)
    ends = DIVERGING[[0, -1]].tolist()
    assert all(colour in ends for colour in colours[largest].tolist())


def mirrored(colours):
    """The colours of the opposite numbers."""
    places = (colours[:, None] == DIVERGING[None]).all(-1).argmax(1) if len(colours) else np.zeros(0, int)
    return DIVERGING[len(DIVERGING) - 1 - places]


@some
@given(st.data(), sizes(1, 4))
def test_brightness_rises_with_the_value(data, shape):
    values = to_array(data.draw(arrays(shape)))
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
    colours = sequential(values, low, high)
    assert (colours[~finite] == NON_FINITE).all()
    order = np.argsort(values[finite], kind="stable")
    ranks = (colours[finite][order][:, None] == SEQUENTIAL[None]).all(-1).argmax(1)
    assert (np.diff(ranks) >= 0).all()
    if high > low:
        assert (ranks[0], ranks[-1]) == (0, len(SEQUENTIAL) - 1)
    else:
        assert not ranks.any()


@some
@given(st.data(), sizes(1, 3))
def test_three_planes_around_grey(data, shape):
    values = to_array(data.draw(arrays((*shape, 3))))
    colours = signed_rgb(values, finite_limit(values))
    broken = ~np.isfinite(values).all(-1)
    assert (colours[broken] == NON_FINITE).all()
    assert (np.isin(colours[~broken][values[~broken] == 0], (127, 128))).all()
    assert (colours[~broken][values[~broken] > 0] >= 128).all()
    assert (colours[~broken][values[~broken] < 0] <= 128).all()


@some
@given(st.data(), st.integers(1, 4), sizes(1, 3))
def test_photographs_run_from_black_to_white(data, channels, shape):
    values = data.draw(arrays((channels, *shape)))
    picture = drawn(lambda: photograph(values))
    shown = planes(to_array(values)[None])[0]
    assert picture.shape == (*shown.shape[1:], 3)
    scaled = "uint8" not in str(values.dtype)  # which is drawn as it is
    if scaled and channels == 3 and np.isfinite(shown).all() and np.ptp(shown.astype(np.float64)) > 0:
        assert picture.min() == 0
        assert picture.max() == 255


@some
@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 5), st.integers(1, 9), st.integers(0, 3))
def test_tiles_are_all_there_in_their_order(count, height, width, columns, gap):
    cells = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(height, 1).repeat(width, 2).repeat(3, 3)
    picture = tile(cells, columns, gap)
    sizes_of_values = {value: int((picture[..., 0] == value).sum()) for value in range(count)}
    assert sizes_of_values == dict.fromkeys(range(count), height * width)
    firsts = [tuple(np.argwhere(picture[..., 0] == value)[0]) for value in range(count)]
    assert firsts == sorted(firsts)


@some
@given(
    st.data(),
    st.integers(1, 12),
    st.integers(1, 4),
    sizes(1, 3, 3),
    st.sampled_from(["layer", "kernel"]),
    st.sampled_from(["auto", "mean", 0]),
    st.booleans(),
    WORDS,
)
def test_kernel_grid(data, count, inputs, shape, scale, channel, numbers, title):
    weight = data.draw(arrays((count, inputs, *shape)))
    options = {"scale": scale, "channel": channel, "numbers": numbers, "title": title, "max_kernels": 10}
    picture = drawn(lambda: kernel_grid(weight, **options))
    broken = (picture == NON_FINITE).all(-1).any()
    shown = plainly(weight)[:10]
    shown = shown if channel == "mean" or (channel == "auto" and inputs == 3 and len(shape) == 2) else shown[:, 0]
    if not numbers:
        assert broken == (~np.isfinite(shown.astype(np.float32))).any()


@some
@given(st.data(), st.integers(1, 3), st.integers(1, 9), sizes(0, 3), sizes(1, 3), WORDS)
def test_feature_maps(data, samples, channels, shape, image_shape, words):
    maps, images = data.draw(arrays((samples, channels, *shape))), data.draw(arrays((samples, 1, *image_shape)))
    captions = [[words]] * samples
    picture = drawn(lambda: feature_maps(maps, images, captions, max_channels=5, title=words))
    if not np.isfinite(plainly(maps)[:, :5]).all() and len(shape) < 3:
        assert (picture == NON_FINITE).all(-1).any()
    drawn(lambda: mean_maps({words: maps, "other": images}, images, captions, title=words))


@some
@given(st.data(), st.integers(1, 9), sizes(1, 3, 4), sizes(1, 3), WORDS)
def test_filter_response(data, count, kernel, size, words):
    assume(len(kernel) == len(size))
    kernels, responses = data.draw(arrays((count, *kernel))), data.draw(arrays((count, *size)))
    image = data.draw(arrays((1, *size)))
    drawn(lambda: filter_response(kernels, responses, {words: image}, max_kernels=6, title=words))


@some
@given(st.data(), st.integers(1, 4), sizes(0, 3), WORDS)
def test_image_sheet(data, samples, shape, words):
    images = data.draw(arrays((samples, 2, *shape)))
    drawn(lambda: image_sheet(images, [[words]] * samples, alarming=[True] * samples, title=words, note=words))


GRADIENTS = st.one_of(st.just(np.nan), st.just(0.0), st.floats(1e-30, 1e30))


@few
@given(st.lists(st.tuples(WORDS, GRADIENTS, GRADIENTS), min_size=1, max_size=6))
def test_gradient_bars(rows):
    names, means, largest = zip(*rows, strict=True)
    drawn(lambda: gradient_bars(names, np.array(means), np.array(largest), title="gradients"))


@few
@given(st.data(), st.integers(1, 5), st.integers(1, 5))
def test_gradient_heat_map(data, layers, steps):
    values = data.draw(hnp.arrays(float, (layers, steps), elements=GRADIENTS))
    names = data.draw(st.lists(WORDS, min_size=layers, max_size=layers))
    drawn(lambda: gradient_heat_map(names, [10 * step for step in range(steps)], values))


@few
@given(
    st.lists(FLOATS, max_size=6),
    st.lists(FLOATS, max_size=6),
    st.sampled_from(["loss", "accuracy"]),
    st.booleans(),
)
def test_curves(train, val, quantity, epochs):
    lines = [
        [Point(index if epochs else np.nan, 10 * index, value) for index, value in enumerate(values)]
        for values in (train, val)
    ]
    drawn(lambda: curve_chart(*lines, quantity=quantity, title="curves"))
    best = best_point(lines[0], quantity)
    finite = [value for value in train if np.isfinite(value)]
    assert (best and best.value) == ((min if quantity == "loss" else max)(finite) if finite else None)


@few
@given(st.data(), st.integers(2, 6))
def test_confusion_matrix(data, classes):
    counts = data.draw(hnp.arrays(np.int64, (classes, classes), elements=st.integers(0, 10**9)))
    names = data.draw(st.lists(WORDS, min_size=classes, max_size=classes))
    drawn(lambda: confusion_matrix_chart(counts, names, title="confusion"))
    found = class_accuracies(counts)
    expected = [counts[index, index] / row.sum() if row.sum() else np.nan for index, row in enumerate(counts)]
    np.testing.assert_allclose(found, expected)


@few
@given(st.data(), st.integers(5, 30), sizes(1, 3), st.sampled_from(["pca", "tsne"]))
def test_projection(data, samples, shape, method):
    values = data.draw(arrays((samples, *shape)))
    flat = plainly(values).reshape(samples, -1).astype(np.float32)
    finite = np.isfinite(flat).all(1)
    if finite.sum() < 5 or (flat[finite] == flat[finite][0]).all():
        with pytest.raises(ValueError, match=r"expected at least 5|are equal"):
            project(values, method=method)
        return
    points = project(values, method=method).points
    assert points.shape == (samples, 2)
    np.testing.assert_array_equal(np.isfinite(points).all(1), finite)
    np.testing.assert_array_equal(points, project(values, method=method).points)
