"""The class-balanced order, and the choice that is made in it as batches go by."""

import numpy as np
import pytest
import torch
from helpers.numbered import numbered

from lightning_cnnviz.data.samples import BalancedReservoir, Samples, balanced_order

PLENTY = 2**30


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_balanced_order_deals_out_the_classes_in_turn(classes):
    targets = np.random.default_rng(classes).integers(0, classes, 60) * 7 - 1
    order = balanced_order(targets)
    assert sorted(order.tolist()) == list(range(60))
    piles = {label: np.flatnonzero(targets == label).tolist() for label in sorted(set(targets.tolist()))}
    dealt = []
    while any(piles.values()):
        dealt += [pile.pop(0) for pile in piles.values() if pile]
    assert order.tolist() == dealt


def test_no_samples_have_an_order_too():
    assert balanced_order(np.array([], dtype=int)).tolist() == []


def test_a_class_without_a_name_is_called_by_its_number():
    samples = Samples(numbered(1), torch.zeros(1), ["cat", "dog"])
    assert [samples.class_name(number) for number in (0, 1, 2, -1)] == ["cat", "dog", "2", "-1"]


# ---- the choice from a pass


def pour(inputs, targets, sizes, most, most_bytes=PLENTY, seed=0):
    """The choice from batches of these sizes."""
    reservoir = BalancedReservoir(most, most_bytes, seed)
    for number, batch in enumerate(zip(inputs.split(sizes), targets.split(sizes), strict=True)):
        reservoir.add(*batch, number)
    return reservoir


def shuffled_first(targets, most, seed=0):
    """Shuffles all samples, deals out their classes in turn and takes the first."""
    shuffled = np.argsort(np.random.default_rng(seed).random(len(targets)))
    return shuffled[balanced_order(targets.numpy()[shuffled])][:most].tolist()


def numbers(reservoir):
    return [int(row.inputs[0, 0, 0]) for row in reservoir.rows]


SIZES = [[1] * 120, [8] * 15, [50, 1, 60, 9], [120]]


@pytest.mark.parametrize("sizes", SIZES, ids=["ones", "eights", "uneven", "whole"])
@pytest.mark.parametrize("most", [1, 7, 40, 120, 500])
@pytest.mark.parametrize("classes", [1, 3, 30])
def test_the_choice_is_that_of_shuffling_the_whole_pass(sizes, most, classes):
    draw = np.random.default_rng(classes)
    targets = torch.from_numpy(np.minimum(draw.geometric(0.3, 120) - 1, classes - 1))  # some classes are rare
    reservoir = pour(numbered(120), targets, sizes, most, seed=3)
    assert numbers(reservoir) == shuffled_first(targets, most, seed=3)


def test_unknown_classes_count_as_a_class():
    targets = torch.tensor([-1, 0, -1, 1] * 10)
    reservoir = pour(numbered(40), targets, [8] * 5, 9)
    assert numbers(reservoir) == shuffled_first(targets, 9)
    assert [row.target for row in reservoir.rows] == [-1, 0, 1] * 3


def test_every_sample_keeps_its_class_and_its_place():
    targets = torch.arange(60) % 7
    reservoir = pour(numbered(60), targets, [13, 7, 20, 20], 25)
    starts = [0, 13, 20, 40]
    for number, row in zip(numbers(reservoir), reservoir.rows, strict=True):
        batch, place = row.place
        assert starts[batch] + place == number
        assert row.target == int(targets[number])
        assert isinstance(row.target, int)


def test_no_more_samples_are_kept_than_are_chosen():
    reservoir = BalancedReservoir(5, PLENTY, seed=0)
    for batch in range(10):
        reservoir.add(numbered(8), torch.arange(8) % 3, batch)
        assert len(reservoir.rows) == 5


def test_another_seed_gives_another_choice():
    targets = torch.zeros(100, dtype=torch.long)
    one, same, other = (pour(numbered(100), targets, [10] * 10, 10, seed=seed) for seed in (1, 1, 2))
    assert numbers(one) == numbers(same) != numbers(other)


def test_every_sample_of_a_class_is_as_likely():
    targets = torch.zeros(20, dtype=torch.long)
    times = np.zeros(20)
    for seed in range(400):
        times[numbers(pour(numbered(20), targets, [4] * 5, 5, seed=seed))] += 1
    assert times.sum() == 2000
    assert abs(times - 100).max() < 4.5 * np.sqrt(75)  # of each 100 ± 8.7 are expected


@pytest.mark.parametrize(("most_bytes", "expected"), [(4 * 16, 4), (5 * 16 - 1, 4), (1, 1), (PLENTY, 30)])
@pytest.mark.parametrize("size", [1, 6, 30])
def test_samples_together_take_no_more_memory_than_allowed_but_one_is_there(most_bytes, expected, size):
    targets = torch.arange(30) % 4
    reservoir = pour(numbered(30), targets, size, 100, most_bytes)
    assert numbers(reservoir) == shuffled_first(targets, expected)


# ---- what is kept of a batch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8])
def test_samples_are_copies_of_their_own_kind(dtype):
    batches = numbered(20).to(dtype).split(10)
    reservoir = BalancedReservoir(8, PLENTY, seed=0)
    for number, batch in enumerate(batches):
        given = batch.clone()
        reservoir.add(given, torch.arange(10) % 2, number)
        given.fill_(99)  # a loader that fills the same memory again
    assert numbers(reservoir) == shuffled_first(torch.arange(20) % 2, 8)
    for row in reservoir.rows:
        assert row.inputs.dtype == dtype
        assert (row.inputs == row.inputs[0, 0, 0]).all()


def test_a_sample_does_not_hold_the_memory_of_its_batch():
    reservoir = pour(numbered(64), torch.zeros(64, dtype=torch.long), [64], 2)
    assert [row.inputs.untyped_storage().nbytes() for row in reservoir.rows] == [16, 16]


def test_samples_need_no_gradient():
    x = numbered(8).requires_grad_()
    reservoir = pour(x, torch.zeros(8, dtype=torch.long), [4, 4], 3)
    assert not any(row.inputs.requires_grad for row in reservoir.rows)


def test_a_batch_without_samples_changes_nothing():
    targets = torch.arange(10) % 2
    reservoir = pour(numbered(10), targets, [4, 0, 6, 0], 6)
    assert numbers(reservoir) == shuffled_first(targets, 6)
