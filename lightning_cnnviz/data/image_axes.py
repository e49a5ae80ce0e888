"""Which axis of a batch's images holds the channels, settled by what the model's first convolution receives."""

from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

CHANNELS = (1, 3, 4)
"""Lengths of a last dimension that may be that of the channels: grey, colours, and colours with opacity."""
MAX_COMPARED = 4
"""Samples of a batch that are compared with what a convolution receives."""
TOLERANCE = 1e-3
"""Share of a channel's variance that may be left, as after rounding to half precision."""


class ImageAxes:
    """Whether the images in a run's batches have shape (samples, channels, height, width), or the channels last.

    The first convolution receives the channels first. If it receives a batch's images with their last dimension moved
    to the front, each channel scaled and shifted at most, then the batch has them last. Where a last dimension is too
    long for that, channels come first, as usual. Nothing else is guessed.

    Example:
        >>> import torch
        >>> axes, batch = ImageAxes(), torch.rand(2, 8, 8, 3)
        >>> axes.settle(batch, received=(batch.permute(0, 3, 1, 2) - 0.5) / 0.25)
        >>> axes.are_last(batch), axes.planes(batch).shape
        (True, torch.Size([2, 3, 8, 8]))
    """

    _of_models: ClassVar["WeakKeyDictionary[Any, ImageAxes]"] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._last: bool | None = None
        self._words = ""  # what a look has found that settled nothing

    @classmethod
    def of(cls, model: Any) -> "ImageAxes":
        """Returns those of the run of a model."""
        return cls._of_models.setdefault(model, cls())

    @classmethod
    def forget(cls, model: Any) -> None:
        """Forgets those of a run that has ended."""
        cls._of_models.pop(model, None)

    def wants(self, inputs: Tensor) -> bool:
        """Whether a pass of the model on a batch is to be listened to."""
        return self._last is None and may_be_last(inputs)

    def settle(self, inputs: Tensor, received: Tensor | None) -> None:
        """Compares a batch with what the first convolution has received, if any has.

        Args:
            inputs: The batch's inputs.
            received: What the convolution has received of it.
        """
        fits = [last for last in (False, True) if received is not None and _same(_planes(inputs, last), received)]
        if len(fits) == 1:
            self._last = fits[0]
        elif not self._words:
            what = "no convolution has received them" if received is None else "what the first convolution receives"
            what += "" if received is None else f", {tuple(received.shape)}, is neither of them in that order"
            self._words = (
                f"lightning_cnnviz: images of shape {tuple(inputs.shape)} have their channels first or last, but "
                f"{what}; no images are shown until that is certain. Let the dataset give (channels, height, width), "
                "or forward begin with x.permute(0, 3, 1, 2)"
            )

    def are_last(self, inputs: Tensor) -> bool | None:
        """Whether the channels of inputs are last; None if that is not certain, which one line says."""
        if not may_be_last(inputs):
            return False
        if self._last is None and inputs.shape[1] in CHANNELS:
            return False
        if self._last is None and self._words:
            words, self._words = self._words, " "
            if words.strip():
                rank_zero_info(words)
        return self._last

    def planes(self, inputs: Tensor) -> Tensor:
        """Returns inputs with the channels first, as a view; as they are where that is not certain."""
        return _planes(inputs, bool(self.are_last(inputs)))


def may_be_last(inputs: Tensor) -> bool:
    """Whether the last dimension of inputs may be that of the channels, judging by the shape."""
    return inputs.ndim == 4 and inputs.shape[-1] in CHANNELS and len(inputs) > 0


def _planes(inputs: Tensor, last: bool) -> Tensor:
    return inputs.movedim(-1, 1) if last else inputs


def _same(planes: Tensor, received: Tensor) -> bool:
    """Whether what was received are these images, each channel scaled and shifted."""
    if planes.shape != received.shape or received.is_complex():
        return False
    x, y = (part.detach()[:MAX_COMPARED].double().transpose(0, 1).flatten(1).cpu() for part in (planes, received))
    x, y = (part - part.mean(dim=1, keepdim=True) for part in (x, y))
    slope = (x * y).sum(dim=1, keepdim=True) / (x * x).sum(dim=1, keepdim=True).clamp(min=1e-30)
    left, whole = ((part * part).sum(dim=1) for part in (y - slope * x, y))
    return bool((whole > 0).any()) and bool((left <= TOLERANCE * whole).all())
