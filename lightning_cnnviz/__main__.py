"""The command line: `python -m lightning_cnnviz report RUN` and `export RUN FOLDER`."""

import sys
from collections.abc import Sequence

USAGE = """\
Usage:
  python -m lightning_cnnviz report RUN [OPTIONS]          write a run as one HTML file
  python -m lightning_cnnviz export RUN FOLDER [OPTIONS]   write its pictures, films, numbers and charts as files
  python -m lightning_cnnviz COMMAND --help                list the options of a command
"""


def main(arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code."""
    match list(arguments):
        case ["report", *rest]:
            from lightning_cnnviz.report.command import main as report

            return report(rest)
        case ["export", *rest]:
            from lightning_cnnviz.export.command import main as export

            return export(rest)
        case [] | ["-h" | "--help", *_]:
            print(USAGE, end="")
            return 0
        case [other, *_]:
            print(f"error: expected the command report or export, got {other!r}\n{USAGE}", end="", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
