"""The patches of a data set that excite the channels of layers most and least, found batch by batch."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_cnnviz.functional.drawing.image import Array
from lightning_cnnviz.functional.units.patch_cutting import BatchImages, PatchCutter, seen_pixels
from lightning_cnnviz.functional.units.patch_sheet import PATCH_SIZE, Patches
from lightning_cnnviz.model.receptive_field import ReceptiveField

ENDS = 2
"""Those that excite a channel most, and those that excite it least, whose values count as negative."""
SMALLEST = 16
"""Side, in pixels, to which patches are averaged at most."""
CHUNK = 64
"""Patches that are cut out of the inputs at a time, which bounds the memory of large ones."""


class Ranks(NamedTuple):
    """The best of each end and channel so far, the best first; each of shape (ends, channels, patches).

    Attributes:
        scores: Activation, negative at the lower end; -∞ where there is no patch yet.
        samples: Number of the sample in the pass.
        places: Index of the unit in its map, row by row.
        classes: Class index of the sample, -1 if unknown.
        slots: Where patch and heat map are kept, as one of the patches of its end and channel.
    """

    scores: Tensor
    samples: Tensor
    places: Tensor
    classes: Tensor
    slots: Tensor


class Staged(NamedTuple):
    """What a batch changes, while it is not certain yet that the run of the layer counts.

    Attributes:
        ranks: As they would be.
        fresh: Which of these are of this batch, a mask of the same shape.
        rows: Of which row of the batch, if they are; of the same shape.
        maps: Their channel's map, shape (chosen, height, width).
        chosen: Indices into the flat ranks to which these belong: the fresh ones, or all. Where there are none, the
            other tensors are empty, but for the ranks.
        non_finite: Number of maps with values that are not finite, which are left out.
    """

    ranks: Ranks
    fresh: Tensor
    rows: Tensor
    maps: Tensor
    chosen: Tensor
    non_finite: Tensor


class PatchRanking:
    """Ranks the maps of a layer by their largest and by their smallest value, and keeps what the best units see.

    The result is that of sorting all samples at once: of equal values the first in order counts, in a map the first
    row by row. Everything stays on the device, without waiting for it; only patches that are among the best are cut
    out of the inputs, and replace others.

    Args:
        patches: Number of patches of each channel and end.
        channels: Maximum number of channels, the first ones.
        max_values: Pixel values that are kept, about; larger patches are averaged further. Default: all those of
            patches of `PATCH_SIZE` pixels.

    Example:
        >>> from lightning_cnnviz.model.receptive_field import unknown_field
        >>> ranking, inputs = PatchRanking(patches=1, channels=8), torch.rand(3, 1, 6, 6)
        >>> maps = torch.tensor([1.0, 3.0, 2.0]).reshape(3, 1, 1, 1).expand(3, 2, 6, 6)
        >>> ranking.commit(ranking.stage(maps), BatchImages(inputs), None, unknown_field((6, 6), (6, 6)), first=0)
        >>> found = ranking.patches()
        >>> found.values.tolist(), found.samples[0].tolist()
        ([[3.0, 1.0], [3.0, 1.0]], [1, 0])
    """

    def __init__(self, patches: int, channels: int, max_values: int | None = None) -> None:
        self._patches = patches
        self._channels = channels
        self._max_values = max_values
        self._ranks: Ranks | None = None
        self._all_channels = 0
        self._map_size = torch.Size()
        self._images: Tensor | None = None
        self._maps: Tensor | None = None
        self._cutter: PatchCutter | None = None  # made at the first batch
        self._non_finite: Tensor | None = None

    def fits(self, maps: Tensor) -> bool:
        """Whether maps, shape (samples, channels, height, width), are as large as those before."""
        return self._ranks is None or self._map_size == maps.shape[2:]

    def stage(self, maps: Tensor) -> Staged:
        """Ranks a batch's maps, and changes nothing.

        Args:
            maps: Shape (samples, channels, height, width), as the layer has returned them.

        Raises:
            ValueError: If their size has changed.
        """
        shown = maps.detach()[:, : self._channels]
        shown = shown if shown.stride(-1) == 1 else shown.contiguous()  # reducing a strided dimension is slow
        if not self.fits(maps):
            raise ValueError(f"expected maps of {tuple(self._map_size)} as before, got {tuple(maps.shape[2:])}")
        self._all_channels = maps.shape[1]
        before = self._ranks or _no_ranks(self._patches, shown)
        flat, most = shown.flatten(2), self._patches
        extremes = torch.stack([flat.amax(-1).T, -flat.amin(-1).T]).float()
        finite = extremes.isfinite().all(dim=0)
        extremes = torch.where(finite, extremes, -torch.inf)
        on_cpu = shown.device.type == "cpu"
        if on_cpu and self._ranks is not None and not (extremes > before.scores[..., -1:]).any():
            nothing = before.samples.new_empty(0)
            return Staged(before, nothing, nothing, flat[:0, 0], nothing, (~finite).sum())
        scores, order = torch.cat([before.scores, extremes], dim=2).sort(dim=2, descending=True, stable=True)
        scores, order = scores[..., :most], order[..., :most]
        fresh = order >= most
        # The old ones that stay are the best of the old; the n-th new one takes the slot of the n-th that leaves.
        leaving = (~fresh).sum(dim=2, keepdim=True) + fresh.cumsum(dim=2) - 1
        slots = before.slots.gather(2, torch.where(fresh, leaving, order))
        kept, rows = order.clamp(max=most - 1), (order - most).clamp(min=0)
        # On other devices than the CPU the number of the fresh ones would have to be waited for.
        chosen = fresh.flatten().nonzero().flatten() if on_cpu else torch.arange(fresh.numel(), device=shown.device)
        chosen_maps = flat[rows.flatten()[chosen], chosen // most % shown.shape[1]]
        lower = chosen >= fresh[0].numel()
        peaks = torch.where(lower[:, None], -chosen_maps, chosen_maps).argmax(dim=1)
        places = before.places.gather(2, kept).flatten()
        places[chosen] = torch.where(fresh.flatten()[chosen], peaks, places[chosen])
        ranks = Ranks(
            scores,
            before.samples.gather(2, kept),
            places.reshape(order.shape),
            before.classes.gather(2, kept),
            slots,
        )
        return Staged(ranks, fresh, rows, chosen_maps.reshape(-1, *shown.shape[2:]), chosen, (~finite).sum())

    def commit(
        self, staged: Staged, images: BatchImages, classes: Tensor | None, field: ReceptiveField, first: int
    ) -> None:
        """Makes a batch count.

        Args:
            staged: From `stage`.
            images: What the model received.
            classes: Class indices, shape (samples,); None if they are unknown.
            field: The layer's receptive field.
            first: Number of the batch's first sample in the pass.
        """
        ranks, fresh, rows, maps, chosen, non_finite = staged
        self._non_finite = non_finite if self._non_finite is None else self._non_finite + non_finite
        if not len(chosen):
            return
        known = rows.new_full((len(images.inputs),), -1) if classes is None else classes.to(rows.device, torch.int64)
        self._ranks = ranks._replace(
            samples=torch.where(fresh, rows + first, ranks.samples),
            classes=torch.where(fresh, known[rows], ranks.classes),
        )
        if self._cutter is None:
            size = self._size(fresh.numel() * images.inputs.shape[1])
            self._cutter = PatchCutter(field, images.inputs.device, size)
        self._map_size, cutter = maps.shape[1:], self._cutter
        homes = _homes(ranks.slots).flatten()
        parts = zip(torch.split(chosen, CHUNK), torch.split(maps, CHUNK), strict=True)
        for chunk, some_maps in parts:
            places, home, new = ranks.places.flatten()[chunk], homes[chunk], fresh.flatten()[chunk]
            cut = cutter.images(images, rows.flatten()[chunk], places)
            crops = cutter.maps(some_maps.float(), places)
            if self._images is None or self._maps is None:
                self._images = cut.new_zeros(fresh.numel(), *cut.shape[1:])
                self._maps = crops.new_zeros(fresh.numel(), *crops.shape[1:])
            if rows.device.type != "cpu":
                cut = torch.where(new[:, None, None, None], cut, self._images[home])
                crops = torch.where(new[:, None, None], crops, self._maps[home])
            self._images[home], self._maps[home] = cut, crops

    def _size(self, planes: int) -> int:
        """Side up to which patches are kept, if there are so many of them and their channels together."""
        if self._max_values is None:
            return PATCH_SIZE
        side = min(max(math.sqrt(self._max_values / planes), SMALLEST), PATCH_SIZE)
        return PATCH_SIZE // math.ceil(PATCH_SIZE / side)  # drawn by a whole factor

    @property
    def non_finite(self) -> int:
        """Number of maps that were left out, as they had values that are not finite."""
        return 0 if self._non_finite is None else int(self._non_finite)

    def patches(self) -> Patches | None:
        """Returns what was found, on the CPU; None if there was no finite map to rank."""
        if self._ranks is None or self._images is None or self._maps is None or self._cutter is None:
            return None
        if not self._ranks.scores.isfinite().any():
            return None
        ranks, field = self._ranks, self._cutter.field
        most = ranks.scores.shape[2]

        def by_channel(tensor: Tensor) -> Tensor:  # first those that excite most, then those that excite least
            return tensor.cpu().transpose(0, 1).flatten(1)

        places, order = by_channel(ranks.places), by_channel(_homes(ranks.slots))
        width = self._map_size[1]
        at = torch.stack([places // width, places % width], dim=-1)
        values = torch.cat([by_channel(ranks.scores[:1]), -by_channel(ranks.scores[1:])], dim=1)
        images = self._images.cpu()[order]
        return Patches(
            values=_numbers(torch.where(values.isfinite(), values, torch.nan)),
            samples=by_channel(ranks.samples).numpy(),
            places=at.numpy(),
            boxes=field.boxes(at).numpy(),
            classes=by_channel(ranks.classes).numpy(),
            images=_numbers(images),
            seen=seen_pixels(field, at, (images.shape[-2], images.shape[-1])).numpy(),
            maps=_numbers(self._maps.cpu()[order]),
            most=most,
            total=self._all_channels,
            size=field.patch_size,
            whole=field.patch_size == (field.rows.pixels, field.columns.pixels),
            source=field.source,
            non_finite=self.non_finite,
        )


def _numbers(values: Tensor) -> Array:
    """As NumPy has them, which has no bfloat16."""
    return (values.float() if values.element_size() < 4 else values).numpy()


def _no_ranks(patches: int, maps: Tensor) -> Ranks:
    shape = (ENDS, maps.shape[1], patches)
    scores = torch.full(shape, -torch.inf, device=maps.device)
    nothing = torch.full(shape, -1, dtype=torch.int64, device=maps.device)
    return Ranks(
        scores, nothing, nothing.clamp(min=0), nothing, torch.arange(patches, device=maps.device).expand(shape)
    )


def _homes(slots: Tensor) -> Tensor:
    """Where among all patches that are kept each is, of the same shape."""
    rows = torch.arange(slots.shape[0] * slots.shape[1], device=slots.device).reshape(*slots.shape[:2], 1)
    return rows * slots.shape[2] + slots
