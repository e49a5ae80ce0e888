"""Arguments of the commands that take a run, and a part of it."""

import argparse


def run_arguments() -> argparse.ArgumentParser:
    """Returns a parser of RUN, `--layers` and `--steps`, to be a parent of a command's own."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "run", metavar="RUN", help="folder of the run, e.g. lightning_logs/version_0, or s3://bucket/run"
    )
    parser.add_argument(
        "--layers",
        nargs="+",
        default=[],
        metavar="LAYER",
        help="only what is of these layers; globs such as 'features.*'",
    )
    parser.add_argument(
        "--steps",
        type=steps_range,
        default=(None, None),
        metavar="FIRST:LAST",
        help="only these optimizer steps; either may be missing",
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
