"""Writes a film for each tag that has several pictures."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from lightning_cnnviz.export.films.apng import write_apng
from lightning_cnnviz.export.films.frames import NoFilmError, Reel, reel
from lightning_cnnviz.export.films.gif import write_gif
from lightning_cnnviz.export.films.mp4 import write_mp4
from lightning_cnnviz.export.logged import Reader
from lightning_cnnviz.export.names import file_names
from lightning_cnnviz.export.pictures import Progress
from lightning_cnnviz.export.source import Source
from lightning_cnnviz.tensorboard_plugin.event_files import DamagedRecordError

FilmFormat: TypeAlias = Literal["apng", "gif", "mp4"]
FORMATS: tuple[FilmFormat, ...] = get_args(FilmFormat)
WRITERS: dict[FilmFormat, Callable[[Path, Reel], None]] = {"apng": write_apng, "gif": write_gif, "mp4": write_mp4}


def write_films(source: Source, folder: Path, progress: Progress, *, film: FilmFormat, fps: float) -> None:
    """Writes the films, a frame for each picture.

    Args:
        source: The run.
        folder: For the files.
        progress: Told of each tag.
        film: Format of the files.
        fps: Pictures per second.
    """
    several = [tag for tag, steps in source.pictures.items() if len(steps) > 1]
    names = file_names(source.pictures)
    with source.logged.reader() as read:
        for tag in progress(several, "films"):
            folder.mkdir(exist_ok=True)
            path = folder / f"{names[tag]}.{film}"
            try:
                WRITERS[film](path, reel(partial(_pictures, read, tag, source.pictures[tag]), 1 / fps))
            except NoFilmError as error:
                path.unlink(missing_ok=True)
                source.notes.append(f"no film of {tag}: {error}")


def _pictures(read: Reader, tag: str, steps: list[int]) -> Iterator[bytes]:
    for step in steps:
        try:
            yield read(tag, step)[0]
        except (DamagedRecordError, IndexError) as error:
            raise NoFilmError(f"its picture at step {step} is damaged: {error}") from None
