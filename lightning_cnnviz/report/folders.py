"""Which folder holds the run that is meant."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning_cnnviz.tensorboard_plugin.event_files import event_files
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex

MAX_LISTED = 12
"""Runs that a message lists."""


class ReportError(ValueError):
    """A page or an export cannot be written, for the reason that the message tells."""


@contextmanager
def reading(folder: str) -> Iterator[None]:
    """Says of a run that cannot be read that it cannot, and why.

    Args:
        folder: Of the run.

    Raises:
        ReportError: Instead of an `OSError`, and of whatever the library raises that reads an address.
    """
    try:
        yield
    except ReportError:
        raise
    except Exception as error:
        if "://" not in folder and not isinstance(error, OSError):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise ReportError(f"expected a run that can be read, got {folder}: {reason}") from error


def open_run(folder: str, *, any_data: bool = False) -> tuple[str, RunIndex]:
    """Returns the folder of a run and the index of its data; that of the only run below a folder that is none itself.

    Args:
        folder: A local path, or an address such as `s3://bucket/run`.
        any_data: Whether a run that has no data of ours will do where there is none that has.

    Raises:
        ReportError: If there is no run with data of ours, or more than one, or it cannot be read.

    Example:
        >>> open_run("nowhere")
        Traceback (most recent call last):
        ...
        lightning_cnnviz.report.folders.ReportError: expected the folder of a run, got nowhere, which does not exist
    """
    folder = folder.rstrip("/") or folder
    if "://" not in folder and not os.path.isdir(folder):
        what = "is a file" if os.path.exists(folder) else "does not exist"
        raise ReportError(f"expected the folder of a run, got {folder}, which {what}")
    with reading(folder):
        if "://" not in folder:
            os.listdir(folder)  # which says if it is not allowed to
        indices = {path: RunIndex(path) for path in ([folder] if event_files(folder) else _below(folder))}
        ours = {path: index for path, index in indices.items() if index.series()}
    ours = ours or (indices if any_data else {})
    if not ours:
        has = "event files, but none with data of the CNN Viz tab" if indices else "no event files"
        problems = [problem for index in indices.values() for problem in index.problems][:MAX_LISTED]
        has += f" ({' '.join(problems)})" if problems else ""
        raise ReportError(
            f"expected the folder of a run, got {folder}, which has {has}; train with "
            "`Trainer(callbacks=cnnviz_callbacks())` and a TensorBoardLogger"
        )
    if len(ours) > 1:
        listed = "".join(f"\n  {path}" for path in list(ours)[-MAX_LISTED:])
        more = f"\nand {len(ours) - MAX_LISTED} more" if len(ours) > MAX_LISTED else ""
        raise ReportError(f"expected one run, got {folder} with {len(ours)}; name one of them:{listed}{more}")
    return next(iter(ours.items()))


def names_of(folders: Sequence[str]) -> list[str]:
    """Returns what runs are called on the page, each by another name: the last folder, with a version that above it.

    Example:
        >>> names_of(["runs/demo/version_1"]), names_of(["logs/first", "logs/second"])
        (['demo/version_1'], ['first', 'second'])
        >>> names_of(["a/logs/version_0", "b/logs/version_0"])
        ['a/logs/version_0', 'b/logs/version_0']
    """
    names = []
    for folder in folders:
        path = folder if "://" in folder else Path(folder).absolute().as_posix()
        parts = [part for part in path.split("/") if part]
        names.append("/".join(parts[-2:] if parts[-1].startswith("version_") else parts[-1:]))
    return names if len(set(names)) == len(names) else list(folders)


def _below(folder: str) -> list[str]:
    """The folders below one that have event files, in the order of their names."""
    if "://" not in folder:
        found = [path for path, _, files in os.walk(folder) if any("tfevents" in name for name in files)]
        return sorted(found, key=_natural)
    import fsspec

    files, root = fsspec.core.url_to_fs(folder)
    paths = files.glob(f"{root.rstrip('/')}/**/*tfevents*")
    return sorted({files.unstrip_protocol(path).rpartition("/")[0] for path in paths}, key=_natural)


def _natural(path: str) -> list[tuple[bool, int, str]]:
    """A key by which `version_10` comes after `version_9`."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", path)]
