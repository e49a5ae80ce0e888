"""What waits to be drawn, and what gives way where it takes too much memory. Knows nothing of threads."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

MIN_JOB_BYTES = 2**14
"""Bytes for which a job counts at least: titles, captions and the objects around them."""


@dataclass(frozen=True, eq=False)
class Job:
    """Work to be done later.

    Attributes:
        work: Does the work; must handle its own failures.
        tag: What it draws; None for work that takes no time and needs no helper, such as writing scalars.
        step: Optimizer step of what it draws.
        size: Bytes that it holds while it waits.
        kept: Whether it may never be left out to make room.
        cumulative: Whether a newer one of its tag shows all that it shows.
        dropped: Called when it is left out.
    """

    work: Callable[[], object]
    tag: str | None = None
    step: int = 0
    size: int = 0
    kept: bool = False
    cumulative: bool = False
    dropped: Callable[[], None] = lambda: None


class Waiting:
    """Jobs in order of arrival; those that are never left out, which are quick, go first.

    Where the others hold more than `max_bytes`, some give way: older ones of a cumulative tag first; after them, one
    by one, a job of the tag that has most of them, namely that which is closest in steps to the one before it, so that
    the gaps between those that remain differ by a factor of two at most. The first job of a tag and the newest never
    give way, nor do `kept` ones.

    Args:
        max_bytes: Bytes beyond which jobs give way.

    Example:
        >>> waiting = Waiting(max_bytes=4 * MIN_JOB_BYTES)
        >>> for step in range(1, 10):
        ...     gone = waiting.add(Job(lambda: None, "kernels/conv1", step))
        >>> [job.step for job in waiting.clear()]
        [1, 5, 7, 9]
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.kept_bytes = self.bytes = 0
        self._kept: OrderedDict[int, Job] = OrderedDict()
        self._others: OrderedDict[int, Job] = OrderedDict()
        self._of_tag: dict[str, OrderedDict[int, Job]] = {}
        self._last_step: dict[str, int] = {}
        self._lost: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return len(self._kept) + len(self._others)

    def __bool__(self) -> bool:
        return bool(self._kept or self._others)

    @property
    def pictures(self) -> int:
        """Number of jobs that have a tag."""
        return len(self._others) + sum(job.tag is not None for job in self._kept.values())

    def add(self, job: Job) -> list[Job]:
        """Adds a job; returns those that give way to it."""
        self._count += 1
        if job.kept or job.tag is None:
            self._kept[self._count] = job
            self.kept_bytes += _size(job)
            return []
        self._others[self._count] = job
        self._of_tag.setdefault(job.tag, OrderedDict())[self._count] = job
        self.bytes += _size(job)
        return list(self._make_room())

    def take(self) -> Job:
        """Removes and returns the next job.

        Raises:
            LookupError: If there is none.
        """
        if self._kept:
            _, job = self._kept.popitem(last=False)
            self.kept_bytes -= _size(job)
            return job
        number = next(iter(self._others), None)
        if number is None:
            raise LookupError("nothing waits")
        job = self._remove(number)
        self._last_step[str(job.tag)] = job.step
        return job

    def clear(self) -> list[Job]:
        """Removes and returns all jobs that have a tag."""
        gone = [job for job in self._kept.values() if job.tag is not None]
        self._kept = OrderedDict((number, job) for number, job in self._kept.items() if job.tag is None)
        self.kept_bytes = sum(map(_size, self._kept.values()))
        return gone + [self._remove(number) for number in list(self._others)]

    def _make_room(self) -> Iterator[Job]:
        while self.bytes > self.max_bytes:
            cumulative = [tag for tag, jobs in self._of_tag.items() if len(jobs) > 1 and _newest(jobs).cumulative]
            if cumulative:
                yield self._remove(next(iter(self._of_tag[cumulative[0]])))
                continue
            tags = [tag for tag, jobs in self._of_tag.items() if len(jobs) > 1 + (tag not in self._last_step)]
            if not tags:
                return
            tag = max(tags, key=lambda tag: (len(self._of_tag[tag]), -self._lost[tag]))
            self._lost[tag] += 1
            yield self._remove(self._closest(tag))

    def _closest(self, tag: str) -> int:
        """Returns the number of the job, neither first nor newest of its tag, that is closest to the one before it."""
        numbers, steps = list(self._of_tag[tag]), [job.step for job in self._of_tag[tag].values()]
        if tag in self._last_step:  # the first is not here any more
            steps.insert(0, self._last_step[tag])
            numbers.insert(0, 0)
        gaps = [after - before for before, after in pairwise(steps[:-1])]
        return numbers[1 + gaps.index(min(gaps))]

    def _remove(self, number: int) -> Job:
        job = self._others.pop(number)
        tag = str(job.tag)
        del self._of_tag[tag][number]
        if not self._of_tag[tag]:
            del self._of_tag[tag]
        self.bytes -= _size(job)
        return job


def _size(job: Job) -> int:
    return max(job.size, MIN_JOB_BYTES)


def _newest(jobs: OrderedDict[int, Job]) -> Job:
    return jobs[next(reversed(jobs))]
