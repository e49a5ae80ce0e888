"""Columns of a heat map: those of a resumed run go on, and a long run keeps columns that are even in time."""

import numpy as np
import pytest

from lightning_cnnviz.statistics.column_history import MAX_HEAT_MAP_COLUMNS, ColumnHistory


def filled(steps):
    history = ColumnHistory()
    history.begin(0)
    for step in steps:
        history.add(step, {"fc": float(step)})
    return history


def test_a_long_run_keeps_columns_that_are_even_in_time():
    steps = filled(range(1, 3 * MAX_HEAT_MAP_COLUMNS)).steps
    assert (len(steps), steps[0], steps[-1]) == (MAX_HEAT_MAP_COLUMNS, 1, 3 * MAX_HEAT_MAP_COLUMNS - 1)
    gaps = np.diff(steps[:-1])
    assert gaps.max() <= 2 * gaps.min()


def test_a_run_from_an_earlier_checkpoint_forgets_later_columns():
    history = filled([10, 20, 30])
    history.begin(20)
    assert (history.start, history.steps) == (0, [10, 20])
    history.begin(5)
    assert (history.start, history.steps) == (5, [])


def test_what_a_checkpoint_holds_is_restored_and_is_a_copy():
    history, other = filled([10, 20]), ColumnHistory()
    state = history.state_dict()
    history.add(30, {"fc": 3.0})
    other.load_state_dict(state)
    assert (other.start, other.columns) == (0, [(10, {"fc": 10.0}), (20, {"fc": 20.0})])


@pytest.mark.parametrize("state", [{"history": [(10, {"fc": 1.0})]}])
def test_a_checkpoint_of_before_has_no_start(state):
    history = ColumnHistory()
    history.load_state_dict(state)
    assert (history.start, history.steps) == (0, [10])
