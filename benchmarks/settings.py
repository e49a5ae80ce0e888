"""How thorough a measurement is to be."""

from pathlib import Path
from typing import NamedTuple


class Settings(NamedTuple):
    """What all groups of rows are given.

    Attributes:
        quick: Every measurement once and short: it shows that all works, its figures mean little.
        baseline: Another checkout of the package, to compare with where a group of rows can; None for no comparison.
    """

    quick: bool
    baseline: Path | None = None
