"""The frames of a film, from encoded pictures: one mode and one size, padded and never stretched."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

from PIL import Image, ImageChops

from lightning_cnnviz.export.decoding import PictureError, decoding

LAST_SECONDS = 2.0
"""How long the last picture stays before the film begins anew."""
DEEP = ("I", "F", "I;16", "I;16B", "I;16L")
"""Modes of more than eight bits a value."""


class NoFilmError(ValueError):
    """No film can be made of some pictures, for the reason that the message tells."""


@dataclass(frozen=True)
class Reel:
    """What a film is made of.

    Attributes:
        size: Width and height of its frames, in pixels: those of the largest picture.
        mode: `"L"`, `"RGB"` or `"RGBA"`, as the pictures have colours and transparency.
        count: Number of pictures.
        seconds: How long each but the last one is shown.
        pictures: Gives them encoded, one at a time.
    """

    size: tuple[int, int]
    mode: str
    count: int
    seconds: float
    pictures: Callable[[], Iterator[bytes]]

    def frames(self) -> Iterator[Image.Image]:
        """Yields the pictures, the smaller ones with white added on the right and below.

        In a mode without transparency, white is behind them.

        Raises:
            NoFilmError: If one cannot be read; only its header was looked at before.
        """
        for data in self.pictures():
            try:
                with decoding():
                    picture = _converted(Image.open(BytesIO(data)), self.mode)
            except PictureError as error:
                raise NoFilmError(f"a picture cannot be read: {error}") from None
            if picture.size == self.size:
                yield picture
            else:
                frame = Image.new(self.mode, self.size, "white")
                frame.paste(picture, (0, 0))
                yield frame

    def changes(self) -> Iterator["Change"]:
        """Yields of each frame the part that differs from the one before, a pixel if none does."""
        before: Image.Image | None = None
        for number, frame in enumerate(self.frames(), start=1):
            whole = (0, 0, *frame.size)
            box = whole if before is None else ImageChops.difference(before, frame).getbbox(alpha_only=False)
            box = box or (0, 0, 1, 1)
            yield Change(box, frame if box == whole else frame.crop(box), self.seconds_of(number))
            before = frame

    def seconds_of(self, number: int) -> float:
        """Returns how long a picture is shown, of those that are numbered from 1."""
        return self.seconds if number < self.count else max(self.seconds, LAST_SECONDS)


class Change(NamedTuple):
    """What is new in a frame: left, top, right and bottom in pixels, the picture there, and how long it is shown."""

    box: tuple[int, int, int, int]
    picture: Image.Image
    seconds: float


def reel(pictures: Callable[[], Iterator[bytes]], seconds: float) -> Reel:
    """Looks at the headers of pictures for what a film of them needs.

    Args:
        pictures: Gives them encoded; called again for the film itself.
        seconds: How long each is shown.

    Raises:
        NoFilmError: If there are fewer than two, one is an animation or cannot be read, or has more than eight bits.

    Example:
        >>> from lightning_cnnviz.functional.drawing.encode import encode
        >>> import numpy as np
        >>> files = [encode(np.zeros((height, 9, 3), np.uint8)).data for height in (4, 6)]
        >>> made = reel(lambda: iter(files), 0.25)
        >>> made.size, made.mode, made.count
        ((9, 6), 'L', 2)
    """
    sizes: list[tuple[int, int]] = []
    modes = set()
    for data in pictures():
        try:
            with decoding():
                picture = Image.open(BytesIO(data))
                several = getattr(picture, "n_frames", 1) > 1
        except PictureError as error:
            raise NoFilmError(f"a picture cannot be read: {error}") from None
        if several:
            raise NoFilmError("its pictures are films already")
        if picture.mode in DEEP:
            raise NoFilmError("its pictures have more than eight bits a value")
        sizes.append(picture.size)
        modes.add(_mode(picture))
    if len(sizes) < 2:
        raise NoFilmError("it has fewer than two pictures")
    mode = "RGBA" if "RGBA" in modes else "RGB" if "RGB" in modes else "L"
    return Reel(_largest(sizes), mode, len(sizes), seconds, pictures)


def _converted(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "RGBA" or _mode(picture) != "RGBA":
        return picture.convert(mode)
    picture = picture.convert("RGBA")
    behind = Image.new(mode, picture.size, "white")
    behind.paste(picture, (0, 0), picture)
    return behind


def _mode(picture: Image.Image) -> str:
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        return "RGBA"
    return "L" if picture.mode in ("1", "L") else "RGB"


def _largest(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return max(width for width, _ in sizes), max(height for _, height in sizes)
