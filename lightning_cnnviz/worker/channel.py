"""Sends objects through a pipe between two Python processes, without copying large arrays."""

import pickle
import struct
import threading
from io import BytesIO
from types import BuiltinFunctionType, FunctionType
from typing import IO, Any

import numpy as np

SENDABLE = (
    *("lightning_cnnviz.functional", "lightning_cnnviz.report"),
    *("numpy", "functools", "builtins", "collections"),
)
"""Packages whose functions and classes the receiver may import; the user's script is never among them."""
_PREFIXES = tuple(f"{package}." for package in SENDABLE)


class UnsendableError(TypeError):
    """An object cannot be pickled, or the receiver would have to import code outside `SENDABLE`."""


class MessageChannel:
    """One end of a two-way connection for pickled objects; `send` is thread-safe.

    PyTorch tensors arrive as NumPy arrays, so the other process does not need PyTorch.

    Unpickling can execute code, so both ends must trust each other. Here the other end is the helper that this process
    has started, connected through its standard input and output: unnamed pipes that no other process holds, without a
    port or a file that could be opened. Nothing sent through them comes from a checkpoint, an event file or a network;
    anyone who could write to them could already run code as this user.

    Args:
        source: Stream that the other end writes to.
        sink: Stream that the other end reads from.

    Example:
        >>> import io
        >>> pipe = io.BytesIO()
        >>> MessageChannel(pipe, pipe).send({"weight": np.eye(2)})
        >>> _ = pipe.seek(0)
        >>> float(MessageChannel(pipe, pipe).receive()["weight"].sum())
        2.0
    """

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source, self._sink = source, sink
        self._send_lock = threading.Lock()

    def send(self, value: Any) -> None:
        """Sends an object.

        Raises:
            UnsendableError: If it contains a function or class of a package not in `SENDABLE`, or cannot be pickled.
            OSError: If the other end is closed.
        """
        buffers: list[pickle.PickleBuffer] = []
        body = BytesIO()
        try:
            _Pickler(body, protocol=5, buffer_callback=buffers.append).dump(value)
        except Exception as error:  # pickling may raise anything
            raise UnsendableError(str(error)) from error
        parts = [body.getbuffer(), *(buffer.raw() for buffer in buffers)]
        with self._send_lock:
            self._sink.write(struct.pack(f"<I{len(parts)}Q", len(parts), *(part.nbytes for part in parts)))
            for part in parts:
                self._sink.write(part)
            self._sink.flush()

    def receive(self) -> Any:
        """Waits for the next object.

        Raises:
            EOFError: If the other end is closed.
        """
        (count,) = struct.unpack("<I", self._read(4))
        body, *buffers = [self._read(size) for size in struct.unpack(f"<{count}Q", self._read(8 * count))]
        return pickle.loads(body, buffers=buffers)

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)  # not bytes, so that received arrays are writable
        view = memoryview(data)
        while len(view):
            read = self._source.readinto(view)  # type: ignore[attr-defined]
            if not read:
                raise EOFError("the other end of the channel is closed")
            view = view[read:]
        return data


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if hasattr(value, "detach") and hasattr(value, "numpy"):
            return np.asarray, (_as_array(value),)
        code = isinstance(value, (type, FunctionType, BuiltinFunctionType))
        if code and not f"{value.__module__}.".startswith(_PREFIXES):
            raise UnsendableError(f"expected objects of {SENDABLE}, got {value.__module__}.{value.__qualname__}")
        return NotImplemented


def _as_array(tensor: Any) -> Any:
    plain = tensor.detach().cpu()
    return (plain.float() if "bfloat16" in str(plain.dtype) else plain).numpy()
