"""How thorough a measurement is to be."""

from typing import NamedTuple


class Settings(NamedTuple):
    """What all groups of rows are given.

    Attributes:
        quick: Every measurement once and short: it shows that all works, its figures mean little.
    """

    quick: bool
