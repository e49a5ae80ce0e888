"""Objects through a pipe, from one Python process to another; large arrays are not copied on the way."""

import pickle
import struct
import threading
from io import BytesIO
from types import FunctionType
from typing import IO, Any

import numpy as np

SENDABLE = ("lightning_cnnviz.functional", "numpy", "functools", "builtins", "collections")
"""Packages whose functions and classes the other side may import: never the user's script."""
_PREFIXES = tuple(f"{package}." for package in SENDABLE)


class UnsendableError(TypeError):
    """What was to be sent can't be, or the other side would have to import code that is not ours."""


class Channel:
    """One end of a two-way connection of pickled objects; `send` may be called from several threads.

    PyTorch tensors arrive as NumPy arrays, so that the other side needs no PyTorch.

    Pickles can run code when they are loaded, so that only an end that is trusted may be listened to. Here that is
    the helper that this process has started itself, over its standard input and output: unnamed pipes that no other
    process holds, with nothing in between that could be opened, no port and no file. What goes through them never
    comes from a checkpoint, an event file or a network; whoever could write to them could as well run code as this
    user.

    Args:
        source: What the other end writes.
        sink: What the other end reads.

    Example:
        >>> import io
        >>> pipe = io.BytesIO()
        >>> Channel(pipe, pipe).send({"weight": np.eye(2)})
        >>> _ = pipe.seek(0)
        >>> float(Channel(pipe, pipe).receive()["weight"].sum())
        2.0
    """

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source, self._sink = source, sink
        self._sending = threading.Lock()

    def send(self, value: Any) -> None:
        """Sends an object.

        Raises:
            UnsendableError: If it holds a function or class of a package that is not `SENDABLE`, or can't be pickled.
            OSError: If the other end is gone.
        """
        buffers: list[pickle.PickleBuffer] = []
        body = BytesIO()
        try:
            _Pickler(body, protocol=5, buffer_callback=buffers.append).dump(value)
        except Exception as error:  # objects may raise anything when they are pickled
            raise UnsendableError(str(error)) from error
        parts = [body.getbuffer(), *(buffer.raw() for buffer in buffers)]
        with self._sending:
            self._sink.write(struct.pack(f"<I{len(parts)}Q", len(parts), *(part.nbytes for part in parts)))
            for part in parts:
                self._sink.write(part)
            self._sink.flush()

    def receive(self) -> Any:
        """Waits for the next object.

        Raises:
            EOFError: If the other end is gone.
        """
        (count,) = struct.unpack("<I", self._read(4))
        body, *buffers = [self._read(size) for size in struct.unpack(f"<{count}Q", self._read(8 * count))]
        return pickle.loads(body, buffers=buffers)

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)  # not bytes: what arrives may be written to
        view = memoryview(data)
        while len(view):
            read = self._source.readinto(view)  # type: ignore[attr-defined]
            if not read:
                raise EOFError("the other end of the channel is gone")
            view = view[read:]
        return data


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if hasattr(value, "detach") and hasattr(value, "numpy"):
            return np.asarray, (_as_array(value),)
        if isinstance(value, (type, FunctionType)) and not f"{value.__module__}.".startswith(_PREFIXES):
            raise UnsendableError(f"{value.__module__}.{value.__qualname__} is of none of {SENDABLE}")
        return NotImplemented


def _as_array(tensor: Any) -> Any:
    plain = tensor.detach().cpu()
    return (plain.float() if "bfloat16" in str(plain.dtype) else plain).numpy()
