import copy
import pickle

import pytest
import torch

from lightning_cnnviz.statistics.step_buffer import MAX_ELEMENTS, MAX_STEPS, StepBuffer


def collecting():
    """Something that waits, and what was read of it: one list of (steps, ...) copies per reading."""
    read = []
    return StepBuffer(lambda copies: read.append([one.clone() for one in copies])), read


def add(waiting, read, tensors):
    """As who uses it does: what can't wait is read at once."""
    if not waiting.add(tensors):
        waiting.read()
        read.append([tensor[None].clone() for tensor in tensors])


@pytest.mark.parametrize("steps", [1, MAX_STEPS - 1, MAX_STEPS, 3 * MAX_STEPS + 5])
def test_all_steps_are_read_once_and_in_their_order(steps):
    waiting, read = collecting()
    added = [[torch.randn(3, 2), torch.tensor(step)] for step in range(steps)]
    assert [waiting.add(added[0]) for _ in range(2)] == [False, True]
    waiting.clear()
    assert all(waiting.add(tensors) for tensors in added)
    waiting.read()
    waiting.read()
    found = [torch.cat(parts) for parts in zip(*read, strict=True)]
    expected = [torch.stack(parts) for parts in zip(*added, strict=True)]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    assert len(read) == -(-steps // MAX_STEPS)


def test_what_happens_to_a_tensor_later_does_not_show():
    waiting, read = collecting()
    gradient = torch.ones(4)
    waiting.add([gradient])
    assert waiting.add([gradient])
    gradient.zero_()
    waiting.add([gradient])
    waiting.read()
    assert read[0][0].tolist() == [[1] * 4, [0] * 4]
    assert gradient.tolist() == [0] * 4


@pytest.mark.parametrize(
    "other", [torch.ones(2), torch.ones(3, 1), torch.ones(3).double(), torch.tensor([1, 1, 1]), torch.tensor(0)]
)
def test_what_is_of_another_kind_does_not_wait_together(other):
    waiting, read = collecting()
    usual = torch.tensor([0.9, 1e30, 1.0])
    for tensor in (usual, usual, usual, other, usual, usual, other, other, other):
        add(waiting, read, [tensor])
    waiting.read()
    found = [one for (copies,) in read for one in copies]
    expected = [usual, usual, usual, other, usual, usual, other, other, other]
    assert len(found) == len(expected)
    for one, right in zip(found, expected, strict=True):
        assert one.dtype == right.dtype
        assert torch.equal(one, right)


def test_what_never_comes_twice_in_a_row_takes_no_memory():
    waiting, _ = collecting()
    for size in [10, 11] * 5:
        assert not waiting.add([torch.ones(size)])
        assert not waiting._storage


def test_inference_mode_may_come_and_go():
    waiting, read = collecting()
    for inference in (True, True, True, False, False, False, True, True):
        with torch.inference_mode(inference):
            add(waiting, read, [torch.ones(2)])
    waiting.read()
    assert sum(len(copies[0]) for copies in read) == 8


@pytest.mark.parametrize("numbers", [MAX_ELEMENTS // 2 + 1, MAX_ELEMENTS * 2])
def test_what_is_too_large_does_not_wait_and_nothing_is_copied(numbers):
    waiting, read = collecting()
    large = [torch.empty(numbers)]
    for _ in range(3):
        assert not waiting.add(large)
        assert not waiting._storage
    waiting.read()
    assert read == []


@pytest.mark.parametrize("numbers", [1, 1000, MAX_ELEMENTS // 40, MAX_ELEMENTS // 3])
def test_memory_is_bounded(numbers):
    waiting, _ = collecting()
    waiting.add([torch.zeros(numbers)])
    for _ in range(3):
        assert waiting.add([torch.zeros(numbers)])
        assert sum(room.numel() for room in waiting._storage) <= min(MAX_ELEMENTS, MAX_STEPS * numbers)


def test_what_is_forgotten_is_not_read():
    waiting, read = collecting()
    for _ in range(2):
        waiting.add([torch.ones(2)])
    waiting.clear()
    waiting.add([torch.zeros(2)])
    waiting.read()
    assert [copies[0].tolist() for copies in read] == [[[0, 0]]]


class Reader:
    def __init__(self):
        self.total = 0.0
        self.waiting = StepBuffer(self.read)

    def read(self, copies):
        self.total += float(copies[0].sum())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_begins_without_what_waits(duplicate):
    reader = Reader()
    for _ in range(2):
        reader.waiting.add([torch.ones(1000)])
    other = duplicate(reader)
    assert len(pickle.dumps(reader)) < 2000
    for _ in range(2):
        other.waiting.add([torch.full((1000,), 2.0)])
    for one in (reader, other):
        one.waiting.read()
    assert (reader.total, other.total) == (1000, 2000)


def test_a_tensor_may_be_absent_from_some_steps():
    waiting, read = collecting()
    one, other = torch.ones(2), torch.zeros(3)
    steps = [(one, other), (one, None), (None, other + 1), (one, other + 2), (None, None)]
    assert [waiting.add(list(step)) for step in steps] == [False, True, True, True, True]
    waiting.read()
    assert [[copy.tolist() for copy in copies] for copies in read] == [[[[1, 1]] * 2, [[1, 1, 1], [2, 2, 2]]]]


def test_one_that_comes_for_the_first_time_begins_anew():
    waiting, read = collecting()
    one, other = torch.ones(2), torch.zeros(3)
    assert [waiting.add([one, None]) for _ in range(3)] == [False, True, True]
    assert not waiting.add([one, other])
    assert len(read[0][0]) == 2
    assert waiting.add([None, other])
