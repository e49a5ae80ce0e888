"""Cutting patches out of inputs, and the maps over them, without waiting for the device."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_cnnviz.model.field_axis import Axis
from lightning_cnnviz.model.receptive_field import ReceptiveField


class BatchImages:
    """A batch's inputs, averaged to smaller ones once for all layers whose patches are whole images.

    Args:
        inputs: What the model received, shape (samples, channels, height, width).
    """

    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs if inputs.is_floating_point() else inputs.float()
        self._smaller: dict[int, Tensor] = {}

    def up_to(self, size: int) -> Tensor:
        """Returns them with a longer side of at most so many pixels."""
        if size not in self._smaller:
            self._smaller[size] = _reduced(self.inputs, size)
        return self._smaller[size]


class PatchCutter:
    """Cuts patches out of inputs, and the part of the maps over them; its indices stay on the device.

    Args:
        field: The layer's receptive field.
        device: That of the inputs.
        size: Longer side up to which patches are kept, in pixels; larger ones are averaged.

    Example:
        >>> from lightning_cnnviz.model.receptive_field import receptive_fields
        >>> net, inputs = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3)), torch.arange(25.0).reshape(1, 1, 5, 5)
        >>> cutter = PatchCutter(receptive_fields(net, inputs, ["0"])["0"], inputs.device, size=64)
        >>> cutter.images(BatchImages(inputs), torch.tensor([0]), torch.tensor([4]))[0, 0].tolist()
        [[6.0, 7.0, 8.0], [11.0, 12.0, 13.0], [16.0, 17.0, 18.0]]
    """

    def __init__(self, field: ReceptiveField, device: torch.device, size: int) -> None:
        self.field = field
        self._size = size
        self._axes = field.rows, field.columns
        self._whole = field.patch_size == (field.rows.pixels, field.columns.pixels)
        # For each side the pixels of each place's patch, shape (places, pixels).
        self._half = [_half(axis) for axis in self._axes]
        self._pixels = [_pixels(axis).clamp(0, axis.pixels - 1).to(device) for axis in self._axes]

    def images(self, images: BatchImages, rows: Tensor, places: Tensor) -> Tensor:
        """Patches of shape (patches, channels, height, width); what is outside repeats the border."""
        if self._whole:
            return images.up_to(self._size)[rows]
        width = len(self._axes[1].low)
        top, left = self._pixels[0][places // width], self._pixels[1][places % width]
        cut = images.inputs[rows[:, None, None], :, top[:, :, None], left[:, None, :]].permute(0, 3, 1, 2)
        return _reduced(cut, self._size)

    def maps(self, maps: Tensor, places: Tensor) -> Tensor:
        """The maps around their units as far as the patch reaches, NaN outside them; (patches, height, width)."""
        height, width = maps.shape[1:]
        half = self._half
        if all(2 * reach + 1 >= 2 * size - 1 for reach, size in zip(half, (height, width), strict=True)):
            return maps
        padded = F.pad(maps, (half[1], half[1], half[0], half[0]), value=torch.nan)
        top = (places // width)[:, None] + torch.arange(2 * half[0] + 1, device=maps.device)
        left = (places % width)[:, None] + torch.arange(2 * half[1] + 1, device=maps.device)
        index = torch.arange(len(maps), device=maps.device)
        return padded[index[:, None, None], top[:, :, None], left[:, None, :]]


def _pixels(axis: Axis) -> Tensor:
    return torch.from_numpy(axis.first())[:, None] + torch.arange(axis.extent)


def _half(axis: Axis) -> int:
    """Places of the map on each side of a unit whose middle lies within its patch; all, for the whole image."""
    if axis.extent == axis.pixels:
        return len(axis.low) - 1
    step = axis.step if axis.size else axis.pixels / len(axis.low)
    return int((axis.extent - 1) / 2 / step)


def _reduced(images: Tensor, size: int) -> Tensor:
    """Averages images over areas so that the longer side is at most `size`; smaller ones stay."""
    longer = max(images.shape[2:])
    if longer <= size:
        return images
    height, width = (max(1, round(side * size / longer)) for side in images.shape[2:])
    return F.adaptive_avg_pool2d(images, (height, width))


def _seen(axis: Axis, at: Tensor) -> Tensor:
    """Which pixels of its patch a unit depends on, shape (..., pixels)."""
    low, high = torch.from_numpy(axis.low)[at][..., None], torch.from_numpy(axis.high)[at][..., None]
    pixels = _pixels(axis)[at]
    return (low <= pixels) & (pixels <= high)


def seen_pixels(field: ReceptiveField, at: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns which pixels of kept patches their units depend on, shape (..., height, width).

    Args:
        field: The layer's receptive field.
        at: Row and column of each unit in its map, shape (..., 2).
        size: Height and width of the kept patches.
    """
    rows, columns = (_seen(axis, at[..., side]) for side, axis in enumerate((field.rows, field.columns)))
    kept = []
    for line, pixels in zip((rows, columns), size, strict=True):
        middle = ((torch.arange(pixels) + 0.5) * line.shape[-1] / pixels).long()
        kept.append(line[..., middle])
    return kept[0][..., :, None] & kept[1][..., None, :]
