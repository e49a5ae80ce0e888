"""What a model's attributes hold is found however deep it lies."""

import threading
import time
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from lightning_cnnviz.errors import NotRunAgainError
from lightning_cnnviz.model import contents as room
from lightning_cnnviz.model.contents import contents_of


class Helper:
    def __init__(self, **parts):
        self.__dict__.update(parts)


def test_each_kind_is_found_inside_of_containers_and_objects():
    net, teacher = nn.Linear(4, 3), nn.Sequential(nn.ReLU())
    average, array, data = torch.zeros(2), np.zeros(2), TensorDataset(torch.zeros(2))
    reference, weak, note = weakref.ref(net), weakref.WeakSet([net]), [].append
    net.parts = {"deep": [Helper(average=average, teacher=teacher), (array, data)], "weak": [reference, weak, note]}
    found = contents_of(net)
    assert found.modules == [net, teacher, teacher[0]]
    assert (found.tensors, found.arrays, found.apart) == ([average], [array], [data])
    assert (found.references, found.weak, found.functions) == ([reference], [weak], [note])
    assert Helper in found.kinds


def test_containers_of_plain_values_are_not_searched():
    net = nn.Linear(4, 3)
    net.table, net.mixed = {1: "a", 2: "b"}, [[1, 2], torch.zeros(1)]
    found = contents_of(net)
    assert found.flat == [net.table, [1, 2]]
    assert len(found.tensors) == 1


def test_an_object_that_copies_itself_in_its_own_way_is_not_searched():
    class Own(Helper):
        def __deepcopy__(self, memo):
            return self

    net = nn.Linear(4, 3)
    net.own, net.lock = Own(inside=torch.zeros(2)), threading.Lock()
    assert contents_of(net).tensors == []


@pytest.mark.parametrize("name", ["MAX_OBJECTS", "MAX_ENTRIES"])
def test_too_many_objects_are_not_copied(name, monkeypatch):
    monkeypatch.setattr(room, name, 50)
    net = nn.Linear(4, 3)
    net.boxes = [[number] for number in range(60)]
    with pytest.raises(NotRunAgainError, match="too many objects"):
        contents_of(net)


def test_a_large_table_takes_a_small_part_of_the_time_in_which_it_was_made():
    net, start = nn.Linear(4, 3), time.perf_counter()
    net.table = {str(number): number for number in range(1_000_000)}
    made = time.perf_counter()
    contents_of(net)
    assert time.perf_counter() - made < made - start
