import dataclasses
import pickle
from itertools import pairwise

import pytest

from lightning_cnnviz.schedule import Schedule


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_every_nth_epoch_is_due_counted_from_one(every):
    due = [epoch for epoch in range(30) if Schedule(every_n_epochs=every).epoch_due(epoch)]
    assert due == list(range(every - 1, 30, every))


def test_by_itself_every_epoch_is_due_and_no_step():
    assert all(Schedule().epoch_due(epoch) for epoch in range(5))
    assert not any(Schedule().step_due(step, step + 1) for step in range(100))


@pytest.mark.parametrize("every", [1, 2, 50])
def test_every_nth_optimizer_step_is_due(every):
    schedule = Schedule(every_n_train_steps=every)
    assert [step for step in range(1, 201) if schedule.step_due(step - 1, step)] == list(range(every, 201, every))


def test_a_step_that_is_seen_twice_is_due_once():
    schedule = Schedule(every_n_train_steps=5)
    seen = [0, 1, 1, 1, 4, 5, 5, 5, 6, 10, 10]  # with accumulation the step stays for several batches
    due = [step for last, step in pairwise(seen) if schedule.step_due(last, step)]
    assert due == [5, 10]


@pytest.mark.parametrize(("last", "step", "due"), [(3, 7, True), (4, 23, True), (6, 9, False), (5, 5, False)])
def test_a_jump_over_a_due_step_is_due(last, step, due):
    assert Schedule(every_n_train_steps=5).step_due(last, step) is due


def test_with_steps_no_epoch_is_due_and_with_epochs_no_step():
    assert not any(Schedule(every_n_train_steps=3).epoch_due(epoch) for epoch in range(20))
    assert not any(Schedule(every_n_epochs=3).step_due(step, step + 1) for step in range(20))


def test_both_intervals_are_refused():
    with pytest.raises(ValueError, match=r"got both \(2 and 50\); pass only one"):
        Schedule(every_n_epochs=2, every_n_train_steps=50)


@pytest.mark.parametrize("name", ["every_n_epochs", "every_n_train_steps"])
@pytest.mark.parametrize("interval", [0, -1])
def test_an_interval_below_one_is_refused_with_what_to_do(name, interval):
    with pytest.raises(ValueError, match=f"expected {name} to be at least 1, got {interval}; to draw nothing, remove"):
        Schedule(**{name: interval})


@pytest.mark.parametrize("name", ["every_n_epochs", "every_n_train_steps"])
@pytest.mark.parametrize("interval", [1.0, 0.5, "2", True, [1]])
def test_an_interval_that_is_no_whole_number_is_refused(name, interval):
    with pytest.raises(TypeError, match=f"expected {name} to be a whole number, got"):
        Schedule(**{name: interval})


def test_a_schedule_is_a_value():
    schedule = Schedule(every_n_epochs=2)
    assert schedule == Schedule(2) == pickle.loads(pickle.dumps(schedule))
    assert schedule != Schedule(3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.every_n_epochs = 3
