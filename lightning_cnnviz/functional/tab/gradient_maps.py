"""Gradients with respect to activations as data for the tab, beside the activations and their samples."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.image import Array, ArrayLike
from lightning_cnnviz.functional.tab.data import TabData, map_tab_data, with_samples
from lightning_cnnviz.functional.tab.stored_maps import stored_maps

ZERO, LARGEST = 128, 127
"""The byte of a gradient of exactly zero, and how far from it that of the largest magnitude of a map is."""


def gradient_map_tab_data(
    activations: ArrayLike,
    gradients: ArrayLike,
    layer: str,
    *,
    images: ArrayLike,
    targets: ArrayLike,
    class_names: Sequence[str],
    max_channels: int = 32,
    predicted: Sequence[int] | None = None,
) -> TabData:
    """Returns the activations of a layer, the gradients with respect to them, and thumbnails of the samples.

    Each map of gradients is scaled to its largest magnitude, symmetrically around zero, which stays exactly zero. The
    range of a map with a value that is not finite is not finite either.

    Args:
        activations: Shape (samples, channels, *size), as for `feature_maps`.
        gradients: Of a loss with respect to them, likewise.
        layer: Name of the layer.
        images: The samples, shape (samples, channels, *size), as for `photograph`.
        targets: Class indices, shape (samples,), negative if unknown.
        class_names: A name for each class index.
        max_channels: Maximum number of channels kept, starting from the first.
        predicted: The predicted class index of each sample, if that is known.

    Raises:
        ValueError: If there is not one gradient for each activation.

    Example:
        >>> maps, images = np.random.rand(4, 6, 28, 28), np.random.rand(4, 1, 28, 28)
        >>> batch = {"images": images, "targets": np.zeros(4, int), "class_names": ["cat"]}
        >>> record = gradient_map_tab_data(maps, maps - 0.5, "conv1", **batch)
        >>> record.arrays["gradients"].shape, record.arrays["gradient_low"].shape
        ((4, 6, 28, 28), (4, 6))
    """
    if tuple(activations.shape) != tuple(gradients.shape):
        raise ValueError(
            f"expected a gradient for each activation, got shapes {(*activations.shape,)} and {(*gradients.shape,)}"
        )
    record = map_tab_data(activations, layer, kind="gradient_maps", max_channels=max_channels, predicted=predicted)
    maps = stored_maps(gradients, max_channels)
    low, high = maps.min(axis=(2, 3)), maps.max(axis=(2, 3))
    scaled = signed_bytes(maps, np.maximum(-low, high))
    signed = {"gradients": scaled, "gradient_low": low, "gradient_high": high}
    arrays = {**record.arrays, **signed}
    # The range of what these maps are averages of is not known.
    info = {name: value for name, value in record.info.items() if name != "reduced"}
    own = TabData("gradient_maps", {"layer": layer}, info, arrays)
    return with_samples(lambda: own, images, targets, class_names)


def signed_bytes(maps: Array, largest: Array) -> npt.NDArray[np.uint8]:
    """Converts maps to bytes, symmetric around 128, the byte of zero.

    Args:
        maps: Shape (..., height, width); what is not finite becomes zero.
        largest: Magnitude that becomes 127 from it, shape (...).

    Example:
        >>> signed_bytes(np.float32([[[-2, 0, 1]]]), np.float32([2])).tolist()
        [[[1, 128, 192]]]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num(maps / largest[..., None, None], nan=0, posinf=0, neginf=0)
    return np.asarray(np.rint(LARGEST * share) + ZERO, dtype=np.uint8)
