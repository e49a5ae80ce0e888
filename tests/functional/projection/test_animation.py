"""Frames of a film: fixed limits, points in between, and a file that others read."""

import pickle
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lightning_cnnviz.functional.drawing.scatter import class_palette
from lightning_cnnviz.functional.projection.animation import MAX_FRAMES, Animation, apng, projection_animation
from lightning_cnnviz.functional.projection.layout import Layout
from lightning_cnnviz.functional.projection.quality import LayoutQuality

CORNERS = np.array([[-10, -10], [10, 10], [-10, 10], [10, -10]], dtype=np.float32)


def film(count, **options):
    """A point of the first class that moves from left to right among corners without a class."""
    layouts = []
    for time in np.linspace(-5, 5, count) if count > 1 else [0.0]:
        layouts.append(Layout(np.concatenate([CORNERS, [[time, 0]]]).astype(np.float32), 2.0, 1.0))
    titles = options.pop("titles", [f"fc1 · epoch {number}" for number in range(count)])
    return projection_animation(layouts, np.array([-1] * 4 + [0]), ["o"], method="tsne", titles=titles, **options)


def places_of_the_name(animation, frames=slice(None)):
    ink = [(animation.colours[frame][80:-10, 10:-10].max(-1) < 90) for frame in animation.frames[frames]]
    return np.array([ndimage.center_of_mass(black) for black in ink])


def test_points_and_names_move_steadily_between_the_first_and_the_last_layout():
    animation = film(3)
    places = places_of_the_name(animation)
    assert (np.diff(places[:, 1]) > 0).all()
    assert np.ptp(places[:, 0]) < 1
    width = animation.frames.shape[2]
    height = animation.frames.shape[1] - 70
    scale = 0.92 * min(width, height) / 20
    assert places[-1, 1] - places[0, 1] == pytest.approx(10 * scale, rel=0.03)


def test_what_stands_still_has_the_same_pixels_in_every_frame():
    animation = film(4)
    grey = class_palette(1)[23]
    masks = [(animation.colours[frame] == grey).all(-1) for frame in animation.frames]
    assert masks[0].sum() > 20
    assert all(np.array_equal(masks[0], mask) for mask in masks)


def test_every_layout_has_its_title_and_the_last_is_shown_longest():
    animation = film(3, titles=["one", "two", "three"])
    heads = [frame[:30].tobytes() for frame in animation.frames]
    changes = [index + 1 for index, (one, other) in enumerate(pairwise(heads)) if one != other]
    assert len(set(heads)) == 3
    assert changes == [8, 16]
    assert animation.seconds.index(max(animation.seconds)) == len(animation.frames) - 1
    assert all(animation.seconds[index] > animation.seconds[index + 1] for index in (0, 8))


@pytest.mark.parametrize(("count", "frames"), [(1, 1), (2, 9), (61, 61), (120, 120), (500, 120)])
def test_the_number_of_frames_is_limited_and_first_and_last_are_among_them(count, frames):
    animation = film(count)
    assert len(animation.frames) == len(animation.seconds) == frames <= MAX_FRAMES
    whole = film(2)
    if count > 1:
        places, ends = (places_of_the_name(one, [0, -1]) for one in (animation, whole))
        np.testing.assert_allclose(places, ends, atol=1.5)


def test_the_file_holds_the_frames_and_their_times():
    animation = film(3)
    image = Image.open(BytesIO(apng(animation)))
    assert (image.format, image.n_frames, image.mode, image.info["loop"]) == ("PNG", len(animation.frames), "P", 0)
    for index, frame in enumerate(animation.frames):
        image.seek(index)
        assert np.array_equal(np.asarray(image.convert("RGB")), animation.colours[frame])
        assert image.info["duration"] == pytest.approx(1000 * animation.seconds[index])


def test_more_colours_than_a_palette_holds_are_kept():
    rng = np.random.default_rng(0)
    layouts = [Layout(rng.normal(size=(200, 2)).astype(np.float32), None) for _ in range(2)]
    names = [f"class {number}" for number in range(100)]
    animation = projection_animation(layouts, np.arange(200) % 100, names, method="pca", titles=["a", "b"])
    assert animation.frames.max() > 255
    image = Image.open(BytesIO(apng(animation)))
    assert np.array_equal(np.asarray(image.convert("RGB")), animation.colours[animation.frames[0]])


def test_samples_that_lose_their_place_vanish_and_others_stay():
    points = np.concatenate([CORNERS, [[0, 0]]]).astype(np.float32)
    lost = points.copy()
    lost[1] = np.nan
    labels = np.array([-1] * 5)
    layouts = [Layout(points, None), Layout(lost, None), Layout(np.full_like(points, np.nan), None)]
    animation = projection_animation(layouts, labels, [], method="pca", titles=["a", "b", "c"])
    grey = class_palette(0)[19]
    areas = [ndimage.label((animation.colours[frame][50:] == grey).all(-1))[1] for frame in animation.frames]
    assert areas[0] == 5
    assert areas[8] == 4
    assert areas[-1] == 0


def test_a_film_goes_through_pickle():
    animation = film(2)
    copy = pickle.loads(pickle.dumps(animation))
    assert isinstance(copy, Animation)
    assert apng(copy) == apng(animation)


@pytest.mark.parametrize(("layouts", "titles", "numbers"), [(0, 0, 0), (2, 1, 2), (2, 2, 1)])
def test_wrong_numbers_of_titles_are_refused(layouts, titles, numbers):
    some = [Layout(CORNERS, None)] * layouts
    with pytest.raises(ValueError, match=f"got {layouts} layouts, {titles} titles and {numbers} numbers"):
        projection_animation(
            some,
            np.zeros(4, dtype=int),
            ["a"],
            method="pca",
            titles=["t"] * titles,
            numbers=[LayoutQuality()] * numbers,
        )
