"""The pictures of a run as files: a folder for each tag, a file for each step."""

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from lightning_cnnviz.export.decoding import PictureError, decoding
from lightning_cnnviz.export.logged import Reader
from lightning_cnnviz.export.names import file_names
from lightning_cnnviz.export.source import Source
from lightning_cnnviz.tensorboard_plugin.event_files import DamagedRecordError

Progress: TypeAlias = Callable[[Iterable[str], str], Iterable[str]]
"""Takes tags or names, and what they are; gives them back one after the other."""
ENDINGS = {"PNG": "png", "GIF": "gif", "WEBP": "webp", "JPEG": "jpg"}
"""Format → ending of files that are copied, byte for byte; what is in another format becomes PNG."""


def write_pictures(source: Source, folder: Path, progress: Progress) -> None:
    """Writes the pictures as they were logged: PNG as PNG; GIF, WebP, APNG, animated or not, and JPEG as these.

    Args:
        source: The run.
        folder: For the folders of the tags.
        progress: Told of each tag.
    """
    names = file_names(source.pictures)
    with source.logged.reader() as read:
        for tag in progress(source.pictures, "pictures"):
            (folder / names[tag]).mkdir(parents=True)
            for step in source.pictures[tag]:
                for number, data in enumerate(_read(source, read, tag, step), start=1):
                    more = f"_{number}" if number > 1 else ""
                    _write(source, folder / names[tag] / f"step_{step:08d}{more}", data, f"{tag} at step {step}")


def _read(source: Source, read: Reader, tag: str, step: int) -> list[bytes]:
    try:
        return read(tag, step)
    except DamagedRecordError as error:
        source.notes.append(f"{tag} at step {step} is damaged: {error}")
        return []


def _write(source: Source, path: Path, data: bytes, what: str) -> None:
    try:
        with decoding(), Image.open(BytesIO(data)) as picture:
            ending = ENDINGS.get(picture.format or "")
            if ending is None:
                picture.save(buffer := BytesIO(), format="PNG")
                ending, data = "png", buffer.getvalue()
    except PictureError as error:
        source.notes.append(f"{what} is no picture that can be read: {error}")
        return
    path.with_name(f"{path.name}.{ending}").write_bytes(data)
