"""How often a training is looked at: often at first, rarely later."""

import math

FIRST_LOOKS = (0, 1, 3, 8, 16, 32, 64)
"""Optimizer steps, from 0, that are looked at; later ones at even distances."""
LOOK_EVERY = 100
LATE = 1000
"""Steps, and batches, after which looks become rarer."""
LOOK_LATE_EVERY = 250
SCORES_EVERY = {300: 5, LATE: 20, math.inf: 100}
"""Batches from one to the next whose scores are read, up to a batch."""


def next_look(done: int) -> int:
    """Returns the step to be looked at next, from 0, of those after the first `done`.

    Example:
        >>> [next_look(done) for done in (0, 2, 65, 100, 1000)]
        [0, 3, 100, 200, 1250]
    """
    every = LOOK_EVERY if done < LATE else LOOK_LATE_EVERY
    return next((one for one in FIRST_LOOKS if one >= done), -(-(done + 1) // every) * every)


def scores_every(batches: int) -> int:
    """Returns after how many batches scores are read again, when so many have been.

    Example:
        >>> [scores_every(batches) for batches in (0, 300, 5000)]
        [5, 20, 100]
    """
    return next(every for until, every in SCORES_EVERY.items() if batches < until)
