"""Grid of the images that maximally excite the units of a layer."""

from collections.abc import Sequence

from lightning_cnnviz.functional.drawing.caption import beside, stack, text_line, titled
from lightning_cnnviz.functional.drawing.image import Picture, tile
from lightning_cnnviz.functional.drawing.samples import centred, drawn_sample
from lightning_cnnviz.functional.units.gradient_ascent import Excitation

IMAGE_SIZE, CELL_WIDTH = 112, 120
"""In pixels: the longer side of an image, and the width of its cell."""
MAX_UNITS_PER_ROW = 8


def excitation_grid(excitation: Excitation, names: Sequence[str] | None = None, *, title: str = "") -> Picture:
    """Draws the image found for each unit, with the unit's name, its activation, and its status unless that is "ok".

    Args:
        excitation: From `maximize`.
        names: A name for each unit of the layer, e.g. class names. Default: their indices.
        title: Written above the grid, e.g. layer and step.

    Returns:
        Height × width × 3, uint8. Images with three channels are shown as RGB, others in grey, each scaled from its
        smallest value (black) to its largest (white).

    Raises:
        ValueError: If `names` does not have one name for each unit of the layer.

    Example:
        >>> import torch
        >>> from lightning_cnnviz.functional.units.gradient_ascent import Ascent
        >>> images = torch.rand(2, 1, 28, 28)
        >>> excitation = Excitation(images, torch.tensor([3.2, 1.5]), [0, 1], 2, ["ok", "ok"], Ascent())
        >>> excitation_grid(excitation, ["cat", "dog"], title="fc").shape
        (233, 590, 3)
    """
    if names is not None and len(names) != excitation.total:
        raise ValueError(f"expected a name for each of {excitation.total} units, got {len(names)}")
    cells = []
    for image, value, unit, status in zip(*excitation[:3], excitation.status, strict=True):
        framed = centred(tile(drawn_sample(image, IMAGE_SIZE)[None], columns=1), CELL_WIDTH)
        lines = [f"unit {unit}" if names is None else names[unit], f"{float(value):.3g}"]
        lines += [] if status == "ok" else status.split(" ", 1)
        cells.append(stack(framed, *(text_line(line, CELL_WIDTH) for line in lines), gap=0))
    rows = -(-len(cells) // MAX_UNITS_PER_ROW)
    columns = -(-len(cells) // rows)
    shown, left_out = len(cells), excitation.total - len(cells)
    which = "1 unit" if shown == 1 else f"{shown} units"
    which = f"{shown} of {excitation.total} units, {left_out} left out" if left_out else which
    return titled(
        stack(*(beside(*cells[start : start + columns]) for start in range(0, shown, columns))),
        title,
        f"what excites units most, and how much · {which}",
        excitation.ascent.in_words(places=excitation.images.ndim > 2),
    )
