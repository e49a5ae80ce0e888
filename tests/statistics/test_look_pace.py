"""Looks are dense at first and rare later."""

from itertools import pairwise

from lightning_cnnviz.statistics.look_pace import next_look, scores_every


def test_steps_looked_at_follow_each_other_without_end():
    looked, done = [], 0
    while done < 2000:
        looked.append(next_look(done))
        done = looked[-1] + 1
    assert looked[:10] == [0, 1, 3, 8, 16, 32, 64, 100, 200, 300]
    assert looked[-5:] == [1000, 1250, 1500, 1750, 2000]
    assert all(one < other for one, other in pairwise(looked))


def test_scores_are_read_ever_more_rarely():
    read = [batch for batch in range(3000) if batch % scores_every(batch) == 0]
    assert [sum(low <= one < low + 300 for one in read) for low in (0, 300, 1200)] == [60, 15, 3]
