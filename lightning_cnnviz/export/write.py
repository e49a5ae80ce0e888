"""Exports a run: what it has logged, as files in a folder."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from tqdm import tqdm  # type: ignore[import-untyped]

from lightning_cnnviz import __version__
from lightning_cnnviz.export.films.write import FORMATS, FilmFormat, write_films
from lightning_cnnviz.export.model_table import write_model_table
from lightning_cnnviz.export.numbers import write_numbers
from lightning_cnnviz.export.pictures import Progress, write_pictures
from lightning_cnnviz.export.projections import write_projections
from lightning_cnnviz.export.source import Source
from lightning_cnnviz.export.target import MANIFEST, staged
from lightning_cnnviz.report.folders import ReportError, names_of, open_run
from lightning_cnnviz.report.selection import Selection

Kind: TypeAlias = Literal["pictures", "films", "numbers", "projections", "tables", "charts"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WORDS: dict[Kind, str] = {
    **{"pictures": "picture{}", "films": "film{}", "numbers": "table{} of numbers"},
    **{"projections": "table{} of projections", "tables": "table{} of the model", "charts": "chart{}"},
}
"""Kind → what its files are called, with room for the plural."""
FPS = 4.0


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        folder: Where it is.
        files: The paths of the files, sorted.
        notes: What is left out, in sentences.
    """

    folder: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        counts = Counter(path.relative_to(self.folder).parts[0] for path in self.files)
        found = [(counts[kind], WORDS[kind]) for kind in KINDS if counts[kind]]
        listed = ", ".join(f"{count} {words.format('s' * (count > 1))}" for count, words in found)
        return f"{self.folder}  {sum(path.stat().st_size for path in self.files) / 1e6:.1f} MB: {listed}"


def export_run(
    run: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    only: Sequence[Kind] = KINDS,
    film: FilmFormat = "apng",
    fps: float = FPS,
    parquet: bool = False,
    layers: Sequence[str] = (),
    first_step: int | None = None,
    last_step: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Export:
    """Writes what a run has logged as files: pictures, films, numbers, projections, tables and charts.

    The folder has them all at the end, or is as it was before. `export.json` in it lists the files and what is left
    out.

    Args:
        run: The folder of the run, local or an address such as `s3://bucket/run`.
        folder: For the files: a local one that is empty or does not exist.
        only: What to write; `"pictures"`, `"films"`, `"numbers"`, `"projections"`, `"tables"` and `"charts"`.
        film: Format of the films: `"apng"`, `"gif"` or `"mp4"`, which needs the extra `export`.
        fps: Pictures per second of the films, up to 50.
        parquet: Whether to write numbers and projections as Parquet, too, which needs the extra `export`.
        layers: Names or globs of the layers to keep, e.g. `["conv1", "features.*"]`; all if empty.
        first_step: The first optimizer step that is exported.
        last_step: The last one.
        overwrite: Whether an export of before in the folder gives way to this one.
        progress: Whether to show a progress bar on a terminal.

    Raises:
        ReportError: If there is no such run, nothing of it is selected, the folder holds other files, or a package is
            missing.
        ValueError: If another argument is invalid.
        OSError: If the files cannot be written.
    """
    unknown = [kind for kind in only if kind not in KINDS]
    if unknown or not only:
        raise ValueError(f"expected some of {', '.join(KINDS)}, got {', '.join(map(str, unknown)) or 'none'}")
    if film not in FORMATS:
        raise ValueError(f"expected film to be one of {', '.join(FORMATS)}, got {film!r}")
    if not 0 < fps <= 50:
        raise ValueError(f"expected 0 < fps <= 50, got {fps}")
    _need("av", "films as MP4", film == "mp4" and "films" in only)
    _need("pyarrow", "tables as Parquet", parquet)
    told: dict[str, Any] = {}
    with staged(folder, overwrite, told) as stage:
        path, index = open_run(os.fspath(run), any_data=True)
        source = Source(path, index, Selection(layers, first_step, last_step))
        show = partial(_shown, disable=None if progress else True)
        for kind in KINDS:
            if kind in only:
                _write(kind, source, stage / kind, show, film=film, fps=fps, parquet=parquet)
                if only is not KINDS and not (stage / kind).exists():
                    source.notes.append(f"no {kind}: the run has logged nothing for them")
        if not any(stage.iterdir()):
            reasons = (
                "; ".join(note.rstrip(".") for note in source.notes)
                or "the run has logged neither pictures nor numbers"
            )
            raise ReportError(f"there is nothing to export from {path}: {reasons}")
        told |= {"run": names_of([path])[0], "version": __version__, "notes": source.notes}
    target = Path(folder)
    files = sorted(target / file for file in told["files"] if file != MANIFEST)
    return Export(target, tuple(files), tuple(source.notes))


def _write(
    kind: Kind, source: Source, folder: Path, progress: Progress, *, film: FilmFormat, fps: float, parquet: bool
) -> None:
    match kind:
        case "pictures":
            write_pictures(source, folder, progress)
        case "films":
            write_films(source, folder, progress, film=film, fps=fps)
        case "numbers":
            write_numbers(source, folder, parquet=parquet)
        case "projections":
            write_projections(source, folder, parquet=parquet)
        case "tables":
            write_model_table(source, folder)
        case "charts":
            from lightning_cnnviz.export.charts import charts, write_chart  # matplotlib takes a second to import

            found = dict(charts(source))
            for name in progress(found, "charts"):
                write_chart(folder / name, found[name])


def _need(package: str, what: str, needed: bool) -> None:
    if needed and find_spec(package) is None:
        raise ReportError(f'{what} need a package that is not installed: pip install "lightning-cnnviz[export]"')


def _shown(items: Iterable[str], what: str, *, disable: bool | None) -> Iterable[str]:
    shown: Iterable[str] = tqdm(list(items), desc=what, leave=False, disable=disable)
    return shown
