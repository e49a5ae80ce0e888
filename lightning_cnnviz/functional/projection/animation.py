"""Animation of layouts over the course of training: points move from one layout to the next."""

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
"""Maximum length of an animation: about 4 MB with 5,000 points."""
MAX_INTERPOLATED_FRAMES = 7
"""Maximum number of frames between two layouts."""
FRAME_SECONDS, LAYOUT_SECONDS, LAST_LAYOUT_SECONDS = 0.08, 0.4, 2.5
"""Duration of an interpolated frame, of a layout, and of the last layout."""
MAX_PALETTE_SIZE = 256


class Animation(NamedTuple):
    """An animation with a colour palette.

    Attributes:
        frames: Shape (frames, height, width), indices into `colours`.
        colours: Shape (colours, 3), RGB, uint8.
        seconds: Duration of each frame.
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
    """Animates layouts of the same samples, all at the same scale, with interpolated frames in between.

    At most 120 layouts are shown; of more, evenly spaced ones, including the first and the last.

    Args:
        layouts: At least one, in chronological order, each from `project` with the previous one as `init`.
        labels: Class indices, shape (samples,): tensor, array or list; negative if unknown.
        class_names: A name for each class index: list, tuple, array or dict; with more than 100, none are written.
        method: Projection method of the layouts.
        titles: First line of text for each layout, e.g. layer, epoch and step.
        numbers: Quality metrics of each layout from `measure`. Default: computed here.

    Returns:
        Frames of 700 × 750 pixels, with the method and the quality metrics above the chart and a progress bar along
        its lower edge. The first frame shows the first layout; the last frame shows the last layout, for longest.

    Raises:
        ValueError: If there is no layout, or `titles` or `numbers` do not match the layouts.

    Example:
        >>> layouts = [Layout(np.random.default_rng(seed).normal(size=(20, 2)), None) for seed in range(3)]
        >>> animation = projection_animation(
        ...     layouts, np.repeat([0, 1], 10), ["cat", "dog"], method="pca", titles=["epoch 1", "epoch 2", "epoch 3"]
        ... )
        >>> animation.frames.shape
        (17, 700, 750)
    """
    labels, names_of_classes = to_labels(labels), class_names_list(class_names)
    if numbers is None:
        numbers = [measure(layout, labels) for layout in layouts]
    if not layouts or not len(layouts) == len(titles) == len(numbers):
        raise ValueError(
            "expected at least one layout, and titles and numbers of the same length, "
            f"got {len(layouts)} layouts, {len(titles)} titles and {len(numbers)} numbers"
        )
    chosen = np.unique(np.linspace(0, len(layouts) - 1, min(len(layouts), MAX_FRAMES)).round().astype(int))
    headings = [chart_words(layouts[i], numbers[i], method=method, title=titles[i]).splitlines() for i in chosen]
    most_lines = max(map(len, headings))
    sheets = []
    for lines in headings:
        sheets.append(np.zeros((CHART_HEIGHT, CHART_WIDTH), dtype=np.uint16))
        box = start_chart(sheets[-1], "\n".join([*lines, *[" "] * (most_lines - len(lines))]))
    style = scatter_look(labels, names_of_classes, CHART_WIDTH, most_names=100)
    view = view_of(np.concatenate([layouts[i].points for i in chosen]), box)
    pixels = [view.pixels(layouts[i].points) for i in chosen]
    names = [name_places(layouts[i].points, style, view, box) for i in chosen]
    between = min(MAX_INTERPOLATED_FRAMES, (MAX_FRAMES - len(chosen)) // max(len(chosen) - 1, 1))
    pause = LAYOUT_SECONDS if between else 2 * FRAME_SECONDS
    frames = np.empty(((len(chosen) - 1) * (between + 1) + 1, CHART_HEIGHT, CHART_WIDTH), dtype=np.uint16)
    seconds: list[float] = []
    for now, following in pairwise(range(len(chosen))):
        for part in range(between + 1):
            share = part / (between + 1)
            eased = share**2 * (3 - 2 * share)  # smoothstep: starts and stops slowly
            # NaN in the next layout: the sample disappears as the interpolation begins
            shown = pixels[now] + eased * (pixels[following] - pixels[now]) if part else pixels[now]
            shown_names = {
                name: _interpolated(place, names[following].get(name, place), eased)
                for name, place in names[now].items()
            }
            frame, time = frames[len(seconds)], (now + share) / (len(chosen) - 1)
            _draw_frame(frame, sheets[now], box, shown, shown_names, style, time)
            seconds.append(FRAME_SECONDS if part else pause)
    _draw_frame(frames[-1], sheets[-1], box, pixels[-1], names[-1], style, 1.0)
    return Animation(frames, class_palette(len(names_of_classes)), [*seconds, LAST_LAYOUT_SECONDS])


def projection_film(
    layouts: Sequence[Layout],
    labels: Labels,
    class_names: ClassNames,
    *,
    method: Method,
    titles: Sequence[str],
    numbers: Sequence[LayoutQuality] | None = None,
) -> Encoded:
    """Encodes a `projection_animation` as an animated PNG, to be kept as a file.

    Example:
        >>> layouts = [Layout(np.random.default_rng(seed).normal(size=(20, 2)), None) for seed in range(2)]
        >>> film = projection_film(layouts, np.repeat([0, 1], 10), ["cat", "dog"], method="pca", titles=["1", "2"])
        >>> film.height, film.width, film.kept
        (700, 750, True)
    """
    animation = projection_animation(layouts, labels, class_names, method=method, titles=titles, numbers=numbers)
    _, height, width = animation.frames.shape
    return Encoded(apng(animation), height, width, kept=True)


def _draw_frame(
    canvas: Canvas,
    sheet: Canvas,
    box: PlotArea,
    pixels: npt.NDArray[np.floating],
    names: dict[int, tuple[float, float]],
    style: Scatter,
    time: float,
) -> None:
    canvas[:] = sheet
    draw_points(canvas, pixels, style.classes, style.radius)
    draw_names(canvas, names, style)
    canvas[box.bottom - 4 : box.bottom, box.left : round(box.left + time * (box.right - box.left))] = INK_SHADES // 2


def _interpolated(start: tuple[float, float], end: tuple[float, float], share: float) -> tuple[float, float]:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def apng(animation: Animation) -> bytes:
    """Encodes an animation as an animated PNG that loops forever; viewers without APNG support show the first frame.

    Example:
        >>> animation = Animation(np.eye(2, dtype=np.uint16)[None], np.uint8([[255, 255, 255], [0, 0, 0]]), [1.0])
        >>> apng(animation)[1:4]
        b'PNG'
    """
    if len(animation.colours) <= MAX_PALETTE_SIZE:
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
