"""`python -m lightning_cnnviz export`."""

import argparse
import sys
from collections.abc import Sequence

from lightning_cnnviz.export.films.write import FORMATS
from lightning_cnnviz.export.write import FPS, KINDS, export_run
from lightning_cnnviz.report.arguments import run_arguments
from lightning_cnnviz.report.folders import ReportError


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code: 0, or 2 with a line on standard error."""
    options = _parser().parse_args(arguments)
    try:
        export = export_run(
            options.run,
            options.folder,
            only=options.only,
            film=options.film,
            fps=options.fps,
            parquet=options.parquet,
            layers=options.layers,
            first_step=options.steps[0],
            last_step=options.steps[1],
            overwrite=options.overwrite,
            progress=True,
        )
    except (ReportError, OSError, KeyboardInterrupt) as error:
        print(f"error: {_reason(error, options.folder)}", file=sys.stderr)
        return 2
    for note in export.notes:
        print(f"note: {note}", file=sys.stderr)
    print(export)
    return 0


def _reason(error: BaseException, folder: str) -> str:
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted; {folder} is as it was"
    if isinstance(error, OSError):
        return f"{folder} cannot be written: {error.strerror or error}; it is as it was"
    return str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lightning_cnnviz export",
        parents=[run_arguments()],
        description="Writes what a run has logged as files: pictures, films, numbers, tables, and charts for a paper.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="folder for the files, which is empty or does not exist")
    parser.add_argument(
        "--only", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=f"write only {', '.join(KINDS)}"
    )
    parser.add_argument(
        "--film",
        choices=FORMATS,
        default="apng",
        help="format of the films (default: %(default)s); mp4 needs the extra export",
    )
    parser.add_argument(
        "--fps", type=_rate, default=FPS, metavar="N", help="pictures per second of the films (default: %(default)g)"
    )
    parser.add_argument(
        "--parquet", action="store_true", help="tables as Parquet beside CSV, which needs the extra export"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an export in FOLDER; other files there stay as they are"
    )
    return parser


def _rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 50:
        raise argparse.ArgumentTypeError(f"expected a number above 0, at most 50, got {text!r}")
    return number
