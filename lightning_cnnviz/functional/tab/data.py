"""Data for the CNN Viz tab: named arrays with metadata, instead of a finished picture."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_cnnviz.functional.drawing.image import Array, ArrayLike, channel_mean, finite_range, planes, to_array
from lightning_cnnviz.functional.drawing.photograph import photographs
from lightning_cnnviz.functional.kernels import KernelSelection
from lightning_cnnviz.functional.tab.schema import SCHEMA
from lightning_cnnviz.functional.tab.stored_maps import downsampled, stored_maps

THUMBNAIL_SIZE, SMALL_THUMBNAIL_SIZE = 32, 16
"""Maximum side of a thumbnail, in pixels."""
MAX_LARGE_THUMBNAILS = 1500
"""With more samples than this, all thumbnails are small."""


class TabData(NamedTuple):
    """One record for the tab, logged at one step.

    Attributes:
        kind: Type of the record, e.g. `"kernels"`.
        names: Keys that identify it within its kind: `"layer"`, `"method"`, `"view"`, as applicable.
        info: JSON-serialisable metadata.
        arrays: Name → array of a dtype that the tab reads: int8, uint8, int16, int32, float16 or float32.
    """

    kind: str
    names: Mapping[str, str]
    info: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]

    @property
    def tag(self) -> str:
        """The tag `cnnviz/<kind>/<names>`; characters that TensorBoard's fast loader can't read are percent-encoded.

        Example:
            >>> TabData("kernels", {"layer": 'the "first"'}, {}, {}).tag
            'cnnviz/kernels/the %22first%22'
        """
        plain = "/".join(["cnnviz", self.kind, *self.names.values()])
        return re.sub(r'["\\\x00-\x1f%]', lambda found: f"%{ord(found[0]):02X}", plain)

    def size(self) -> int:
        """Returns the size of the arrays in bytes."""
        return sum(array.nbytes for array in self.arrays.values())

    def metadata(self) -> bytes:
        """Returns schema version, kind and names as JSON."""
        return json.dumps({"schema": SCHEMA, "kind": self.kind, **self.names}).encode()

    def packed(self) -> tuple[bytes, bytes]:
        """Returns a JSON header and the concatenated bytes of the arrays, little-endian.

        Example:
            >>> header, payload = TabData("kernels", {"layer": "conv1"}, {}, {"low": np.zeros(2, np.float32)}).packed()
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


