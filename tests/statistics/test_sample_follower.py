import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lightning_cnnviz.data.sample_numbers import SampleNumbers
from lightning_cnnviz.model.score_listener import ScoredBatch
from lightning_cnnviz.statistics.sample_follower import NOT_FINITE, SampleFollower

DATA = TensorDataset(torch.rand(12, 1, 4, 4), torch.arange(12) % 3)
LOADER = DataLoader(DATA, 4)


def batch(numbers, right, targets=None):
    """A batch in which some samples are right."""
    targets = DATA.tensors[1][numbers] if targets is None else targets
    said = torch.where(torch.tensor(right), targets, (targets + 1) % 3)
    return ScoredBatch(DATA.tensors[0][numbers], targets, 2 * torch.eye(3)[said])


def run_pass(follower, epoch, right, order=None, **options):
    order = list(range(12)) if order is None else order
    parts = [order[start : start + 4] for start in range(0, 12, 4)]
    follower.begin(LOADER, SampleNumbers(iter(parts)) if follower.split == "train" else None)
    for index, numbers in enumerate(parts):
        follower.add(index, batch(numbers, [right(number) for number in numbers], **options))
    follower.end(epoch)


@pytest.fixture
def said(monkeypatch):
    """Lines that were said."""
    lines = []
    monkeypatch.setattr("lightning_cnnviz.statistics.sample_follower.rank_zero_info", lines.append)
    return lines


def test_samples_are_followed_through_passes_in_any_order(said):
    follower = SampleFollower("train", shown=4)
    run_pass(follower, 1, lambda number: number > 5)
    run_pass(follower, 2, lambda number: number > 3, order=list(range(11, -1, -1)))
    run_pass(follower, 3, lambda number: number in (4, 11))
    known = follower.known()
    assert known.first_learned.tolist() == [0, 0, 0, 0, 2, 2, 1, 1, 1, 1, 1, 1]
    assert known.forgotten.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0]
    assert known.passes.tolist() == [3] * 12
    assert follower.classes == 3
    assert said == []


def test_images_of_those_that_stand_out_are_kept():
    follower = SampleFollower("val", shown=1)  # of each ranking, three are wanted
    for epoch in range(1, 4):
        run_pass(follower, epoch, lambda number: number not in (2, 9))
    images = follower.thumbnails.images([2, 9])
    assert sorted(images) == [2, 9]
    assert torch.equal(images[9], DATA.tensors[0][9])


def test_other_data_are_refused_once_and_what_was_known_is_forgotten(said):
    follower = SampleFollower("val", shown=1)
    run_pass(follower, 1, lambda number: True)
    longer = SampleFollower("val", shown=1)
    longer.load_state_dict(follower.state_dict())
    run_pass(follower, 2, lambda number: True, targets=torch.full((4,), 2))
    assert "sample 0 had class 0 before and now has 2" in follower.refused
    run_pass(follower, 3, lambda number: True)
    assert len(said) == 1
    assert not follower.open
    assert follower.known() is follower.last is None
    assert follower.withdrawn
    assert follower.thumbnails.images(range(12)) == {}
    assert follower.state_dict() == {}
    longer.begin(DataLoader(TensorDataset(torch.zeros(5, 1)), 4))
    assert longer.refused == "of 12 samples there are now 5"


def test_batches_that_are_not_those_of_the_sampler_are_refused(said):
    follower = SampleFollower("train", shown=1)
    follower.begin(LOADER, SampleNumbers(iter([[0, 1, 2, 3], [4, 5]])))
    follower.add(0, batch([0, 1, 2, 3], [True] * 4))
    follower.add(1, batch([4, 5, 6, 7], [True] * 4))
    follower.add(2, batch([8, 9, 10, 11], [True] * 4))
    (line,) = said
    assert "samples of 'train' are not followed: the sampler has not told which 4 samples batch 1 holds" in line
    follower.end(1)
    assert follower.known() is None  # nothing of a pass in which something was not known


def test_a_validation_whose_batches_are_put_in_another_order_is_refused_in_its_first_pass(said):
    follower = SampleFollower("val", shown=1)
    follower.begin(LOADER)
    for index, numbers in enumerate([[0, 3, 1, 2], [6, 4, 7, 5], [9, 10, 8, 11]]):  # by class
        follower.add(index, batch(numbers, [True] * 4))
    follower.end(1)
    assert said == [
        "SampleHistory: the samples of 'val' are not followed: batches hold their samples in another order than the "
        "sampler; does a collate_fn sort them?"
    ]
    assert follower.known() is None
    assert not follower.withdrawn


def test_a_pass_without_finite_scores_says_so():
    follower = SampleFollower("val", shown=1)
    follower.begin(LOADER)
    follower.add(0, batch([0, 1, 2, 3], [True] * 4)._replace(scores=torch.full((4, 3), torch.nan)))
    follower.end(1)
    assert follower.untold == NOT_FINITE
    run_pass(follower, 2, lambda number: True)
    assert follower.untold == ""
    follower.begin(LOADER)
    follower.end(3)
    assert "no class scores" in follower.untold


def test_a_pass_in_which_something_else_was_taken_for_the_classes_is_dropped():
    follower = SampleFollower("val", shown=1)
    follower.begin(LOADER)
    follower.add(0, batch([0, 1, 2, 3], [False] * 4, targets=torch.tensor([2, 2, 2, 2])))
    follower.drop()
    follower.add(1, batch([4, 5, 6, 7], [True] * 4))
    follower.end(1)
    assert follower.known().passes.tolist() == [0] * 4 + [1] * 4 + [0] * 4


def test_a_checkpoint_holds_tensors_only_and_resumes():
    follower, resumed = SampleFollower("val", shown=1), SampleFollower("val", shown=1)
    assert follower.state_dict() == {}
    run_pass(follower, 1, lambda number: number > 5)
    state = follower.state_dict()
    assert all(isinstance(part, torch.Tensor) for part in state.values())
    resumed.load_state_dict(state)
    for one in (follower, resumed):
        run_pass(one, 2, lambda number: number < 9)
    for one, other in zip(follower.known(), resumed.known(), strict=True):
        np.testing.assert_array_equal(one, other)
    resumed.load_state_dict({})
    assert resumed.known() is None


class OtherRank:
    """A strategy whose other rank has refused."""

    root_device = torch.device("cpu")

    def reduce(self, tensor, reduce_op):
        assert reduce_op == "max"
        return torch.ones_like(tensor)


def test_no_rank_follows_what_another_does_not_know(said):
    follower = SampleFollower("train", shown=1)
    follower.begin(LOADER, SampleNumbers(iter([[0, 1, 2, 3]])))
    follower.add(0, batch([0, 1, 2, 3], [True] * 4))
    follower.end(1, OtherRank())
    assert follower.refused == "another process does not know its samples"
