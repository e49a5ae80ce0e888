import numpy as np
import pytest

from lightning_cnnviz.functional.thinning import most_dispensable


@pytest.mark.parametrize("most", [3, 4, 5, 7, 10, 50])
@pytest.mark.parametrize(("start", "distance"), [(1, 1), (0, 2), (391, 391)])
def test_what_is_kept_is_even_in_time_at_every_moment(most, start, distance):
    kept = []
    for step in range(start, start + distance * (6 * most + 100), distance):
        kept.append(step)
        if len(kept) > most:
            del kept[most_dispensable(kept)]
        assert kept[0] == start
        assert kept[-1] == step
        gaps = np.diff(kept[:-1])
        assert len(gaps) == 0 or gaps.max() <= 2 * gaps.min()
    assert len(kept) == most


def test_where_something_happens_more_often_more_is_dropped():
    kept = []
    for step in [*range(0, 1000, 100), *range(1000, 1100), *range(1100, 2100, 100)]:
        kept.append(step)
        if len(kept) > 20:
            del kept[most_dispensable(kept)]
    assert np.diff(kept[:-1]).min() >= 50
    assert np.diff(kept).max() <= 200
