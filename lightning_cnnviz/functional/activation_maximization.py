"""The inputs that excite the units of a layer most, as pictures."""

from collections.abc import Sequence

from lightning_cnnviz.functional.caption import beside, stack, text_line, titled
from lightning_cnnviz.functional.feature_maps import centred, fit
from lightning_cnnviz.functional.gradient_ascent import Excitation
from lightning_cnnviz.functional.image import Picture, photograph, thicken, tile

IMAGE_SIZE, CELL_WIDTH = 112, 120
"""Pixels of an image's longer side, and of the cell around it."""
MOST_COLUMNS = 8


def excitation_grid(excitation: Excitation, names: Sequence[str] | None = None, *, title: str = "") -> Picture:
    """Draws each unit's image, under it the unit, what it gives for the image, and what went wrong, if anything.

    Args:
        excitation: From `maximize`.
        names: A name for each of the layer's units, e.g. of classes. Default: their numbers.
        title: Written above, e.g. layer and step.

    Returns:
        Height × width × 3, uint8. Images are shown as people see them: three channels as RGB, others as grey; each
        from black, its smallest value, to white.

    Raises:
        ValueError: If there are names, but not one for each unit of the layer.

    Example:
        >>> import torch
        >>> from lightning_cnnviz.functional.gradient_ascent import Ascent
        >>> images = torch.rand(2, 1, 28, 28)
        >>> excitation = Excitation(images, torch.tensor([3.2, 1.5]), [0, 1], 2, ["ok", "ok"], Ascent())
        >>> excitation_grid(excitation, ["cat", "dog"], title="fc").shape
        (233, 590, 3)
    """
    if names is not None and len(names) != excitation.total:
        raise ValueError(f"expected a name for each of {excitation.total} units, got {len(names)}")
    cells = []
    for image, value, unit, status in zip(*excitation[:3], excitation.status, strict=True):
        picture = photograph(image[None] if image.ndim == 1 else image)  # features stand side by side
        framed = centred(tile(thicken(fit(picture[None], IMAGE_SIZE)), columns=1), CELL_WIDTH)
        words = [f"unit {unit}" if names is None else names[unit], f"{float(value):.3g}"]
        words += [] if status == "ok" else status.split(" ", 1)
        cells.append(stack(framed, *(text_line(line, CELL_WIDTH) for line in words), gap=0))
    rows = -(-len(cells) // MOST_COLUMNS)
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
