import pickle

import torch

from lightning_cnnviz.statistics import thumbnails
from lightning_cnnviz.statistics.thumbnails import MAX_SIDE, Thumbnails


def images(*values, size=4):
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 1, size, size)


def kept(one):
    return {number: image.mean().item() for number, image in one.images(range(100)).items()}


def test_the_first_ones_are_kept_until_it_is_known_which_are_wanted():
    one = Thumbnails(most=3)
    one.add([5, 9], images(5, 9))
    one.add([2, 7], images(2, 7))
    one.add([1], images(1))
    assert kept(one) == {5: 5, 9: 9, 2: 2}
    one.want([7, 9])
    assert kept(one) == {9: 9}
    one.add([5, 7, 9], images(50, 70, 90))
    assert kept(one) == {7: 70, 9: 9}  # what is kept stays


def test_only_the_most_wanted_are_kept():
    one = Thumbnails(most=2)
    one.want([4, 3, 2])
    one.add([2, 3, 4], images(2, 3, 4))
    assert kept(one) == {3: 3, 4: 4}


def test_what_is_kept_does_not_follow_the_memory_of_the_batch():
    one, batch = Thumbnails(most=1), images(5).clone()
    one.add([5], batch)
    batch.zero_()
    assert kept(one) == {5: 5}


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(thumbnails, "MAX_BYTES", 3 * 4 * 4 * 4)
    one = Thumbnails(most=100)
    one.add(list(range(10)), images(*range(10)))
    assert len(kept(one)) == 3
    one.want(range(10))
    one.add(list(range(10)), images(*range(10)))
    assert len(kept(one)) == 3


def test_large_images_are_made_smaller_and_those_of_another_shape_left_out():
    one = Thumbnails(most=10)
    one.add([1], images(1, size=3 * MAX_SIDE))
    one.add([2], images(2, size=8))
    assert {number: image.shape[1] for number, image in one.images([1, 2]).items()} == {1: MAX_SIDE}


def test_copies_have_what_is_kept():
    one = Thumbnails(most=10)
    one.add([1], images(1))
    one.settle()
    one.add([2], images(2))
    assert kept(pickle.loads(pickle.dumps(one))) == {1: 1}
