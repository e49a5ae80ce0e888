"""What computed the values of a tensor: against memory in which every operation leaves its number."""

import gc

import numpy as np
import pytest
import torch

from lightning_cnnviz.model.memory_history import MAX_MASK_BYTES, MemoryHistory, Region


def some_view(x, random):
    """A view of a tensor, of some kind."""
    kinds = [
        lambda: x[random.integers(len(x)) :] if x.ndim else x,
        lambda: x[..., :: random.integers(1, 4)] if x.ndim else x,
        lambda: x.transpose(0, -1) if x.ndim else x,
        lambda: x[random.integers(len(x))] if x.ndim > 1 else x,
        lambda: x.unsqueeze(0).expand(2, *x.shape),
        lambda: x.diagonal() if x.ndim > 1 else x,
        lambda: x.view(-1) if x.is_contiguous() else x,
    ]
    return kinds[random.integers(len(kinds))]()


@pytest.mark.parametrize("seed", range(40))
def test_sources_are_the_numbers_that_operations_left_in_memory(seed):
    random = np.random.default_rng(seed)
    history = MemoryHistory()
    base = torch.zeros(4, 5, 6)
    history.allocated(base, 0)
    viewed = {}  # id of a view → its number
    tensors = [base]
    for number in range(1, 25):
        tensor = tensors[random.integers(len(tensors))]
        if random.random() < 0.5:
            view = some_view(tensor, random)
            if view is tensor or not view.numel():
                continue
            history.viewed(view, number)
            viewed[id(view)] = number
            tensors.append(view)
        elif 0 not in tensor.stride():
            tensor.fill_(number)
            history.wrote(tensor, number)
        for held in tensors:
            left = set(held.unique().int().tolist())
            own = viewed.get(id(held))
            expected = left if own is None else {n for n in left if n > own} | ({own} if min(left) < own else set())
            found = history.sources(held)
            assert (set(found.writers), found.certain) == (expected, True)
            assert len(found.writers) == len(expected)


def test_what_has_never_been_written_has_no_source_and_what_was_only_allocated_an_unseen_one():
    history = MemoryHistory()
    assert history.sources(torch.zeros(3)) == ((), True)
    x = torch.empty(4)
    history.allocated(x, None)
    assert history.sources(x) == ((), False)
    history.wrote(x[:2], 5)
    assert history.sources(x) == ((5,), False)
    assert history.sources(x[:2]) == ((5,), True)


def test_tensors_that_are_gone_are_forgotten_and_their_memory_is_not_confused():
    history = MemoryHistory()
    for number in range(200):
        x = torch.zeros(1000)
        assert not history.known(x)
        history.allocated(x, number)
        history.viewed(view := x[1:], -number)
        assert history.sources(view).writers == (-number,)
    del x, view
    gc.collect()
    assert len(history._writes) == len(history._views) == 0


def test_a_name_that_is_passed_on_keeps_the_view():
    history, x = MemoryHistory(), torch.zeros(4)
    history.allocated(x, 7)
    view = x.view(2, 2)
    history.viewed(view, 8)
    same, other = view.detach(), x.detach()
    history.passed_on(same, view)
    history.passed_on(other, x)
    assert history.sources(same).writers == (8,)
    assert history.sources(other).writers == (7,)


def test_tensors_without_memory_of_their_own():
    history, x = MemoryHistory(), torch.eye(3).to_sparse()
    history.allocated(x, 9)
    assert history.sources(x) == ((9,), True)


def test_overlaps_too_large_to_be_told_apart_are_said_to_be_uncertain():
    history = MemoryHistory()
    large = torch.empty(2, MAX_MASK_BYTES, dtype=torch.uint8, device="meta")
    history.allocated(large, 7)
    history.wrote(large[:, ::2], 4)
    assert history.sources(large[:, ::3]) == ((7,), False)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: x[:, 1],
        lambda x: x[1:, ::2],
        lambda x: x.transpose(0, 2),
        lambda x: x[:0],
        lambda x: x[0, 0].expand(3, -1),
        lambda x: x[..., None],
        lambda x: torch.view_as_complex(x),
    ],
)
def test_regions_are_the_bytes_of_a_tensor(make):
    x = torch.zeros(3, 4, 2)
    part = make(x)
    if part.is_complex():
        x.fill_(1)
    elif part.numel():
        (part[0] if 0 in part.stride() else part).fill_(1)
    bytes_set = np.repeat(x.flatten().numpy() != 0, x.element_size())
    region = Region.of(part)
    np.testing.assert_array_equal(region.mask(0, x.nbytes), bytes_set)
    places = np.flatnonzero(bytes_set)
    if len(places):
        assert (region.start, region.end) == (places[0], places[-1] + 1)
        assert region.dense == (len(places) == region.end - region.start and 0 not in region.stride)
