"""Sheet of the patches of real samples that excite the channels of a layer most and least."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.caption import (
    PICTURE_MARGIN,
    beside,
    colour_scale,
    stack,
    text_line,
    titled,
)
from lightning_cnnviz.functional.drawing.colours import SEQUENTIAL
from lightning_cnnviz.functional.drawing.image import Array, Picture, finite_range, sequential, tile
from lightning_cnnviz.functional.drawing.photograph import photograph
from lightning_cnnviz.functional.drawing.samples import enlarged

if TYPE_CHECKING:
    from lightning_cnnviz.data.colours import Colours

PATCH_SIZE = 64
"""Longer side, in pixels, of a patch on the sheet, and up to which patches are kept; larger ones are averaged."""
CELL_WIDTH, END_GAP = 72, 24
OUTSIDE = 178
"""Grey of what a unit does not see, as beyond the border of the image; a checked pattern with a lighter one."""


class Patches(NamedTuple):
    """Patches that excite the channels of a layer most and least.

    For each channel first come those that excite it most, the strongest first, then as many that excite it least, the
    weakest first.

    Attributes:
        values: Activation of the unit, shape (channels, patches); NaN where there is no patch.
        samples: Number of the sample in the pass, from 0, shape (channels, patches).
        places: Row and column of the unit in its map, shape (channels, patches, 2).
        boxes: Pixels of the input that the unit depends on: top, left, bottom and right, the last two not included,
            shape (channels, patches, 4).
        classes: Class index of the sample, -1 if unknown, shape (channels, patches).
        images: The patches, shape (channels, patches, image channels, height, width).
        seen: Which of their pixels the unit depends on, shape (channels, patches, height, width).
        maps: Activations of the channel around the unit, over the patch; NaN beyond the map. Shape (channels, patches,
            height, width).
        most: Number of patches that excite a channel most.
        total: Number of channels of the layer.
        size: Height and width of the patches in the input.
        whole: Whether these are those of the input.
        source: Where that is from: `"geometry"`, `"gradient"` or `"unknown"`.
        non_finite: Number of maps that were left out because of values that are not finite.
    """

    values: Array
    samples: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    images: npt.NDArray[np.generic]
    seen: npt.NDArray[np.bool_]
    maps: Array
    most: int
    total: int
    size: tuple[int, int]
    whole: bool
    source: str
    non_finite: int

    def in_colours(self, colours: "Colours") -> "Patches":
        """Converts the patches to images, uint8 of one or three channels."""
        import torch  # here, since pictures are drawn in a process without it

        flat = torch.from_numpy(self.images.reshape(-1, *self.images.shape[2:]))
        shown = colours.images(flat).numpy()
        return self._replace(images=shown.reshape(*self.images.shape[:2], *shown.shape[1:]))


def patch_sheet(
    patches: Patches, class_names: Sequence[str] | None = None, *, title: str = "", note: str = ""
) -> Picture:
    """Draws, in a row for each channel, the patches that excite it most and those that excite it least.

    Under each patch are the channel's activations over it, then the activation of the unit in the middle and the class
    of the sample. Activations of a channel have one colour scale, from its smallest (dark) to its largest (bright).
    What lies beyond the border of the image or the map is checked.

    Args:
        patches: From `find_patches`.
        class_names: Names by class index. Default: the indices.
        title: Written above the rows, e.g. layer and step.
        note: An additional line of text.

    Returns:
        Height × width × 3, uint8.

    Raises:
        ValueError: If there is no channel.

    Example:
        >>> import torch
        >>> from lightning_cnnviz.functional.units.patch_search import find_patches
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3))
        >>> found = find_patches(net, torch.rand(9, 1, 12, 12), "0", patches=2)
        >>> patch_sheet(found, title="conv1").shape[2]
        3
    """
    if not len(patches.values):
        raise ValueError("expected at least one channel, got none")
    rows = [_row(patches, channel, class_names) for channel in range(len(patches.values))]
    shown, total = len(rows), patches.total
    which = f"{shown} of {total} channels, {total - shown} left out" if shown < total else f"{total} channels"
    count = patches.values.shape[1] - patches.most
    return titled(
        stack(*rows, gap=PICTURE_MARGIN),
        title,
        f"{patches.most} patches that excite each channel most, {count} that excite it least · {which}",
        _size_note(patches),
        "under each the channel's activations, each row on its own scale; then the unit's activation and the class",
        f"{patches.non_finite} maps with values that are not finite left out" if patches.non_finite else "",
        "" if (patches.classes >= 0).any() else "classes unknown",
        note,
        scale=colour_scale(SEQUENTIAL, "lowest", "highest"),
    )


def _size_note(patches: Patches) -> str:
    height, width = patches.size
    sources = {"geometry": "", "gradient": ", found by gradients", "unknown": ", since what a unit sees is unknown"}
    if patches.whole:
        reason = sources[patches.source] or ", which is what a unit sees or less"
        return f"patches are whole samples of {height}×{width} pixels{reason}"
    return f"patches of {height}×{width} pixels: what a unit sees{sources[patches.source]}; checked: outside"


def _row(patches: Patches, channel: int, class_names: Sequence[str] | None) -> Picture:
    low, high = finite_range(patches.maps[channel][np.isfinite(patches.values[channel])])
    cells = [_cell(patches, channel, place, (low, high), class_names) for place in range(patches.values.shape[1])]
    parts = {f"channel {channel}: most": cells[: patches.most], "least": cells[patches.most :]}
    ends = [stack(text_line(name), beside(*part, gap=4), gap=0) for name, part in parts.items() if part]
    return beside(*ends, gap=END_GAP)


def _cell(
    patches: Patches, channel: int, place: int, limits: tuple[float, float], class_names: Sequence[str] | None
) -> Picture:
    value, label = float(patches.values[channel, place]), int(patches.classes[channel, place])
    image = np.asarray(patches.images[channel, place])
    exists = np.isfinite(value)
    pixels = photograph(image) if exists else np.full((*image.shape[1:], 3), 255, dtype=np.uint8)
    values = patches.maps[channel, place]
    heat = sequential(np.nan_to_num(values), *limits)
    seen, known = patches.seen[channel, place], np.isfinite(values)
    parts = [_framed(pixels, seen & exists), _framed(heat, known & exists)]
    named = class_names is not None and 0 <= label < len(class_names)
    words = str(class_names[label]) if named and class_names is not None else str(label) if label >= 0 else ""
    lines = [f"{value:.3g}" if exists else "", *([words] if (patches.classes >= 0).any() else [])]
    return stack(*parts, *(text_line(line, CELL_WIDTH) for line in lines), gap=2)


def _framed(pixels: Picture, inside: npt.NDArray[np.bool_]) -> Picture:
    """A cell with what is not inside checked, at the middle of the width of a column."""
    cell = enlarged(pixels, PATCH_SIZE)
    mask = inside.repeat(cell.shape[0] // len(inside), axis=0).repeat(cell.shape[1] // inside.shape[1], axis=1)
    row, column = np.indices(mask.shape)
    checked = np.where((row // 4 + column // 4) % 2 == 0, OUTSIDE, 225).astype(np.uint8)
    cell = np.where(mask[..., None], cell, checked[..., None])
    framed = tile(cell[None], columns=1)
    spare = max(CELL_WIDTH - framed.shape[1], 0)
    return np.pad(framed, ((0, 0), (spare // 2, spare - spare // 2), (0, 0)), constant_values=255)
