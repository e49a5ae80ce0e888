"""Thinning of what is kept over the time of a run."""

from collections.abc import Sequence


def most_dispensable(steps: Sequence[int]) -> int:
    """Returns the index of the entry whose neighbours are closest to each other, never the first or the last.

    Dropping it whenever there are too many leaves entries that are spread over the whole run: if they come at even
    distances, no gap is more than twice another, except for that before the last. Of equals it is the latest; the
    earliest would leave uneven gaps behind those that have come last.

    Args:
        steps: Ascending, at least three.

    Example:
        >>> most_dispensable([1, 10, 20, 21, 30])
        3
    """
    return min(range(1, len(steps) - 1), key=lambda index: (steps[index + 1] - steps[index - 1], -index))
