"""Writes a run, or two beside each other, as one HTML file."""

import errno
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lightning_cnnviz import __version__
from lightning_cnnviz.report import page
from lightning_cnnviz.report.blocks import blocks, estimate
from lightning_cnnviz.report.bundle import colours
from lightning_cnnviz.report.folders import ReportError, names_of, open_run
from lightning_cnnviz.report.selection import WHOLE, Selection, thinned
from lightning_cnnviz.report.summary import summary
from lightning_cnnviz.tensorboard_plugin.listing import listing
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex
from lightning_cnnviz.tensorboard_plugin.series import Series

MAX_MB = 20.0
NAME = "report.html"
AIM = 0.95
"""Of the size that is left, what a thinned page aims at: sizes are estimated."""


@dataclass(frozen=True)
class _Run:
    """A run that goes into the page: its name there, its data, what is chosen of them, and what is said of it."""

    name: str
    index: RunIndex
    chosen: dict[str, Series]
    summary: dict[str, Any]


def write_report(
    run: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    compare: str | os.PathLike[str] | None = None,
    max_mb: float = MAX_MB,
    layers: Sequence[str] = (),
    first_step: int | None = None,
    last_step: int | None = None,
) -> Path:
    """Writes a run as one HTML file that shows the page of the CNN Viz tab, without a server or a network.

    A file of that name is replaced only once the new one is whole.

    Args:
        run: The folder of the run, local or an address such as `s3://bucket/run`.
        output: The file; by default `report.html` in the folder of the run, or here if that is remote.
        compare: The folder of a run to show beside it.
        max_mb: Maximum size in megabytes (10⁶ bytes). Above it, steps are left out evenly over time, never the first
            and the last one; curves, gradients and findings stay whole, and the page says so.
        layers: Names or globs of the layers whose pictures are kept, e.g. `["conv1", "features.*"]`; all if empty.
        first_step: The first optimizer step that is kept.
        last_step: The last one.

    Returns:
        The path of the file.

    Raises:
        ReportError: If there is no such run, nothing of it is selected, or it cannot be made so small.
        OSError: If the file cannot be written.
    """
    selection = Selection(layers, first_step, last_step)
    opened = [open_run(os.fspath(folder)) for folder in (run, compare) if folder is not None]
    names = names_of([folder for folder, _ in opened])
    if len(set(names)) < len(names):
        raise ReportError(f"expected two runs, got {names[0]} twice")
    runs = [
        _Run(name, index, selection.of(index.series()), summary(folder, index))
        for name, (folder, index) in zip(names, opened, strict=True)
    ]
    folder = opened[0][0]
    path = Path(output if output is not None else NAME if "://" in folder else Path(folder, NAME))
    with whole_file(path) as file:
        _write_page(file, runs, selection.words, max_mb)
    return path


def write_file(run: str, path: str, **options: Any) -> None:
    """Writes the file as `write_report` does, with arguments and results that can be sent to another process.

    Args:
        run: The folder of the run.
        path: Of the file.
        **options: Those of `write_report`.
    """
    write_report(run, path, **options)


def _write_page(file: BinaryIO, runs: Sequence[_Run], words: str, max_mb: float) -> None:
    """Writes the page, with fewer steps again and again until it is small enough."""
    limit, share = max_mb * 1e6, 1.0
    head, tail = (
        part.encode() for part in (page.head(" and ".join(run.name for run in runs), __version__), page.tail())
    )
    found = [estimate(run.index, _may_be_thinned(run.chosen)) for run in runs]
    if sum(found) > limit:
        share = limit / sum(found)  # the estimate is rather high, so that this is rather too many steps
    while True:
        file.seek(0)
        file.truncate()
        file.write(head)
        pictures, contents = 0, []
        number = itertools.count()
        for run in runs:
            chosen = thinned(run.chosen, share)
            large, places = _may_be_thinned(chosen), dict[str, list[tuple[int, int]]]()
            for block in blocks(run.index, chosen):
                places.setdefault(block.tag, []).append((place := next(number), block.first))
                size = file.write(page.block(place, block.text).encode())
                pictures += size if block.tag in large else 0
            contents.append(_content(run, chosen, places, [words, _thinned_words(run.chosen, chosen, max_mb)]))
        file.write((page.data("contents", contents) + page.data("colours", colours())).encode() + tail)
        size = file.tell()
        if size <= limit:
            return
        room, longest = limit - (size - pictures), max(len(one.steps) for run in runs for one in run.chosen.values())
        if room <= 0 or share * longest < 3:
            what = "that is never left out" if room <= 0 else "with the first and the last step alone"
            least = (size - pictures if room <= 0 else size) / 1e6
            raise ReportError(
                f"expected a page of at most {max_mb:g} MB, got {least:.1f} MB {what}; allow more megabytes, or "
                "choose fewer layers or steps"
            )
        share *= AIM * room / pictures


def _content(
    run: _Run, chosen: Mapping[str, Series], places: Mapping[str, list[tuple[int, int]]], words: Sequence[str]
) -> dict[str, Any]:
    problems = [*(word for word in words if word), *run.index.problems]
    listed = {name: part for name, (_, part) in listing(chosen, problems).items()}
    return {"name": run.name, "listing": {**listed, "summary": run.summary}, "blocks": places}


def _may_be_thinned(chosen: Mapping[str, Series]) -> dict[str, Series]:
    return {tag: series for tag, series in chosen.items() if series.identity.get("kind") not in WHOLE}


def _thinned_words(before: Mapping[str, Series], after: Mapping[str, Series], max_mb: float) -> str:
    """What is left out to keep to a size, of the kind that has the most steps; empty if nothing is."""
    if all(len(before[tag].steps) == len(after[tag].steps) for tag in before):
        return ""
    count, kept = max((len(before[tag].steps), len(series.steps)) for tag, series in _may_be_thinned(after).items())
    return (
        f"Thinned to fit into {max_mb:g} MB: of the pictures at {count:,} steps those at {kept:,} are here, evenly "
        "over time, the first and the last among them. Curves, gradients and findings are whole."
    )


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file beside a path that takes its place once it is written; if it cannot be, nothing is left of it.

    Raises:
        OSError: If it cannot be written, or there is a folder, a device or the like.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if path.exists() and not path.is_file():  # /dev/null would be gone for all
        raise FileExistsError(errno.EEXIST, "it is a device or a pipe, no file", str(path))
    path = path.resolve()  # what a link leads to, not the link
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
