"""`python -m lightning_cnnviz report`."""

import argparse
import sys
from collections.abc import Sequence

from lightning_cnnviz.report.folders import ReportError
from lightning_cnnviz.report.write import MAX_MB, NAME, write_report


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code: 0, or 2 with a line on standard error."""
    options = _parser().parse_args(arguments)
    try:
        path = write_report(
            options.run,
            options.output,
            compare=options.compare,
            max_mb=options.max_mb,
            layers=options.layers,
            first_step=options.steps[0],
            last_step=options.steps[1],
        )
    except ReportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"error: {error.filename} cannot be written: {error.strerror}; what was there is as it was",
            file=sys.stderr,
        )
        return 2
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lightning_cnnviz report",
        description="Writes a run as one HTML file: the page of the CNN Viz tab with its data. It opens in a browser "
        "as it is, without TensorBoard, a server or a network.",
    )
    parser.add_argument(
        "run", metavar="RUN", help="folder of the run, e.g. lightning_logs/version_0, or s3://bucket/run"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"the file (default: {NAME} in the folder of the run, here if it is remote)",
    )
    parser.add_argument("--compare", metavar="RUN2", help="another run, shown beside it")
    parser.add_argument(
        "--max-mb",
        type=_megabytes,
        default=MAX_MB,
        metavar="N",
        help="maximum size in megabytes (default: %(default)g); above it steps are left out evenly over time",
    )
    parser.add_argument(
        "--layers",
        nargs="+",
        default=[],
        metavar="LAYER",
        help="keep the pictures of these layers only; globs such as 'features.*'",
    )
    parser.add_argument(
        "--steps",
        type=steps_range,
        default=(None, None),
        metavar="FIRST:LAST",
        help="keep these optimizer steps only; either may be missing",
    )
    return parser


def steps_range(text: str) -> tuple[int | None, int | None]:
    """Parses FIRST:LAST.

    Example:
        >>> steps_range("100:"), steps_range("100:200")
        ((100, None), (100, 200))
    """
    first, colon, last = text.partition(":")
    try:
        ends = tuple(int(end) if end else None for end in (first, last))
    except ValueError:
        ends = ()
    if not colon or len(ends) != 2:
        raise argparse.ArgumentTypeError(f"expected FIRST:LAST, e.g. 0:5000, got {text!r}")
    return ends


def _megabytes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return number
