"""The distribution of many values as counts in bins of equal width."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]


class Histogram(NamedTuple):
    """A distribution.

    Attributes:
        counts: Values in each bin, shape (bins,). Estimates where only some of the values were sorted into bins.
        low: The smallest value, where the first bin begins.
        high: The largest value, where the last bin ends.
        number: Number of values.
        total: Their sum.
        squares: Sum of their squares.
    """

    counts: Counts
    low: float
    high: float
    number: int
    total: float
    squares: float

    def edges(self) -> Counts:
        """Returns where bins begin and end, shape (bins + 1,).

        Example:
            >>> Histogram(np.array([2.0, 1.0]), 0.0, 4.0, 3, 5.0, 11.0).edges().tolist()
            [0.0, 2.0, 4.0]
        """
        return np.linspace(self.low, self.high, len(self.counts) + 1)
