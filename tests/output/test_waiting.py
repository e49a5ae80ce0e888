"""What gives way where too much waits: evenly over time, no tag more than another, first and last kept."""

import numpy as np
import pytest

from lightning_cnnviz.output.waiting import MIN_JOB_BYTES, Job, Waiting


def job(tag, step, size=0, **options):
    return Job(lambda: None, tag, step, size, **options)


def waiting_after(rounds, tags, room, take_first=0, **options):
    """What is left of `rounds` rounds of jobs of each tag, tag → steps, where there is room for so many jobs."""
    waiting, gone = Waiting(room * MIN_JOB_BYTES), []
    for step in range(1, rounds + 1):
        for tag in tags:
            gone += waiting.add(job(tag, step, **options))
        for _ in range(take_first if step == 1 else 0):
            waiting.take()
        assert waiting.bytes <= waiting.max_bytes
    left = {tag: [] for tag in tags}
    while waiting:
        one = waiting.take()
        left[one.tag].append(one.step)
    assert len(gone) + sum(map(len, left.values())) == rounds * len(tags) - take_first
    return left


@pytest.mark.parametrize("room", [4, 7, 16, 25, 50])
@pytest.mark.parametrize("rounds", [60, 199, 1000])
def test_what_remains_of_a_tag_is_spread_evenly_over_the_run(rounds, room):
    (steps,) = waiting_after(rounds, ["kernels"], room).values()
    assert (len(steps), steps[0], steps[-1]) == (min(room, rounds), 1, rounds)
    gaps = np.diff(steps)
    assert max(gaps) <= 2 * min(gaps[:-1])  # the last step is where the run is now


def test_the_first_may_give_way_where_an_earlier_one_has_been_drawn():
    (steps,) = waiting_after(200, ["kernels"], 10, take_first=1).values()
    assert steps[-1] == 200
    gaps = np.diff([1, *steps])
    assert max(gaps) <= 2 * min(gaps[:-1])


def test_no_tag_loses_more_than_another():
    tags = [f"kernels/{number}" for number in range(30)]
    left = waiting_after(100, tags, 30 * 8 + 7)
    counts = {len(steps) for steps in left.values()}
    assert max(counts) - min(counts) <= 1
    for steps in left.values():
        assert (steps[0], steps[-1]) == (1, 100)


def test_a_tag_that_comes_seldom_loses_nothing_while_others_have_more():
    waiting = Waiting(40 * MIN_JOB_BYTES)
    for step in range(1, 501):
        waiting.add(job("often", step))
        if step % 50 == 0:
            waiting.add(job("seldom", step))
    left = waiting.clear()
    assert [one.step for one in left if one.tag == "seldom"] == list(range(50, 501, 50))
    assert sum(one.tag == "often" for one in left) == 30


def test_the_newest_of_a_cumulative_tag_has_it_all_so_that_older_ones_give_way_first():
    waiting = Waiting(10 * MIN_JOB_BYTES)
    gone = [
        one
        for step in range(1, 9)
        for tag in ("curves", "kernels")
        for one in waiting.add(job(tag, step, cumulative=tag == "curves"))
    ]
    assert {one.tag for one in gone} == {"curves"}
    left = waiting.clear()
    assert [one.step for one in left if one.tag == "kernels"] == list(range(1, 9))
    assert [one.step for one in left if one.tag == "curves"] == [7, 8]


def test_as_long_as_there_is_room_nothing_gives_way_not_even_cumulative_ones():
    waiting = Waiting(1000 * MIN_JOB_BYTES)
    assert not [one for step in range(500) for one in waiting.add(job("curves", step, cumulative=True))]


def test_sizes_count():
    waiting = Waiting(1_000_000)
    for step in range(1, 10):
        waiting.add(job("large", step, 300_000))
    assert [one.step for one in waiting.clear()] == [1, 5, 9]
    assert waiting.bytes == 0


def test_kept_ones_and_the_first_and_newest_of_each_tag_never_give_way():
    waiting = Waiting(1)
    for step in range(1, 6):
        waiting.add(job("record", step, 1000, kept=True))
        waiting.add(job("kernels", step))
        waiting.add(job(None, step))
    left = waiting.clear()
    assert [one.step for one in left if one.tag == "record"] == [1, 2, 3, 4, 5]
    assert [one.step for one in left if one.tag == "kernels"] == [1, 5]
    assert len(waiting) == 5  # those without a tag


def test_taking_from_nothing_is_an_error():
    with pytest.raises(LookupError):
        Waiting(1).take()
