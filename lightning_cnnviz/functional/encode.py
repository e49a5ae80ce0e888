"""Pictures as PNG files in memory."""

from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from lightning_cnnviz.functional.image import Picture
from lightning_cnnviz.functional.record import Record

COMPRESS_LEVEL = 3
"""Of zlib, 0…9: half the time of the usual 6 for a tenth more bytes."""


class Encoded(NamedTuple):
    """A picture in a file format.

    Attributes:
        data: The file, PNG or APNG.
        height: In pixels.
        width: In pixels.
        kept: Whether it is to be kept as a file as well, where pictures are logged.
    """

    data: bytes
    height: int
    width: int
    kept: bool = False

    def size(self) -> int:
        """Bytes of the file."""
        return len(self.data)


def encode(picture: Picture) -> Encoded:
    """A picture as PNG, without loss: grey or with a palette where it has no more than 256 colours.

    Args:
        picture: Height × width × 3, uint8.

    Example:
        >>> encode(np.zeros((20, 30, 3), dtype=np.uint8))[1:3]
        (20, 30)
    """
    buffer = BytesIO()
    _with_palette(np.ascontiguousarray(picture)).save(buffer, "PNG", compress_level=COMPRESS_LEVEL)
    return Encoded(buffer.getvalue(), *picture.shape[:2])


Drawn: TypeAlias = "Picture | Encoded | Record | list[Encoded | Record]"
"""What a drawing gives: a picture, data for the tab, or some of both."""


def draw_encoded(draw: Callable[[], Drawn]) -> list[Encoded | Record]:
    """What a drawing gives, pictures as files."""
    drawn = draw()
    if isinstance(drawn, np.ndarray):
        return [encode(drawn)]
    return drawn if isinstance(drawn, list) else [drawn]


def drawn_for_tab(view: str, draw: Callable[[], Picture]) -> list[Encoded | Record]:
    """A picture of the input plane, and the same for the tab.

    Args:
        view: Layer and view, `"fc1/cells"`.
        draw: Gives the picture.

    Example:
        >>> picture, record = drawn_for_tab("fc1/cells", lambda: np.zeros((20, 30, 3), dtype=np.uint8))
        >>> record.tag, record.info["width"]
        ('cnnviz/partition/fc1/cells', 30)
    """
    picture = encode(draw())
    layer, _, name = view.rpartition("/")
    info = {"width": picture.width, "height": picture.height}
    arrays = {"png": np.frombuffer(picture.data, dtype=np.uint8)}
    return [picture, Record("partition", {"layer": layer, "view": name}, info, arrays)]


def _with_palette(picture: Picture) -> Image.Image:
    rows = picture.reshape(len(picture), -1)
    new = np.ones(len(rows), dtype=np.bool_)
    np.any(rows[1:] != rows[:-1], axis=1, out=new[1:])  # what is enlarged repeats its rows
    distinct = Image.fromarray(picture[new])
    found = distinct.getcolors(256)
    if found is None:
        return Image.fromarray(picture)
    colours = np.array([colour for _, colour in found], dtype=np.uint8)
    if (colours == colours[:, :1]).all():
        return Image.fromarray(np.ascontiguousarray(picture[..., 0]))
    index = np.zeros(1 << 24, dtype=np.uint8)  # of which memory is taken only where a colour lies
    index[_code(Image.fromarray(colours[None]))] = np.arange(len(colours))
    reduced = Image.fromarray(index[_code(distinct)][np.cumsum(new) - 1], "P")
    reduced.putpalette(colours.tobytes())
    return reduced


def _code(image: Image.Image) -> npt.NDArray[np.uint32]:
    """One number for each pixel's colour, below 2²⁴."""
    padded = np.asarray(image.convert("RGBX")).view("<u4")[..., 0]
    return np.asarray(padded & 0xFFFFFF, dtype=np.uint32)
