"""Which weights to look at more closely in which steps."""

import math
from collections.abc import Sequence

MAX_COPIED = 2**22
"""Entries that are copied in a step, 16 MB in single precision."""
LARGEST_SHARE = 1 / 8
"""Share of a weight's steps at which it is looked at; less in a network of many times `MAX_COPIED`."""


class LookSchedule:
    """Chooses weights by turns, so that each is seen often and few are copied at once.

    Each weight counts the steps in which it takes part, and is looked at in pairs of them, so that of two tasks that
    take turns both are seen. The pairs are spread evenly but at no fixed interval, in which something periodic could
    hide; the first pair is one of them. If that is too much for one step, some weights wait for the next.

    Args:
        entries: Entries to be copied of each weight.

    Example:
        >>> schedule = LookSchedule([MAX_COPIED, 10, 10])
        >>> [schedule.choose([0, 1, 2]) for _ in range(5)]
        [[0], [0], [1, 2], [1, 2], []]
    """

    def __init__(self, entries: Sequence[int]) -> None:
        self._entries = entries
        self._share = min(LARGEST_SHARE, MAX_COPIED / (2 * max(1, sum(entries))))
        self.clear()

    def clear(self) -> None:
        """Begins anew: the next steps are looked at."""
        self._steps = [0] * len(self._entries)
        self._left: dict[int, int] = {}  # weight → steps to look at it, longest waiting first

    def choose(self, rows: Sequence[int]) -> list[int]:
        """Counts a step, and returns which of the weights that take part in it are to be looked at, ascending."""
        due: dict[int, bool] = {}
        for row in rows:
            step = self._steps[row]
            self._steps[row] += 1
            if step not in due:
                due[step] = step % 2 == 0 and self._is_due(step // 2)
            if due[step]:
                self._left.setdefault(row, 2)
        if not self._left:
            return []
        chosen, room, present = list[int](), MAX_COPIED, set(rows)
        for row in sorted(self._left, key=self._left.__getitem__):  # those first whose pair has begun
            if row in present and self._entries[row] <= room:
                chosen.append(row)
                room -= self._entries[row]
        for row in chosen:
            self._left[row] -= 1
            if not self._left[row]:
                del self._left[row]
        return sorted(chosen)

    def _is_due(self, pair: int) -> bool:
        golden_ratio = (1 + math.sqrt(5)) / 2
        return pair * golden_ratio % 1 < self._share
