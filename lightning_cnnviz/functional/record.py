"""Data of the CNN Viz tab: named arrays with a few words about them, instead of a finished picture."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.image import Array, ArrayLike, photograph, planes, to_array
from lightning_cnnviz.functional.kernels import Channel, shown_weights

SCHEMA = 1
"""Version of the data. The tab reads this and older ones."""
MOST_SIDE, MOST_BYTES = 64, 2**17
"""Pixels of a map, and bytes of all maps of a layer: of larger ones the mean over squares is kept."""
THUMBNAIL, SMALL_THUMBNAIL, MANY = 32, 16, 1500
"""Pixels of a sample, and of one of many."""


class Record(NamedTuple):
    """What the tab shows of one thing at one step.

    Attributes:
        kind: What it is, e.g. `"kernels"`.
        names: Which of them: `"layer"`, `"method"`, `"view"`, as far as they apply.
        info: What JSON can hold.
        arrays: Name → array of a dtype that the tab reads: uint8, int16, int32, float16 or float32.
    """

    kind: str
    names: Mapping[str, str]
    info: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]

    @property
    def tag(self) -> str:
        """`cnnviz/<kind>`, and the names behind it; what TensorBoard's fast loader can't read is written as `%22`.

        Example:
            >>> Record("kernels", {"layer": 'the "first"'}, {}, {}).tag
            'cnnviz/kernels/the %22first%22'
        """
        plain = "/".join(["cnnviz", self.kind, *self.names.values()])
        return re.sub(r'["\\\x00-\x1f%]', lambda found: f"%{ord(found[0]):02X}", plain)

    def size(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def metadata(self) -> bytes:
        """Schema version, kind and names as JSON."""
        return json.dumps({"schema": SCHEMA, "kind": self.kind, **self.names}).encode()

    def packed(self) -> tuple[bytes, bytes]:
        """Header as JSON, and the arrays' bytes behind one another, little-endian.

        Example:
            >>> header, payload = Record("kernels", {"layer": "conv1"}, {}, {"low": np.zeros(2, np.float32)}).packed()
            >>> header
            b'{"layer": "conv1", "arrays": [{"name": "low", "dtype": "float32", "shape": [2]}]}'
            >>> len(payload)
            8
        """
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        described = [
            {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)} for name, array in arrays.items()
        ]
        header = _without_nan({**self.names, **self.info, "arrays": described})
        payload = b"".join(
            array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in arrays.values()
        )
        return json.dumps(header, allow_nan=False).encode(), payload


def kernel_record(weight: ArrayLike, layer: str, *, channel: Channel = "auto", max_kernels: int = 512) -> Record:
    """The kernels of a layer as `kernel_grid` shows them; of three-dimensional ones the middle slice.

    Example:
        >>> kernel_record(np.zeros((6, 1, 5, 5)), "conv1").arrays["values"].shape
        (6, 5, 5)
    """
    values = to_array(weight)
    shown, mode = shown_weights(values, channel, max_kernels)
    flat = values[:max_kernels].reshape(len(shown), -1)
    arrays = {
        "values": shown[:, shown.shape[1] // 2].astype(np.float16),
        "low": flat.min(axis=1),
        "high": flat.max(axis=1),
    }
    info = {"channels": list(range(len(shown))), "mode": mode if isinstance(mode, str) else "slice"}
    return Record("kernels", {"layer": layer}, info, arrays)


def map_record(
    activations: ArrayLike, layer: str, *, kind: str = "feature_maps", max_channels: int = 32, known: bool = True
) -> Record:
    """Maps of a layer as bytes between each map's smallest and largest value.

    Args:
        activations: As for `feature_maps`.
        layer: Its name.
        kind: `"feature_maps"` or `"filter_response"`.
        max_channels: How many channels are kept at most, the first ones.
        known: Whether the samples are the first ones of `sample_record`; if not, they have numbers below zero.

    Example:
        >>> map_record(np.random.rand(4, 6, 28, 28), "conv1").arrays["values"].shape
        (4, 6, 28, 28)
    """
    maps = planes(to_array(activations))[:, :max_channels]
    mean = maps.mean(axis=(2, 3))
    side = int((MOST_BYTES / max(maps.shape[0] * maps.shape[1], 1)) ** 0.5)
    maps = _reduced(maps, min(MOST_SIDE, max(side, 1)))
    low, high = maps.min(axis=(2, 3)), maps.max(axis=(2, 3))
    span = (high - low)[..., None, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num((maps - low[..., None, None]) / span, nan=0, posinf=0, neginf=0)
    arrays = {"values": np.round(255 * share).astype(np.uint8), "low": low, "high": high, "mean": mean}
    info = {
        "samples": list(range(len(maps))) if known else [-1 - i for i in range(len(maps))],
        "channels": list(range(maps.shape[1])),
    }
    return Record(kind, {"layer": layer}, info, arrays)


def sample_record(images: ArrayLike, targets: ArrayLike, class_names: Sequence[str]) -> Record:
    """Samples as small pictures, with their classes.

    Args:
        images: Shape (samples, channels, *size), as for `photograph`.
        targets: Shape (samples,), class numbers; negative where unknown.
        class_names: A name for each class number.

    Example:
        >>> sample_record(np.random.rand(5, 1, 28, 28), np.zeros(5, int), ["cat"]).arrays["thumbnails"].shape
        (5, 28, 28, 3)
    """
    values = to_array(images)
    small = _reduced(planes(values), THUMBNAIL if len(values) <= MANY else SMALL_THUMBNAIL)
    pictures = np.stack([photograph(image) for image in small])
    info = {"classes": list(class_names)}
    return Record("samples", {}, info, {"targets": np.asarray(targets, dtype=np.int32), "thumbnails": pictures})


def _reduced(maps: Array, most: int) -> Array:
    """Means over squares, so that neither height nor width is above `most`; a rest at the edges is left out."""
    height, width = maps.shape[2:]
    factor = -(-max(height, width) // most)
    if factor == 1:
        return maps
    down, across = min(factor, height), min(factor, width)
    squares = maps[:, :, : height // down * down, : width // across * across]
    shape = (*maps.shape[:2], height // down, down, width // across, across)
    return np.asarray(squares.reshape(shape).mean(axis=(3, 5)), dtype=np.float32)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
