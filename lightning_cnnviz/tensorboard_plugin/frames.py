"""Frames, the data of one step of a series: decoded from two blobs in the event file, packed for the page."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Info = dict[str, Any]
DTYPES = ("int8", "uint8", "int16", "int32", "float16", "float32")
ALIGNMENT = 8
"""Bytes; typed arrays in the page must start at multiples of it."""


class BrokenFrameError(ValueError):
    """The blobs of a step are malformed or inconsistent."""


@dataclass(frozen=True)
class Frame:
    """The data of one series at one step.

    Attributes:
        info: The header, without the description of the arrays.
        arrays: Name → array, in the order of the payload.
    """

    info: Info
    arrays: dict[str, np.ndarray[Any, Any]]

    @property
    def nbytes(self) -> int:
        """Total bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def parse_json(text: bytes) -> Any:
    """Parses JSON; numbers that are not finite become None, since no browser can read them.

    Raises:
        ValueError: If it is not JSON, or nested too deeply.

    Example:
        >>> parse_json(b'[1.5, NaN, -Infinity, 1e999]')
        [1.5, None, None, None]
    """
    try:
        return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def decode(blobs: Sequence[bytes]) -> Frame:
    """Decodes a header and its payload.

    Args:
        blobs: UTF-8 JSON with `"arrays": [{"name", "dtype", "shape"}]`, and the arrays' bytes: little-endian,
            C-contiguous, without gaps.

    Raises:
        BrokenFrameError: If the blobs are malformed or do not match.

    Example:
        >>> header = b'{"arrays": [{"name": "low", "dtype": "float32", "shape": [2]}], "layer": "conv1"}'
        >>> frame = decode([header, np.float32([1, 2]).tobytes()])
        >>> frame.info, frame.arrays["low"].tolist()
        ({'layer': 'conv1'}, [1.0, 2.0])
    """
    if len(blobs) != 2:
        raise BrokenFrameError(f"expected a header and a payload, got {len(blobs)} blobs")
    try:
        info = parse_json(blobs[0])
    except ValueError as error:
        raise BrokenFrameError(f"the header is not JSON: {error}") from None
    described = info.pop("arrays", None) if isinstance(info, dict) else None
    if not isinstance(described, list):
        raise BrokenFrameError('the header has no list of "arrays"')
    arrays, start = {}, 0
    for entry in described:
        name, dtype, shape = _parse_entry(entry)
        stop = start + dtype.itemsize * math.prod(shape)
        if stop > len(blobs[1]):
            raise BrokenFrameError(f"the payload ends at byte {len(blobs[1])}, before {name!r}, which ends at {stop}")
        try:
            arrays[name] = np.frombuffer(blobs[1][start:stop], dtype=dtype).reshape(shape)
        except ValueError as error:  # e.g. more dimensions than NumPy has
            raise BrokenFrameError(f"no array {name!r} can have the shape {shape!r}: {error}") from None
        start = stop
    if start != len(blobs[1]):
        raise BrokenFrameError(f"the payload has {len(blobs[1])} bytes, its arrays {start}")
    return Frame(info, arrays)


def pick(frame: Frame, place: Sequence[int], rows: Sequence[int] = ()) -> Frame:
    """Returns a part of a frame: every array indexed along its leading dimensions, and some rows of it.

    An array that has fewer dimensions than `place` is indexed along all of them.

    Args:
        frame: The frame.
        place: Index along the leading dimensions, e.g. of a single channel.
        rows: Indices along the first dimension that is left, e.g. of some samples; all if empty.

    Raises:
        IndexError: If an index is negative or out of range, or no array has so many dimensions.

    Example:
        >>> frame = Frame({}, {"values": np.arange(6).reshape(2, 3)})
        >>> pick(frame, [1]).arrays["values"].tolist(), pick(frame, [1], [2, 0]).arrays["values"].tolist()
        ([3, 4, 5], [5, 3])
    """
    if min([*place, *rows], default=0) < 0:
        raise IndexError(f"expected indices from 0, got {[*place, *rows]}")
    index: tuple[Any, ...] = (*place, list(rows)) if rows else tuple(place)
    if len(index) > max((array.ndim for array in frame.arrays.values()), default=0):
        raise IndexError(f"expected fewer indices than {len(index)}")
    return Frame(frame.info, {name: np.asarray(array[index[: array.ndim]]) for name, array in frame.arrays.items()})


def pack(frames: Sequence[tuple[int, float, Frame | str]]) -> bytes:
    """Packs several steps into one binary response.

    Args:
        frames: Of each its step, the wall time at which it was written, and itself, or an error message if it cannot
            be read.

    Returns:
        A little-endian uint32 with the length of a JSON directory, the directory, then all arrays, each starting at a
        multiple of 8 bytes. The directory has for each frame `"step"`, `"written"`, and either `"error"` or `"info"`
        and `"arrays"`: name, dtype, shape and `"at"`, the offset of the first byte from the end of the directory.
        float16 is converted to float32, which every browser supports. Of `"info"`, the keys in `"same"` are left out:
        their values are those of the frame before, as the names of all layers are in each frame of the gradients.

    Example:
        >>> answer = pack([(5, 1.7e9, Frame({}, {"low": np.float16([1])}))])
        >>> size = int.from_bytes(answer[:4], "little")
        >>> json.loads(answer[4 : 4 + size])[0]["arrays"]
        [{'name': 'low', 'dtype': 'float32', 'shape': [1], 'at': 0}]
    """
    directory: list[Info] = []
    parts: list[bytes] = []
    before: Info = {}
    at = 0
    for step, written, frame in frames:
        if isinstance(frame, str):
            directory.append({"step": step, "written": written, "error": frame})
            continue
        entries = []
        for name, array in frame.arrays.items():
            sent = array.astype(np.float32) if array.dtype == np.float16 else array
            data = sent.astype(sent.dtype.newbyteorder("<"), copy=False).tobytes()
            entries.append({"name": name, "dtype": sent.dtype.name, "shape": list(sent.shape), "at": at})
            parts.append(data + bytes(-len(data) % ALIGNMENT))
            at += len(parts[-1])
        same = [key for key, value in frame.info.items() if key in before and before[key] == value]
        info = {key: value for key, value in frame.info.items() if key not in same}
        directory.append({"step": step, "written": written, "info": info, "same": same, "arrays": entries})
        before = frame.info
    text = json.dumps(directory).encode()
    text += b" " * (-(4 + len(text)) % ALIGNMENT)
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _parse_entry(entry: Any) -> tuple[str, np.dtype[Any], list[int]]:
    try:
        name, dtype, shape = entry["name"], entry["dtype"], entry["shape"]
    except (TypeError, KeyError):
        raise BrokenFrameError(f"expected an array's name, dtype and shape, got {entry!r}") from None
    if dtype not in DTYPES:
        raise BrokenFrameError(f"expected one of {', '.join(DTYPES)} for {name!r}, got {dtype!r}")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise BrokenFrameError(f"expected a list of sizes for {name!r}, got {shape!r}")
    return str(name), np.dtype(dtype).newbyteorder("<"), shape
