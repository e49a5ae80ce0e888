import copy
import pickle

import pytest
import torch

from lightning_cnnviz.waiting import MOST_NUMBERS, MOST_STEPS, Waiting


def collecting():
    """Something that waits, and what was read of it: one list of (steps, ...) copies per reading."""
    read = []
    return Waiting(lambda copies: read.append([one.clone() for one in copies])), read


@pytest.mark.parametrize("steps", [1, MOST_STEPS - 1, MOST_STEPS, 3 * MOST_STEPS + 5])
def test_all_steps_are_read_once_and_in_their_order(steps):
    waiting, read = collecting()
    added = [[torch.randn(3, 2), torch.tensor(step)] for step in range(steps)]
    assert all(waiting.add(tensors) for tensors in added)
    waiting.read()
    waiting.read()
    found = [torch.cat(parts) for parts in zip(*read, strict=True)]
    expected = [torch.stack(parts) for parts in zip(*added, strict=True)]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    assert len(read) == -(-steps // MOST_STEPS)


def test_what_happens_to_a_tensor_later_does_not_show():
    waiting, read = collecting()
    gradient = torch.ones(4)
    waiting.add([gradient])
    gradient.zero_()
    waiting.add([gradient])
    waiting.read()
    assert read[0][0].tolist() == [[1] * 4, [0] * 4]
    assert gradient.tolist() == [0] * 4


def test_other_shapes_do_not_wait_together():
    waiting, read = collecting()
    for size in (3, 3, 1, 3):
        waiting.add([torch.full((size,), float(size))])
    waiting.read()
    assert [copies[0].shape for copies in read] == [(2, 3), (1, 1), (1, 3)]
    assert all((copies[0] == copies[0].shape[1]).all() for copies in read)


@pytest.mark.parametrize("numbers", [MOST_NUMBERS // 2 + 1, MOST_NUMBERS * 2])
def test_what_is_too_large_does_not_wait_and_nothing_is_copied(numbers):
    waiting, read = collecting()
    waiting.add([torch.ones(2)])
    large = [torch.empty(numbers)]
    assert not waiting.add(large)
    assert not waiting.add(large)
    assert not waiting._room
    assert waiting.add([torch.ones(2)])
    waiting.read()
    assert [copies[0].tolist() for copies in read] == [[[1, 1]]] * 2


@pytest.mark.parametrize("numbers", [1, 1000, MOST_NUMBERS // 40, MOST_NUMBERS // 3])
def test_memory_is_bounded(numbers):
    waiting, _ = collecting()
    for _ in range(3):
        assert waiting.add([torch.zeros(numbers)])
        assert sum(room.numel() for room in waiting._room) <= min(MOST_NUMBERS, MOST_STEPS * numbers)


def test_what_is_forgotten_is_not_read():
    waiting, read = collecting()
    waiting.add([torch.ones(2)])
    waiting.forget()
    waiting.add([torch.zeros(2)])
    waiting.read()
    assert [copies[0].tolist() for copies in read] == [[[0, 0]]]


class Reader:
    def __init__(self):
        self.total = 0.0
        self.waiting = Waiting(self.read)

    def read(self, copies):
        self.total += float(copies[0].sum())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_begins_without_what_waits(duplicate):
    reader = Reader()
    reader.waiting.add([torch.ones(1000)])
    other = duplicate(reader)
    assert len(pickle.dumps(reader)) < 2000
    other.waiting.add([torch.full((1000,), 2.0)])
    for one in (reader, other):
        one.waiting.read()
    assert (reader.total, other.total) == (1000, 2000)
