"""Layouts through training as a film: points move from one place to the next."""

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from lightning_cnnviz.errors import ClassNames, class_names_list
from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.functional.drawing.image import Labels, Picture, to_labels
from lightning_cnnviz.functional.drawing.point_canvas import INK_SHADES, Canvas, PlotArea, draw_points, view_of
from lightning_cnnviz.functional.drawing.scatter import (
    CHART_HEIGHT,
    CHART_WIDTH,
    Scatter,
    class_palette,
    draw_names,
    name_places,
    scatter_look,
    start_chart,
)
from lightning_cnnviz.functional.projection.chart import chart_words
from lightning_cnnviz.functional.projection.layout import Layout, Method
from lightning_cnnviz.functional.projection.quality import LayoutQuality, measure

MAX_FRAMES = 120
"""Of a film: some 4 MB with 5,000 points."""
MAX_BETWEEN = 7
"""Frames between two layouts."""
STEP, PAUSE, LAST_PAUSE = 0.08, 0.4, 2.5
"""Seconds of a frame between layouts, of a layout, and of the last one."""
MAX_COLOURS = 256


class Animation(NamedTuple):
    """A film in few colours.

    Attributes:
        frames: Shape (frames, height, width), indices into `colours`.
        colours: Shape (colours, 3), RGB, uint8.
        seconds: How long each frame is shown.
    """

    frames: Canvas
    colours: Picture
    seconds: list[float]


def projection_animation(
    layouts: Sequence[Layout],
    labels: Labels,
    class_names: ClassNames,
    *,
    method: Method,
    titles: Sequence[str],
    numbers: Sequence[LayoutQuality] | None = None,
) -> Animation:
    """Shows layouts of the same samples one after the other, at the same scale, with frames in between.

    Of more layouts than there are frames (120) an even choice is shown, the first and the last among them.

    Args:
        layouts: In the order of time, at least one, each from `project` with the one before as `init`.
        labels: Class numbers, shape (samples,): tensor, array or list; negative where unknown.
        class_names: A name for each class number: list, tuple, array or dict; of more than 100 none is written.
        method: How the layouts were made.
        titles: First line of each, e.g. layer, epoch and step.
        numbers: From `measure`, where they are known already.

    Returns:
        Frames of 700 × 750 pixels: method and numbers above, a bar along the lower edge for the time. The first
        frame is the first layout, the last the last one, shown longest.

    Raises:
        ValueError: If there is no layout, or not a title and numbers for each.

    Example:
        >>> layouts = [Layout(np.random.default_rng(seed).normal(size=(20, 2)), None) for seed in range(3)]
        >>> film = projection_animation(
        ...     layouts, np.repeat([0, 1], 10), ["cat", "dog"], method="pca", titles=["epoch 1", "epoch 2", "epoch 3"]
        ... )
        >>> film.frames.shape
        (17, 700, 750)
    """
    labels, names_of_classes = to_labels(labels), class_names_list(class_names)
    if numbers is None:
        numbers = [measure(layout, labels) for layout in layouts]
    if not layouts or not len(layouts) == len(titles) == len(numbers):
        raise ValueError(
            "expected at least one layout, and a title and numbers for each, "
            f"got {len(layouts)} layouts, {len(titles)} titles and {len(numbers)} numbers"
        )
    chosen = np.unique(np.linspace(0, len(layouts) - 1, min(len(layouts), MAX_FRAMES)).round().astype(int))
    words = [chart_words(layouts[i], numbers[i], method=method, title=titles[i]).splitlines() for i in chosen]
    deepest = max(map(len, words))
    sheets = []
    for lines in words:
        sheets.append(np.zeros((CHART_HEIGHT, CHART_WIDTH), dtype=np.uint16))
        box = start_chart(sheets[-1], "\n".join([*lines, *[" "] * (deepest - len(lines))]))
    look = scatter_look(labels, names_of_classes, CHART_WIDTH, most_names=100)
    view = view_of(np.concatenate([layouts[i].points for i in chosen]), box)
    places = [view.pixels(layouts[i].points) for i in chosen]
    names = [name_places(layouts[i].points, look, view, box) for i in chosen]
    between = min(MAX_BETWEEN, (MAX_FRAMES - len(chosen)) // max(len(chosen) - 1, 1))
    pause = PAUSE if between else 2 * STEP
    scenes, seconds = [], []
    for now, (here, there) in enumerate(pairwise(range(len(chosen)))):
        for part in range(between + 1):
            share = part / (between + 1)
            eased = share**2 * (3 - 2 * share)  # sets off and arrives slowly
            # a sample without a next place stays until the others set off
            pixels = places[here] + eased * (places[there] - places[here]) if part else places[here]
            known = {
                name: _between(place, names[there].get(name, place), eased) for name, place in names[here].items()
            }
            scenes.append(_scene(sheets[here], box, pixels, known, look, (now + share) / (len(chosen) - 1)))
            seconds.append(STEP if part else pause)
    scenes.append(_scene(sheets[-1], box, places[-1], names[-1], look, 1.0))
    return Animation(np.array(scenes), class_palette(len(names_of_classes)), [*seconds, LAST_PAUSE])


def projection_film(
    layouts: Sequence[Layout],
    labels: Labels,
    class_names: ClassNames,
    *,
    method: Method,
    titles: Sequence[str],
    numbers: Sequence[LayoutQuality] | None = None,
) -> Encoded:
    """`projection_animation` as a file that is kept: an animated PNG.

    Example:
        >>> layouts = [Layout(np.random.default_rng(seed).normal(size=(20, 2)), None) for seed in range(2)]
        >>> film = projection_film(layouts, np.repeat([0, 1], 10), ["cat", "dog"], method="pca", titles=["1", "2"])
        >>> film.height, film.width, film.kept
        (700, 750, True)
    """
    film = projection_animation(layouts, labels, class_names, method=method, titles=titles, numbers=numbers)
    _, height, width = film.frames.shape
    return Encoded(apng(film), height, width, kept=True)


def _scene(
    sheet: Canvas,
    box: PlotArea,
    pixels: npt.NDArray[np.floating],
    names: dict[int, tuple[float, float]],
    look: Scatter,
    time: float,
) -> Canvas:
    canvas: Canvas = sheet.copy()
    draw_points(canvas, pixels, look.classes, look.radius)
    draw_names(canvas, names, look)
    canvas[box.bottom - 4 : box.bottom, box.left : round(box.left + time * (box.right - box.left))] = INK_SHADES // 2
    return canvas


def _between(start: tuple[float, float], end: tuple[float, float], share: float) -> tuple[float, float]:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def apng(animation: Animation) -> bytes:
    """A film as an animated PNG that repeats for ever; programs that show no films show its first frame.

    Example:
        >>> film = Animation(np.eye(2, dtype=np.uint16)[None], np.uint8([[255, 255, 255], [0, 0, 0]]), [1.0])
        >>> apng(film)[1:4]
        b'PNG'
    """
    if len(animation.colours) <= MAX_COLOURS:
        images = [Image.fromarray(frame.astype(np.uint8)) for frame in animation.frames]
        for image in images:
            image.putpalette(animation.colours.tobytes())
    else:
        images = [Image.fromarray(animation.colours[frame]) for frame in animation.frames]
    first, *rest = images
    milliseconds = [round(1000 * seconds) for seconds in animation.seconds]
    buffer = BytesIO()
    first.save(buffer, format="PNG", save_all=True, append_images=rest, duration=milliseconds, loop=0)
    return buffer.getvalue()
