"""Where an axis has its ticks, and what stands at them."""

import math
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lightning_cnnviz.functional.drawing.caption import text_width
from lightning_cnnviz.functional.drawing.image import FloatArray

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Distances of ticks, times a power of ten."""
PLAIN = (1e-4, 1e6)
"""Magnitudes that are written without an exponent."""
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LARGEST = sys.float_info.max
LABEL_GAP = 14
"""Minimum distance of neighbouring labels, in pixels."""


class Axis(NamedTuple):
    """An axis, from left to right or from the bottom to the top.

    Attributes:
        low: Value at its start.
        high: Value at its end; may be below `low`.
        ticks: Values that have a tick.
        labels: A label for each.
    """

    low: float
    high: float
    ticks: Sequence[float]
    labels: Sequence[str]

    def share(self, values: FloatArray) -> FloatArray:
        """Returns how far along the axis values lie: 0 at its start, 1 at its end."""
        # Halves, because the difference of the largest numbers is beyond what can be represented.
        return np.asarray((values / 2 - self.low / 2) / (self.high / 2 - self.low / 2))


def linear_axis(low: float, high: float, most: int, *, whole: bool = False, margin: float = 0.0) -> Axis:
    """Returns an axis with at most about `most` ticks, at multiples of 1, 2, 2.5 or 5 times a power of ten.

    Args:
        low: Smallest value, finite.
        high: Largest value, finite, not below `low`.
        most: Number of ticks, at least 1.
        whole: Only whole numbers have ticks.
        margin: Space below `low` and above `high`, as a share of their distance.

    Example:
        >>> linear_axis(0.12, 0.48, 4).labels
        ['0.2', '0.3', '0.4']
        >>> linear_axis(3e-9, 5e-9, 4).labels
        ['3.0e-9', '3.5e-9', '4.0e-9', '4.5e-9', '5.0e-9']
    """
    largest = max(abs(low), abs(high))
    exponent = 0
    if largest > 0 and not PLAIN[0] <= largest < (1e15 if whole else PLAIN[1]):
        exponent = math.floor(math.log10(largest))
    unit = 10.0 ** max(exponent, -300)
    bottom, top = low / unit, high / unit
    if top - bottom <= 1e-9 * max(abs(bottom), abs(top)):  # all the same, but for rounding
        spread = 0.05 * max(abs(bottom), abs(top)) or 0.05
        bottom, top = bottom - spread, top + spread
    else:
        bottom, top = bottom - margin * (top - bottom), top + margin * (top - bottom)
    step = _step((top - bottom) / most, whole)
    marks = [float(number * step) for number in range(math.ceil(bottom / step), math.floor(top / step) + 1)]
    digits = next((count for count in range(12) if math.isclose(round(step, count), step, rel_tol=1e-9)), 12)
    suffix = f"e{exponent}" if exponent else ""
    labels = [f"{mark:.{digits}f}{suffix}" if mark else f"{0:.{0 if exponent else digits}f}" for mark in marks]
    low, high = max(-LARGEST, bottom * unit), min(LARGEST, top * unit)
    return Axis(low, high, [mark * unit for mark in marks], labels)


def log_axis(low: float, high: float, most: int) -> Axis:
    """Returns a logarithmic axis: its values and ticks are logarithms, its labels are not.

    Args:
        low: Logarithm (base 10) of the smallest value.
        high: Of the largest, above `low`.
        most: Number of ticks, at least 2.

    Example:
        >>> log_axis(-3.2, -0.9, 6)
        Axis(low=-3.2, high=-0.9, ticks=[-3.0, -2.0, -1.0], labels=['10⁻³', '10⁻²', '10⁻¹'])
        >>> log_axis(-2.2, -1.3, 6).labels
        ['0.01', '0.02', '0.05']
    """
    decades = range(math.ceil(low), math.floor(high) + 1)
    if len(decades) >= 3 or len(decades) == most == 2:
        stride = -(-len(decades) // most)
        marks = [float(decade) for decade in decades if decade % stride == 0]
        return Axis(low, high, marks, [_power(decade) for decade in decades if decade % stride == 0])
    finer = [
        (decade + math.log10(digit), digit, decade)
        for decade in range(math.floor(low), math.floor(high) + 1)
        for digit in (1, 2, 5)
    ]
    finer = [entry for entry in finer if low <= entry[0] <= high]
    if len(finer) >= 2:
        return Axis(low, high, [mark for mark, *_ in finer], [_product(digit, decade) for _, digit, decade in finer])
    unit = 10.0 ** math.floor(low)  # so that the smallest numbers are not rounded to zero
    inner = linear_axis(10 ** (low - math.floor(low)), 10 ** (high - math.floor(low)), most)
    marks = [math.log10(tick) + math.floor(low) for tick in inner.ticks]
    inside = [mark for mark in marks if low <= mark <= high]
    return Axis(low, high, inside, [f"{10 ** (mark - math.floor(low)) * unit:.4g}" for mark in inside])


def fitting(axis: Callable[[int], Axis], room: int, most: int = 12) -> Axis:
    """Returns the axis with the most ticks, up to `most`, whose labels stand side by side without touching.

    Args:
        axis: Returns the axis for a number of ticks.
        room: Its length, in pixels.
        most: Maximum number of ticks.
    """
    for count in range(most, 1, -1):
        found = axis(count)
        widest = max(map(text_width, found.labels), default=0)
        places = found.share(np.array(found.ticks)) * room
        if len(places) < 2 or np.abs(np.diff(places)).min() >= widest + LABEL_GAP:
            return found
    return axis(1)


def _step(least: float, whole: bool) -> float:
    if whole and least <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    steps = [step * power for step in STEPS]
    return next(step for step in steps if step >= least * (1 - 1e-9) and not (whole and step % 1))


def _product(digit: int, exponent: int) -> str:
    if -4 <= exponent <= 3:
        return f"{digit * 10.0**exponent:.10g}"
    return f"{digit}×{_power(exponent)}" if digit > 1 else _power(exponent)


def _power(exponent: int) -> str:
    return "10" + str(exponent).translate(SUPERSCRIPTS)
