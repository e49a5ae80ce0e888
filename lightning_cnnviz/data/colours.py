"""The colours in which a model's inputs are shown as images."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lightning_cnnviz.errors import whole_number

TOLERANCE = 0.02
"""By how much an image may leave 0…1 once its normalisation is undone, as after interpolation."""


class Normalization(NamedTuple):
    """Mean and standard deviation of each channel, by which images were normalised: (image - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def given(cls, mean: Any, std: Any) -> "Normalization | None":
        """Checks what a user has given; None if it is nothing.

        Raises:
            ValueError: If only one of both is given, they differ in length, or a deviation is not positive.
        """
        if mean is None and std is None:
            return None
        found = _normalization(mean, std)
        if found is None:
            raise ValueError(
                f"expected mean and std with one number per channel, std above 0, got {mean!r} and {std!r}"
            )
        return found


class Colours(NamedTuple):
    """How inputs become images.

    Attributes:
        normalization: What is undone first.
        low: Value that becomes black.
        high: Value that becomes white.
        bands: Channels to show, three as red, green and blue or a single one; None for all.
        note: What a reader of the image has to know.
    """

    normalization: Normalization | None = None
    low: float = 0.0
    high: float = 1.0
    bands: tuple[int, ...] | None = None
    note: str = ""

    @classmethod
    def of(
        cls, inputs: Tensor, normalization: Normalization | None = None, bands: Sequence[int] | None = None
    ) -> "Colours":
        """Finds the colours of a set of inputs: their own where they can be known, otherwise one scale for all.

        Args:
            inputs: Shape (samples, channels, *size); others are left to be drawn one by one.
            normalization: What the inputs were normalised by, if anything is known of it. It is not undone where the
                result is no image, or where the inputs already are one.
            bands: Channels to show, three or one.

        Raises:
            ValueError: If the inputs have no such bands.

        Example:
            >>> Colours.of(torch.tensor([[[[-1.0, 1.0]]]]), Normalization((0.5,), (0.5,))).note
            ''
            >>> Colours.of(torch.tensor([[[[-1.0, 1.0]]]])).note
            'one colour scale for all samples: -1…1'
        """
        if inputs.ndim < 3 or not inputs.numel():
            return cls()
        channels = inputs.shape[1]
        if bands is not None and max(bands) >= channels:
            raise ValueError(f"expected bands below the inputs' {channels} channels, got {list(bands)}")
        shown = channels if bands is None else len(bands)
        notes = [] if shown in (1, 3) else [f"mean over {shown} bands"]
        own = cls(None, 0.0, 1.0, None if bands is None else tuple(bands))
        candidates = [own]
        if inputs.dtype == torch.uint8:
            candidates = [own._replace(high=255.0)]
        elif normalization is not None and len(normalization.mean) in (1, channels):
            undone = own._replace(normalization=normalization)
            candidates += [undone, undone._replace(high=255.0)]
        for colours in candidates:
            values = colours._values(inputs)
            spare = TOLERANCE * colours.high
            low, high = float(values.min()), float(values.max())
            if -spare <= low and high <= colours.high + spare and (colours.high == 1 or high > 2):
                return colours._replace(note="; ".join(notes))
        low, high = _range(own._values(inputs))
        notes.append(f"one colour scale for all samples: {low:.3g}…{high:.3g}")
        return own._replace(low=low, high=high, note="; ".join(notes))

    def images(self, inputs: Tensor) -> Tensor:
        """Converts inputs to images.

        Args:
            inputs: Shape (samples, channels, *size).

        Returns:
            uint8 of shape (samples, 1 or 3, *size); inputs of another shape, or not finite, as they are.
        """
        if inputs.ndim < 3:
            return inputs
        values = self._values(inputs)
        if not values.isfinite().all():
            return inputs  # drawn one by one, with what is not finite marked
        values = values if values.shape[1] in (1, 3) else values.mean(dim=1, keepdim=True)
        share = (values - self.low) / ((self.high - self.low) or 1)
        return (255 * share.clamp(0, 1)).round().to(torch.uint8)

    def _values(self, inputs: Tensor) -> Tensor:
        values = inputs.detach().cpu().float()
        if self.normalization is not None:
            shape = (1, -1, *[1] * (inputs.ndim - 2))
            mean, std = (torch.tensor(part).reshape(shape) for part in self.normalization)
            values = values * std + mean
        return values if self.bands is None else values[:, list(self.bands)]


def check_bands(bands: Sequence[int]) -> list[int]:
    """Checks the channels that a user wants to be shown.

    Raises:
        ValueError: If they are not one or three indices.

    Example:
        >>> check_bands((3, 2, 1))
        [3, 2, 1]
    """
    try:
        found = [whole_number(band, "bands", at_least=0) for band in bands]
    except (TypeError, ValueError):
        found = []
    if len(found) not in (1, 3):
        raise ValueError(f"expected bands to be three channels, as red, green and blue, or one, got {bands!r}")
    return found


def normalization_in(transforms: Any) -> Normalization | None:
    """Finds the `Normalize` in the transforms of a dataset, of torchvision, albumentations, timm or the like.

    Args:
        transforms: A transform, or any nesting of composed ones.

    Returns:
        None if there is none, several, or one that normalises by something else.

    Example:
        >>> from torchvision.transforms import v2
        >>> normalization_in(v2.Compose([v2.ToImage(), v2.Normalize([0.5], [0.25])]))
        Normalization(mean=(0.5,), std=(0.25,))
    """
    found = list(_normalizing(transforms, depth=6))
    return found[0] if len(found) == 1 else None


def _normalizing(transform: Any, depth: int) -> Iterator[Normalization | None]:
    if transform is None or depth == 0:
        return
    if type(transform).__name__.startswith("Normalize") and hasattr(transform, "mean"):
        standard = getattr(transform, "normalization", "standard") == "standard"  # albumentations has others
        yield _normalization(transform.mean, getattr(transform, "std", None)) if standard else None
        return
    parts = [getattr(transform, name, None) for name in ("transform", "transforms")]
    for part in [*parts, transform]:
        if isinstance(part, (list, tuple)):
            yield from (found for each in part for found in _normalizing(each, depth - 1))
        elif isinstance(part, nn.Sequential):
            yield from (found for each in part.children() for found in _normalizing(each, depth - 1))
        elif part is not None and part is not transform:
            yield from _normalizing(part, depth - 1)


def _normalization(mean: Any, std: Any) -> Normalization | None:
    try:
        means, deviations = (np.atleast_1d(np.asarray(part, dtype=np.float64)).tolist() for part in (mean, std))
    except (TypeError, ValueError):
        return None
    fits = len(means) == len(deviations) and all(np.isfinite(means)) and all(part > 0 for part in deviations)
    return Normalization(tuple(means), tuple(deviations)) if fits else None


def _range(values: Tensor) -> tuple[float, float]:
    finite = values[values.isfinite()]
    return (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 1.0)
