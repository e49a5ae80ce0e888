"""Kernel grids of VGG-16's five blocks: a picture each, against a matplotlib axis for every kernel."""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from io import BytesIO

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.measure import paired_ratio
from benchmarks.rows import Row
from benchmarks.settings import Settings
from lightning_cnnviz.functional.drawing.encode import encode
from lightning_cnnviz.functional.kernels import kernel_grid
from lightning_cnnviz.output.event_file import image_summary
from recipes.vgg16 import VGG16

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


def rows(settings: Settings) -> Iterator[Row]:
    """Seconds from weights to PNG, all five layers, as a ratio to the tutorial's way."""
    torch.manual_seed(0)
    model = VGG16()
    layers = LAYERS[:1] if settings.quick else LAYERS
    weights = [model.get_submodule(name).weight.detach() for name in layers]
    ours = [_seconds(_picture, weights) for _ in range(13)][3:]  # the first ones load fonts and get memory
    theirs = [_seconds(_axes, weights) for _ in range(1 if settings.quick else 2)]
    again = [_seconds(_picture, weights) for _ in range(10)]
    ratio = statistics.median(ours + again) / statistics.median(theirs)
    _, floor = paired_ratio(again, ours)
    kernels = sum(map(len, weights))
    yield Row(
        f"VGG-16: {kernels:,} kernels of {len(weights)} blocks, drawn and encoded",
        ratio,
        "× the tutorial's way",
        floor=floor,
        at_most=1 / 500,
        note=f"(1/{1 / ratio:.0f}: {statistics.median(ours) * 1000:.0f} ms, {statistics.median(theirs):.1f} s); "
        "bare / bare: ours against itself",
        samples={"seconds": ours + again, "seconds_tutorial": theirs},
    )


def _seconds(draw: Callable[[Tensor], None], weights: list[Tensor]) -> float:
    start = time.perf_counter()
    for weight in weights:
        draw(weight)
    return time.perf_counter() - start


def _picture(weight: Tensor) -> None:
    image_summary("kernels", encode(kernel_grid(weight, max_kernels=len(weight), title="kernels")))


def _axes(weight: Tensor) -> None:
    columns = math.ceil(math.sqrt(len(weight)))
    figure = Figure(figsize=(columns, columns))
    FigureCanvasAgg(figure)
    for number, kernel in enumerate(weight[:, 0].numpy(), start=1):
        axis = figure.add_subplot(columns, columns, number)
        axis.imshow(kernel, cmap="gray")
        axis.axis("off")
    figure.savefig(BytesIO(), format="png")
