"""Data map: which samples a network finds easy, ambiguous or hard, by confidence and variability over the passes."""

from functools import partial

import numpy as np

from lightning_cnnviz.functional.drawing.caption import PICTURE_MARGIN
from lightning_cnnviz.functional.drawing.colours import SEQUENTIAL
from lightning_cnnviz.functional.drawing.image import Picture
from lightning_cnnviz.functional.drawing.plot import (
    BELOW,
    LINE_HEIGHT,
    Key,
    draw_axis,
    draw_frame,
    headed,
    label_room,
)
from lightning_cnnviz.functional.drawing.point_canvas import PlotArea, draw_name, draw_points, palette
from lightning_cnnviz.functional.drawing.ticks import fitting, linear_axis
from lightning_cnnviz.functional.sample_history.dynamics import SampleDynamics

WIDTH, HEIGHT = 750, 640
MOST_POINTS = 20_000
"""Points that are drawn; of more samples, so many at even distances."""
RADII = (1.4, 2.6)
"""Radius of a point in pixels, of many samples and of few."""
SHARES = ("never right", "up to 25 %", "up to 50 %", "up to 75 %", "below 100 %", "always right")
"""Share of the passes in which the given class was predicted, one colour for each."""
_COLOURS = SEQUENTIAL[np.linspace(0, 0.88 * (len(SEQUENTIAL) - 1), len(SHARES)).astype(int)][::-1]
_REGIONS = {"easy": (0.09, 0.93), "ambiguous": (0.415, 0.5), "hard": (0.09, 0.07)}
"""Name → variability and confidence."""


def shown_points(dynamics: SampleDynamics, most: int = MOST_POINTS) -> SampleDynamics:
    """Returns the samples that a map shows: those that were seen or, of too many, some at even distances.

    Example:
        >>> from lightning_cnnviz.functional.sample_history.dynamics import sample_dynamics
        >>> ones = np.ones((1, 9))
        >>> len(shown_points(sample_dynamics(ones, ones, ones, ones[0]), most=4).targets)
        4
    """
    numbers = np.flatnonzero(dynamics.seen)
    if len(numbers) > most:
        numbers = numbers[np.linspace(0, len(numbers) - 1, most).astype(np.intp)]
    return dynamics.take(numbers)


def map_note(dynamics: SampleDynamics) -> str:
    """Returns how many samples and passes a map shows.

    Example:
        >>> from lightning_cnnviz.functional.sample_history.dynamics import sample_dynamics
        >>> ones = np.ones((1, 9))
        >>> map_note(sample_dynamics(ones, ones, ones, ones[0]))
        '9 samples, 1 pass'
    """
    samples, passes = int(dynamics.seen.sum()), int(dynamics.passes.max(initial=0))
    drawn = f" ({MOST_POINTS} of them drawn)" if samples > MOST_POINTS else ""
    return f"{samples} samples{drawn}, {passes} pass{'es' if passes != 1 else ''}"


def data_map(dynamics: SampleDynamics, *, title: str = "", note: str = "") -> Picture:
    """Draws samples by the mean and the deviation, over the passes, of the probability of their given class.

    Easy samples are at the top left, hard ones, among which are those with a wrong label, at the bottom left, and
    ambiguous ones, of which the network has changed its mind, on the right (https://arxiv.org/abs/2009.10795).

    Args:
        dynamics: From `sample_dynamics`.
        title: Written above the map.
        note: An additional line of text.

    Returns:
        Height × width × 3, uint8. A point's colour is the share of the passes in which its given class was predicted.

    Example:
        >>> from lightning_cnnviz.functional.sample_history.dynamics import sample_dynamics
        >>> margins = np.array([[1.0, -2.0], [3.0, -1.0]])
        >>> found = sample_dynamics(margins, 0.5 + margins / 10, np.array([[1, 0], [1, 0]]), np.array([1, 1]))
        >>> data_map(found, title="train · epoch 2").shape
        (640, 750, 3)
    """
    shown = shown_points(dynamics)
    heading = " · ".join(filter(None, (title, note)))
    keys = [Key(name, tuple(colour), "box") for name, colour in zip(SHARES, _COLOURS.tolist(), strict=True)]
    picture, top = headed(WIDTH, HEIGHT, heading, keys)
    bottom = len(picture) - BELOW
    y_axis = linear_axis(0, 1, (bottom - top) // (2 * LINE_HEIGHT), margin=0.02)
    left, right = label_room(y_axis, "y"), WIDTH - 2 * PICTURE_MARGIN
    x_axis = fitting(partial(linear_axis, 0, 0.5, margin=0.02), room=right - left)
    box = PlotArea(left, top, right, bottom)
    draw_axis(picture, box, y_axis, "left", "confidence: mean probability of the given class", grid=True)
    draw_axis(picture, box, x_axis, "bottom", "variability: standard deviation of that probability", grid=True)
    size = box.right - box.left, box.bottom - box.top
    points = np.stack([shown.variability, shown.confidence], axis=1)
    canvas = np.zeros(size[::-1], dtype=np.uint16)

    def pixels(values: np.ndarray) -> np.ndarray:
        shares = np.stack([x_axis.share(values[:, 0]), 1 - y_axis.share(values[:, 1])], axis=1)
        return np.asarray(shares * (np.array(size) - 1))

    radius = RADII[len(points) < 1000]
    colours = np.ceil(4 * np.nan_to_num(shown.correctness)).astype(np.intp) + (shown.correctness == 1)
    order = np.random.default_rng(0).permutation(len(points))  # so that no colour is drawn above all others
    reach = int(np.ceil(radius)) + 1
    inside = pixels(points).clip(reach, np.array(size) - 1 - reach)
    draw_points(canvas, inside[order], colours[order], radius)
    for name, place in _REGIONS.items():
        (column, row), *_ = pixels(np.array([place]))
        draw_name(canvas, name, (float(column), float(row)), 15)
    area = picture[box.top : box.bottom, box.left : box.right]
    area[canvas > 0] = palette(_COLOURS)[canvas[canvas > 0]]
    draw_frame(picture, box)
    return picture
