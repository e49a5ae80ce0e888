"""Points, colours and names stand where they should."""

import warnings

import numpy as np
import pytest
from scipy import ndimage

from lightning_cnnviz.functional.drawing.colours import class_colours
from lightning_cnnviz.functional.drawing.scatter import scatter_chart, scatter_grid

nan, inf = np.nan, np.inf


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("count", [1, 2, 10, 11, 100])
def test_every_class_has_its_own_colour(count):
    colours = class_colours(count)
    assert len(colours) == count
    assert len({tuple(colour) for colour in colours.tolist()}) == count


def test_ten_classes_keep_their_colours_whatever_their_number():
    assert np.array_equal(class_colours(3), class_colours(10)[:3])


def count_of(picture, colour):
    return (picture == colour).all(-1).sum()


def test_points_have_the_colour_of_their_class():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(300, 2)), np.repeat([0, 1, -1], 100)
    few, more = (class_colours(2)[number] for number in (0, 1))
    both = scatter_chart(points, labels, ["a", "b"], title="")
    alone = scatter_chart(points, np.where(labels == 0, 0, -1), ["a", "b"], title="")
    shown = [np.abs(picture.astype(int) - more.astype(int)).max(-1).min() for picture in (both, alone)]
    assert shown[0] < 60
    assert shown[1] > shown[0]
    assert np.abs(alone.astype(int) - few.astype(int)).max(-1).min() < 60
    assert count_of(both, (119, 119, 119)) > 0  # no class: grey


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
    one, two = (scatter_chart(np.eye(2), np.array([0, 0]), ["cat"], title=title) for title in ("one", "one\ntwo"))
    assert one.shape == two.shape
    assert not np.array_equal(one, two)


# ---- several side by side


def panels_of(picture):
    """What stands inside the frames, row by row: large areas of white that are not the page."""
    white, _ = ndimage.label((picture == 255).all(-1))
    boxes = [box for box in ndimage.find_objects(white) if all(200 < part.stop - part.start < 420 for part in box)]
    return [picture[box] for box in sorted(boxes, key=lambda box: (box[0].start // 100, box[1].start))]


def words_in(panel):
    """Middles (x, y from below) of what is black, and of the points in each class's colour."""
    parts, _ = ndimage.label(panel.max(-1) < 90, structure=np.ones((3, 3)))
    boxes = [box for box in ndimage.find_objects(parts) if box[0].stop - box[0].start > 6]
    return [np.array([box[1].start + box[1].stop, -box[0].start - box[0].stop]) / 2 for box in boxes]


def points_in(panel, colour):
    rows, columns = np.nonzero(np.abs(panel / 255 - np.array(colour)).max(-1) < 0.22)
    return np.array([np.median(columns), -np.median(rows)])


RIGHT, LEFT, UP, DOWN = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])


def wide(towards, each=200):
    """Two round classes, the second one in some direction from the first."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], each)
    return rng.normal(size=(2 * each, 2)) + labels[:, None] * 8.0 * towards, labels


def test_panels_stand_in_their_places_with_names_at_the_medians_of_the_classes():
    labels = wide(RIGHT)[1]
    directions = {(0, 0): RIGHT, (0, 1): LEFT, (1, 0): UP, (1, 1): DOWN}
    panels = {place: ("title", wide(towards)[0]) for place, towards in directions.items()}
    picture = scatter_grid(panels, ["PCA", "t-SNE"], labels, ["l", "o"], title="overview")
    assert picture.shape == (830, 730, 3)
    found = panels_of(picture)
    assert len(found) == 4
    colours = class_colours(2)
    for panel, towards in zip(found, directions.values(), strict=True):
        middles = [points_in(panel, colour / 255) for colour in colours]
        apart = (middles[1] - middles[0]) / np.linalg.norm(middles[1] - middles[0])
        np.testing.assert_allclose(apart, towards, atol=0.1)
        names = words_in(panel)
        assert len(names) == 2
        for middle in middles:
            assert min(np.abs(name - middle).max() for name in names) < 8


def test_places_without_a_panel_stay_white():
    points, labels = wide(RIGHT)
    panels = dict.fromkeys([(0, 0), (0, 1), (1, 0)], ("title", points))
    picture = scatter_grid(panels, ["", ""], labels, ["l", "o"], title="all")
    assert len(panels_of(picture)) == 3
    assert (picture[450:, 400:] == 255).all()


def one_panel(points, labels, names):
    (panel,) = panels_of(scatter_grid({(0, 0): ("title", points)}, ["PCA"], labels, names, title="one panel"))
    return panel


def test_names_that_would_lie_over_each_other_are_written_one_above_the_other():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(400, 2)), np.arange(400) % 2
    panel = one_panel(points, labels, ["l", "o"])
    names = words_in(panel)
    assert len(names) == 2
    assert 10 < abs(names[0] - names[1])[1] < 40
    middles = [points_in(panel, colour / 255) for colour in class_colours(2)]
    np.testing.assert_allclose(np.mean(names, axis=0), np.mean(middles, axis=0), atol=20)


@pytest.mark.parametrize(("count", "there"), [(20, True), (21, False)])
def test_of_more_than_twenty_classes_no_name_is_written_in_a_panel(count, there):
    rng = np.random.default_rng(0)
    labels = np.arange(200) % count
    points = rng.normal(size=(200, 2)) + 8 * np.stack([labels % 5, labels // 5], axis=1)
    assert bool(words_in(one_panel(points, labels, ["o"] * count))) == there


@pytest.mark.parametrize("points", [np.full((4, 2), nan), np.zeros((4, 2)), np.eye(4, 2) * 1e30], ids=str)
@pytest.mark.parametrize("labels", [[-1] * 4, [0, 1, 0, 1]], ids=str)
def test_panels_are_drawn_without_a_warning_whatever_the_points(points, labels):
    panels = {(0, 0): ("conv1", points), (0, 1): ("conv2", points)}
    assert scatter_grid(panels, ["$"], np.array(labels), ["a", "$b"], title="$").shape == (440, 730, 3)
