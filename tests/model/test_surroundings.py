"""What a forward pass changes outside of the model is put back, in place, and nothing else is touched."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from lightning_cnnviz.model.contents import contents_of
from lightning_cnnviz.model.surroundings import surroundings_kept

STATE, NUMBER = {"list": [1], "set": {1}, "nested": {"deep": [[2]]}, "tensor": torch.zeros(2)}, 0
OTHER = [0]


def helper():
    global NUMBER, MADE
    NUMBER += 1
    MADE = True
    helper.calls.append(NUMBER)


helper.calls = []


class Changing(nn.Module):
    count, items, array = 0, [1], np.zeros(2)
    generator, own, python = torch.Generator(), np.random.default_rng(0), random.Random(0)
    old = np.random.RandomState(0)

    def forward(self, x, seen=[]):  # noqa: B006 - the slip in question
        Changing.count += 1
        Changing.new = 1
        self.items.append(2)
        self.array[0] += 1
        seen.append(3)
        STATE["list"].append(1)
        STATE["set"].add(2)
        STATE["nested"]["deep"][0].append(3)
        STATE["tensor"].add_(1)
        STATE["more"] = 1
        helper()
        torch.rand(1, generator=self.generator), self.own.random(), self.python.random(), self.old.rand()


def state():
    kept = {name: value.clone() if name == "tensor" else value for name, value in STATE.items()}
    generators = Changing.generator.get_state(), Changing.own.bit_generator.state, Changing.python.getstate()
    seen = Changing.forward.__defaults__
    own = Changing.count, hasattr(Changing, "new"), Changing.items, Changing.array.tolist(), Changing.old.get_state()
    return str((kept, generators, own, seen, NUMBER, helper.calls, "MADE" in globals()))


def test_all_that_a_pass_changes_is_put_back_in_place():
    before, places = state(), [id(STATE["list"]), id(STATE["nested"]["deep"]), id(Changing.items), id(STATE)]
    with surroundings_kept(contents_of(Changing())):
        Changing()(torch.ones(1))
        changed = state()
    assert changed != before
    assert state() == before
    assert [id(STATE["list"]), id(STATE["nested"]["deep"]), id(Changing.items), id(STATE)] == places


def test_so_it_is_after_an_error():
    before = state()
    with pytest.raises(ZeroDivisionError), surroundings_kept(contents_of(Changing())):  # noqa: PT012
        Changing()(torch.ones(1))
        1 / 0  # noqa: B018
    assert state() == before


def test_what_the_model_does_not_use_is_left_alone():
    with surroundings_kept(contents_of(Changing())):
        OTHER.append(1)
    assert OTHER.pop() == 1


def test_large_tensors_are_told():
    class Large(nn.Module):
        table, small = torch.zeros(2**19), torch.zeros(2)

    with surroundings_kept(contents_of(Large())) as large:
        assert [tensor is Large.table for tensor in large] == [True]
