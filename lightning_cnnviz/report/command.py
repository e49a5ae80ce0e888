"""`python -m lightning_cnnviz report`."""

import argparse
import sys
from collections.abc import Sequence

from lightning_cnnviz.report.arguments import run_arguments
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
    except KeyboardInterrupt:
        print("error: interrupted; no page was written, and one that was there is as it was", file=sys.stderr)
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
        parents=[run_arguments()],
        description="Writes a run as one HTML file: the page of the CNN Viz tab with its data. It opens in a browser "
        "as it is, without TensorBoard, a server or a network.",
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
    return parser


def _megabytes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return number
