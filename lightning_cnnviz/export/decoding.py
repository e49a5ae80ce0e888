"""What goes wrong where a picture that somebody has logged is decoded."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, OverflowError, MemoryError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
"""What Pillow raises for files that are damaged, or claim to be too large."""


class PictureError(ValueError):
    """A picture cannot be decoded, for the reason that the message tells."""


@contextmanager
def decoding() -> Iterator[None]:
    """Turns the many errors that Pillow raises for damaged files into one.

    Raises:
        PictureError: If a picture cannot be decoded within the context.

    Example:
        >>> from io import BytesIO
        >>> with decoding():
        ...     Image.open(BytesIO(b"GIF89a"))
        Traceback (most recent call last):
        ...
        lightning_cnnviz.export.decoding.PictureError: its format is not known
    """
    try:
        yield
    except UnidentifiedImageError:
        raise PictureError("its format is not known") from None
    except ERRORS as error:
        raise PictureError(str(error)) from None
