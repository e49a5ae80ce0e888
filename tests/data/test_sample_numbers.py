import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
)

from lightning_cnnviz.data.sample_numbers import (
    SampleNumbers,
    UnknownSamplesError,
    followed_loader,
    numbers_in_source,
    order_is_lost,
    repeated_batches,
    sample_count,
)

NUMBERS = TensorDataset(torch.arange(10))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(10))


class Endless(Dataset):
    def __getitem__(self, index):
        return index


class OwnLoader(DataLoader):
    def __iter__(self):
        return iter([1, 2])


class OwnBatches(BatchSampler):
    pass


def numbers_of(loader):
    return [batch[0].tolist() for batch in loader]


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(NUMBERS, 3),
        DataLoader(NUMBERS, 3, drop_last=True),
        DataLoader(NUMBERS, 3, sampler=DistributedSampler(NUMBERS, 2, 1, shuffle=False)),
        DataLoader(NUMBERS, 3, sampler=DistributedSampler(NUMBERS, 2, 0, shuffle=True)),
    ],
    ids=["in order", "drop last", "rank 1 of 2", "rank 0 of 2, shuffled"],
)
def test_an_order_that_is_fixed_is_repeated_without_any_random_number(loader):
    state = torch.get_rng_state()
    found = list(repeated_batches(loader))
    assert torch.equal(torch.get_rng_state(), state)
    assert found == numbers_of(loader)


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        (DataLoader(NUMBERS, 3, shuffle=True), "order of RandomSampler cannot be repeated; leave the validation unsh"),
        (DataLoader(NUMBERS, 3, sampler=SubsetRandomSampler([1, 2])), "order of SubsetRandomSampler"),
        (DataLoader(NUMBERS, batch_sampler=OwnBatches(RandomSampler(NUMBERS), 3, False)), "order of OwnBatches"),
        (DataLoader(Stream(), 3), "Stream is a stream, whose samples have no numbers"),
        (DataLoader(NUMBERS, batch_size=None), "with batch_size=None the dataset itself makes the batches"),
        (OwnLoader(NUMBERS, 3), "OwnLoader does not tell which samples"),
        ([1, 2], "list does not tell which samples"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_order_that_is_not_fixed_is_refused_with_the_reason(loader, reason):
    with pytest.raises(UnknownSamplesError, match=reason):
        repeated_batches(loader)


def test_a_dataset_without_a_length_and_batches_out_of_order_are_refused():
    loader = DataLoader(Endless(), batch_sampler=[[0, 1]])
    with pytest.raises(UnknownSamplesError, match="Endless has no length"):
        sample_count(loader)
    loader = DataLoader(NUMBERS, 3)
    loader.in_order = False
    with pytest.raises(UnknownSamplesError, match="in_order=False"):
        sample_count(loader)
    assert sample_count(DataLoader(NUMBERS, 3, shuffle=True)) == 10


def test_of_several_loaders_the_first_is_followed_where_they_come_one_after_the_other():
    one, other = DataLoader(NUMBERS, 3), DataLoader(NUMBERS, 2)
    assert followed_loader([[one], other], several=True) is one
    assert followed_loader([one], several=False) is one
    with pytest.raises(UnknownSamplesError, match="each batch holds samples of 2 dataloaders"):
        followed_loader({"a": one, "b": other}, several=False)


def test_a_batch_of_another_size_or_kind_is_not_known():
    numbers = SampleNumbers(iter([[0, 1], [2, 3], ["a", "b"], [torch.tensor(4)], [np.int64(5)]]), first=5)
    assert numbers.of(5, samples=2) == [0, 1]  # an epoch that goes on in its middle
    assert numbers.of(6, samples=3) is None
    assert numbers.of(7, samples=2) is None
    assert numbers.of(8, samples=1) is None
    assert numbers.of(9, samples=1) == [5]
    assert numbers.of(10, samples=1) is None


def test_batches_that_are_not_asked_for_are_counted_from_the_first_of_the_pass():
    numbers = SampleNumbers(iter([[0, 1], [2, 3], [4, 5], [6, 7]]))
    assert numbers.of(1, samples=2) == [2, 3]
    assert numbers.of(3, samples=2) == [6, 7]


def test_classes_in_another_order_are_told_from_other_classes():
    generator = np.random.default_rng(0)
    own = generator.integers(0, 3, 240)
    sorted_batches = np.sort(own.reshape(-1, 8), axis=1).ravel()
    exchanged = own.copy()  # a few wrong labels, as many of each class as before
    exchanged[:24] = generator.permutation(own[:24])
    assert order_is_lost(own, sorted_batches)
    assert not order_is_lost(own, own)
    assert not order_is_lost(own, exchanged)
    assert not order_is_lost(own, own % 2)
    assert not order_is_lost(np.arange(240) % 3, (np.arange(240) + 1) % 3)
    assert not order_is_lost(own[:0], own[:0])


def test_numbers_in_the_source_of_a_subset_of_a_subset():
    subset = Subset(Subset(NUMBERS, [9, 7, 5, 3]), [3, 0])
    numbers = numbers_in_source(subset, np.arange(2))
    assert [int(NUMBERS[number][0]) for number in numbers] == [int(subset[index][0]) for index in range(2)]
    assert numbers_in_source(NUMBERS, np.arange(2)).tolist() == [0, 1]