def kernel_tab_data(selection: KernelSelection, layer: str, *, note: str = "") -> TabData:
    """Returns the kernels of a layer; for 3-D kernels the middle slice.

    Example:
        >>> from lightning_cnnviz.functional.kernels import select_kernels
        >>> kernel_tab_data(select_kernels(np.zeros((6, 1, 5, 5))), "conv1").arrays["values"].shape
        (6, 5, 5)
    """
    values, mode = selection.values, selection.channel
    arrays: dict[str, npt.NDArray[Any]] = {
        "values": values[:, values.shape[1] // 2].astype(np.float16),
        "low": selection.low,
        "high": selection.high,
    }
    info: dict[str, Any] = {"channels": list(range(len(values))), "mode": mode if isinstance(mode, str) else "slice"}
    info |= {} if isinstance(mode, str) else {"input": mode}
    info |= {"slice": values.shape[1] // 2, "slices": values.shape[1]} if values.shape[1] > 1 else {}
    info |= {"range": list(finite_range(arrays["values"])), **({"note": note} if note else {})}
    return TabData("kernels", {"layer": layer}, info, arrays)


class ChannelStatistics(NamedTuple):
    """Statistics of each channel over all of its values, of each sample: arrays of shape (samples, channels)."""

    low: Array
    high: Array
    mean: Array


def channel_statistics(activations: ArrayLike, max_channels: int) -> ChannelStatistics:
    """Returns the statistics of a layer's channels; not finite where a value is not.

    Args:
        activations: Shape (samples, channels, *size).
        max_channels: Maximum number of channels, starting from the first.

    Example:
        >>> channel_statistics(np.arange(12.0).reshape(1, 3, 4), max_channels=2).high
        array([[3., 7.]], dtype=float32)
    """
    values = to_array(activations[:, :max_channels] if activations.ndim > 1 else activations[:, None])
    flat = values.reshape(*values.shape[:2], -1)
    return ChannelStatistics(flat.min(axis=2), flat.max(axis=2), channel_mean(flat, axis=2))


def map_tab_data(
    activations: ArrayLike,
    layer: str,
    *,
    kind: str = "feature_maps",
    max_channels: int = 32,
    statistics: ChannelStatistics | None = None,
    predicted: Sequence[int] | None = None,
) -> TabData:
    """Returns the maps of a layer as bytes, each scaled from its smallest to its largest value.

    The samples are the first ones of `sample_tab_data`, unless the record gets its own by `with_samples`.

    `reduced` says whether the range of some channel is wider than that of its map, which is an average or a slice of
    it; then there are arrays with the ranges of the channels, too.

    Args:
        activations: As for `feature_maps`.
        layer: Name of the layer.
        kind: `"feature_maps"` or `"filter_response"`.
        max_channels: Maximum number of channels kept, starting from the first.
        statistics: Those of the channels, where `activations` are averages or slices of them.
        predicted: The predicted class index of each sample, if that is known.

    Example:
        >>> map_tab_data(np.random.rand(4, 6, 28, 28), "conv1").arrays["values"].shape
        (4, 6, 28, 28)
    """
    statistics = statistics or channel_statistics(activations, max_channels)
    maps = stored_maps(activations, max_channels)
    low, high = maps.min(axis=(2, 3)), maps.max(axis=(2, 3))
    span = (high - low)[..., None, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num((maps - low[..., None, None]) / span, nan=0, posinf=0, neginf=0)
    arrays = {"values": np.round(255 * share).astype(np.uint8), "low": low, "high": high, "mean": statistics.mean}
    info: dict[str, Any] = {"samples": list(range(len(maps))), "channels": list(range(maps.shape[1]))}
    info |= {} if predicted is None else {"predicted": list(predicted)}
    info["reduced"] = not (np.array_equal(low, statistics.low, True) and np.array_equal(high, statistics.high, True))
    if info["reduced"]:
        arrays |= {"channel_low": statistics.low, "channel_high": statistics.high}
    return TabData(kind, {"layer": layer}, info, arrays)


def sample_tab_data(
    images: ArrayLike, targets: ArrayLike, class_names: Sequence[str], split: str | None = None
) -> TabData:
    """Returns samples as thumbnails, with their classes.

    Args:
        images: Shape (samples, channels, *size), as for `photograph`.
        targets: Class indices, shape (samples,), negative if unknown.
        class_names: A name for each class index.
        split: `"train"`, `"val"` or `"test"`, if it is known which one they are from.

    Example:
        >>> sample_tab_data(np.random.rand(5, 1, 28, 28), np.zeros(5, int), ["cat"]).arrays["thumbnails"].shape
        (5, 28, 28, 3)
    """
    values = to_array(images)
    values = values[:, None] if values.ndim == 2 else values  # a waveform or a row of features
    size = THUMBNAIL_SIZE if len(values) <= MAX_LARGE_THUMBNAILS else SMALL_THUMBNAIL_SIZE
    small = downsampled(planes(values), size)
    small = small.round().astype(np.uint8) if "uint8" in str(images.dtype) else small
    pictures = photographs(small)
    info: dict[str, Any] = {"classes": list(class_names), **({"split": split} if split else {})}
    return TabData("samples", {}, info, {"targets": np.asarray(targets, dtype=np.int32), "thumbnails": pictures})


def with_samples(
    make: Callable[[], TabData], images: ArrayLike, targets: ArrayLike, class_names: Sequence[str]
) -> TabData:
    """Returns a record with the samples that it is of, where these are not the first ones of `sample_tab_data`.

    Args:
        make: Makes the record.
        images: As for `sample_tab_data`.
        targets: As for `sample_tab_data`.
        class_names: As for `sample_tab_data`.

    Example:
        >>> make = lambda: map_tab_data(np.zeros((2, 6, 28, 28)), "conv1")
        >>> with_samples(make, np.zeros((2, 1, 28, 28)), np.array([1, 0]), ["cat", "dog"]).info["class_names"]
        ['cat', 'dog']
    """
    record = make()
    arrays = {**record.arrays, **sample_tab_data(images, targets, ()).arrays}
    return record._replace(info={**record.info, "class_names": list(class_names)}, arrays=arrays)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
