"""Kernels of a convolution and their responses to one image, side by side."""

from collections.abc import Mapping

import numpy as np

from lightning_cnnviz.functional.drawing.caption import (
    beside,
    colour_scale,
    labelled,
    non_finite_note,
    stack,
    text_line,
    titled,
)
from lightning_cnnviz.functional.drawing.colours import DIVERGING
from lightning_cnnviz.functional.drawing.image import (
    ArrayLike,
    Picture,
    diverging,
    finite_limit,
    planes,
    reduced,
    thicken,
    tile,
    to_array,
)
from lightning_cnnviz.functional.drawing.samples import enlarged, reduction_note, sample_picture
from lightning_cnnviz.functional.kernels import MIN_KERNEL_SIZE

PAIRS_WIDTH = 1040
CELL_SIZE_RANGE = (48, 220)
"""In pixels: the width of a row of pairs, and the range of the longer side of a kernel or response."""


def filter_response(
    kernels: ArrayLike,
    responses: ArrayLike,
    images: Mapping[str, ArrayLike],
    *,
    max_kernels: int = 64,
    title: str = "",
    note: str = "",
) -> Picture:
    """Draws numbered pairs of a kernel (left) and its response (right), beside the images that are filtered.

    Args:
        kernels: One input channel of each kernel, shape (out_channels, *kernel_size) with one to three kernel
            dimensions; for 3-D kernels the middle slice is shown.
        responses: Shape (out_channels, *size), as returned by `filter_responses` for one sample; for volumes the
            middle slice is shown. Responses of kernels that are not drawn may be omitted.
        images: Caption → image of shape (channels, *size).
        max_kernels: Maximum number of pairs drawn, starting from the first; the picture states how many are left
            out.
        title: Written above the grid, e.g. layer and step.
        note: An additional line of text.

    Returns:
        Height × width × 3, uint8. Blue is negative, red positive, white zero, with one scale for all kernels and one
        for all responses. Non-finite values are magenta and counted.

    Raises:
        ValueError: If a response is missing, there are more responses than kernels, or there is nothing to draw.

    Example:
        >>> kernels, image = np.random.randn(6, 5, 5), np.random.rand(1, 28, 28)
        >>> filter_response(kernels, np.random.randn(6, 24, 24), {"image": image}).shape
        (445, 1256, 3)
    """
    if not 0 < min(len(kernels), max_kernels) <= len(responses) <= len(kernels):
        raise ValueError(
            f"expected a response for each kernel that is drawn, at least one, got {len(kernels)} kernels, "
            f"{len(responses)} responses and max_kernels={max_kernels}"
        )
    weights, values = (planes(to_array(part[:max_kernels])[None])[0] for part in (kernels, responses))
    limits = [float(finite_limit(part)) for part in (weights, values)]
    columns = int(np.ceil(np.sqrt(len(weights))))
    size = int(np.clip(PAIRS_WIDTH // (2 * columns), *CELL_SIZE_RANGE))
    right = thicken(enlarged(diverging(reduced(values, size), limits[1]), size))
    across = right.shape[1 if values.shape[1] > 1 else 2]  # kernels as tall as the responses, strips as long
    side = max(across, MIN_KERNEL_SIZE)
    left = thicken(enlarged(diverging(reduced(weights, side), limits[0]), side))
    height = max(left.shape[1], right.shape[1]) + 2
    pairs = [
        labelled(beside(_framed(kernel, height), _framed(response, height), gap=3), str(index))
        for index, (kernel, response) in enumerate(zip(left, right, strict=True))
    ]
    rows = [beside(*pairs[start : start + columns], gap=14) for start in range(0, len(pairs), columns)]
    sources = [sample_picture(image, [caption], max(min(size, 160), 96)) for caption, image in images.items()]
    left_out = len(kernels) - len(weights)
    return titled(
        beside(stack(*sources), stack(*rows)),
        title,
        f"{len(weights)} of {len(kernels)} kernels, {left_out} left out" if left_out else f"{len(weights)} kernels",
        note,
        reduction_note([values.shape[-2:]], size),
        non_finite_note(weights, "weights"),
        non_finite_note(values, "responses"),
        scale=beside(text_line("kernel"), _scale(limits[0]), text_line("response"), _scale(limits[1])),
    )


def _framed(cell: Picture, height: int) -> Picture:
    framed = tile(cell[None], columns=1)
    spare = height - len(framed)
    return np.pad(framed, ((spare // 2, spare - spare // 2), (0, 0), (0, 0)), constant_values=255)


def _scale(limit: float) -> Picture:
    return colour_scale(DIVERGING, f"−{limit:.3g}", f"+{limit:.3g}")
