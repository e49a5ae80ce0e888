"""What a measurement says: a figure, its spread, its noise floor, its bound, and one line of text for all of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NAME, FIGURE, RANGE = 60, 9, 17
"""Characters of the table's columns."""
BARE = "× bare"
"""The unit of ratios to bare training."""
HEADER = f"{'':<{NAME}}{'figure':>{FIGURE}}{'95 % interval':>{RANGE}}{'bare / bare':>{RANGE}}{'at most':>{FIGURE}}"
LEAST, BLOCKS_PER_DECADE = 1e-3, 5
"""A bar begins at a thousandth of extra time; this many blocks are ten times as much."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: What was measured.
        figure: The result, NaN where it could not be had.
        unit: Of the figure: `BARE`, or what else.
        interval: Where the figure lies with 95 % confidence; None where a figure has none.
        floor: The same interval of bare against bare, measured in the same way.
        at_most: The bound that we promise; None for what is only compared.
        note: Anything else worth knowing, e.g. why there is no figure.
        samples: Raw measurements in seconds, or in what their name says.
    """

    name: str
    figure: float
    unit: str
    interval: Range | None = None
    floor: Range | None = None
    at_most: float | None = None
    note: str = ""
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`"pass"` or `"FAIL"` where the interval lies on one side of the bound, `"open"` where noise decides.

        A ratio to bare training passes only where bare against bare differs by less than the bound allows, and
        fails only by more than that.
        """
        if self.at_most is None:
            return ""
        low, high = self.interval or (self.figure, self.figure)
        noise = 0.0
        if self.unit == BARE and self.floor is not None:
            noise = max(abs(end - 1) for end in self.floor)
        if high <= self.at_most and (noise == 0 or noise <= self.at_most - 1):
            return "pass"
        return "FAIL" if low - noise > self.at_most else "open"

    def line(self) -> str:
        """The row as text, with a bar for what a ratio to bare training takes beyond 1."""
        figures = (
            f"{_number(self.figure):>{FIGURE}}{_range(self.interval):>{RANGE}}{_range(self.floor):>{RANGE}}"
            f"{'' if self.at_most is None else _number(self.at_most):>{FIGURE}}"
        )
        shown = bar(self.figure - 1) if self.unit == BARE else self.unit
        rest = "  ".join(part for part in (self.verdict, shown, self.note) if part)
        return f"{self.name:<{NAME}}{figures}  {rest}".rstrip()

    def as_json(self) -> dict[str, Any]:
        """All of it, NaN as None."""
        figure = None if math.isnan(self.figure) else self.figure
        return {**asdict(self), "figure": figure, "verdict": self.verdict}


def missing(name: str, unit: str, why: str, at_most: float | None = None) -> Row:
    """A row without a figure."""
    return Row(name, math.nan, unit, at_most=at_most, note=why)


def bar(extra: float) -> str:
    """A bar whose length is the logarithm of an extra share of time: one block 0.1 %, 6 are 1 %, 16 are 100 %."""
    if not extra > LEAST:
        return ""
    return "█" * (1 + round(BLOCKS_PER_DECADE * math.log10(extra / LEAST)))


def summary(rows: Sequence[Row]) -> str:
    """The promises once more, and how many of them are kept."""
    promised = [row for row in rows if row.at_most is not None]
    words = [row.verdict for row in promised]
    counts = f"{words.count('pass')} pass, {words.count('FAIL')} FAIL, {words.count('open')} open (within the noise)"
    return "\n".join(["", f"Promised: {counts}", HEADER, *(row.line() for row in promised)])


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.2g}"


def _range(interval: Range | None) -> str:
    return "" if interval is None else f"{_number(interval[0])} … {_number(interval[1])}"
