"""The folder of an export: it appears whole or not at all, and takes the place of an earlier export only."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning_cnnviz.report.folders import ReportError

MANIFEST = "export.json"
STAGE = ".export.part"


@contextmanager
def staged(folder: str | os.PathLike[str], overwrite: bool, told: dict[str, Any]) -> Iterator[Path]:
    """Gives a folder to write into, the contents of which are moved to their place at the end.

    After an exception nothing is changed; one that strikes while files are moved says so itself. `export.json` lists
    the files, so that the next export knows them.

    Args:
        folder: Local; made if it does not exist.
        overwrite: Whether the files of an earlier export are replaced or removed.
        told: What else `export.json` says, read at the end; has the `files` then.

    Raises:
        ReportError: If the folder holds anything but an earlier export that may be replaced, or has a part of the new
            one only, as moving its files has failed.
    """
    folder = os.fspath(folder)
    if "://" in folder:
        raise ReportError(f"expected a local folder to export to, got {folder}; export to one and copy it there")
    target = Path(folder)
    before = _exported_before(target, overwrite)
    made = [path for path in (target, *target.parents) if not path.exists()]
    stage = target / STAGE
    target.mkdir(parents=True, exist_ok=True)
    try:
        stage.mkdir()
    except FileExistsError:
        raise ReportError(
            f"expected no export on its way in {folder}, got {stage}; remove it if none runs there: one was killed"
        ) from None
    try:
        yield stage
        _move(stage, target, before, told)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        for path in made:
            with suppress(OSError):
                path.rmdir()  # if nothing came to be


def _exported_before(target: Path, overwrite: bool) -> list[str]:
    """Returns the files of an earlier export."""
    if os.path.lexists(target) and not target.is_dir():
        what = "is a file" if target.exists() else "leads nowhere"
        raise ReportError(f"expected a folder to export to, got {target}, which {what}")
    if not target.is_dir() or not any(path.name != STAGE for path in target.iterdir()):
        return []
    try:
        files = json.loads((target / MANIFEST).read_text(encoding="utf-8"))["files"]
        if not all(isinstance(file, str) and _is_within(target, file) for file in files):
            raise ValueError
    except FileNotFoundError:
        raise ReportError(
            f"expected an empty folder or one with an export, got {target}, which has other files; name another one"
        ) from None
    except (ValueError, TypeError, KeyError):
        raise ReportError(
            f"expected {target / MANIFEST} to list the files of an export, which it does not; name another folder"
        ) from None
    if not overwrite:
        raise ReportError(
            f"expected an empty folder, got {target} with an export; give --overwrite to replace it, or name another"
        )
    return [*files, MANIFEST]


def _is_within(target: Path, file: str) -> bool:
    """Whether a file is in the folder, whatever links are on the way to it."""
    return target.resolve() in (target / file).parent.joinpath("_").resolve().parents and ".." not in Path(file).parts


def _move(stage: Path, target: Path, before: Sequence[str], told: dict[str, Any]) -> None:
    files = sorted(path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file())
    folders = {parent.as_posix() for file in files for parent in list(Path(file).parents)[:-1]}
    for name in sorted({*files, *folders} - set(before)):
        is_ours = name in folders and (target / name).is_dir() and not (target / name).is_symlink()
        if os.path.lexists(target / name) and not is_ours:
            raise ReportError(f"expected nothing of others in the way, got {target / name}; move it elsewhere")
    _list_files(stage, target, [*files, *(set(before) - {MANIFEST, *files})], told)  # if what follows is interrupted
    try:
        _replace(stage, target, before, files)
        _list_files(stage, target, files, told)
    except (OSError, KeyboardInterrupt) as error:
        what = "an interruption" if isinstance(error, KeyboardInterrupt) else f"an error ({error})"
        raise ReportError(
            f"expected to replace {target} as a whole, which {what} has ended half-way; export again with --overwrite"
        ) from error


def _replace(stage: Path, target: Path, before: Sequence[str], files: Sequence[str]) -> None:
    """Moves files to their place, and removes those of before that have no successor."""
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        (stage / file).replace(target / file)
    for file in set(before) - {MANIFEST, *files}:
        with suppress(FileNotFoundError):
            (target / file).unlink()
        for folder in list(Path(file).parents)[:-1]:
            with suppress(OSError):
                (target / folder).rmdir()  # if it is empty now


def _list_files(stage: Path, target: Path, files: Sequence[str], told: dict[str, Any]) -> None:
    path = stage / MANIFEST
    told["files"] = sorted(files)
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    path.replace(target / MANIFEST)
