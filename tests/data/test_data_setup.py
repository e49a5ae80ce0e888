"""What dataloaders tell of order, classes and shared samples, compared with counting by hand."""

import math

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from lightning_cnnviz.data.data_setup import MAX_BLOCKS, DataSetup, data_setup, samples_of, shared_samples


class Folder(Dataset):
    """Read from files, as those of torchvision are: paths, targets, no tensors."""

    def __init__(self, size=60, path="a"):
        self.samples = [(f"{path}/{number}.png", number % 3) for number in range(size)]
        self.targets = [target for _, target in self.samples]

    def __len__(self):
        return len(self.samples)


class Array(Dataset):
    def __init__(self, data):
        self.data, self.targets = data, list(range(len(data)))

    def __len__(self):
        return len(self.data)


class Stream(IterableDataset):
    def __iter__(self):
        yield from range(5)


class Unsized(Dataset):
    def __len__(self):
        raise TypeError("unknown")


def labelled(targets):
    return TensorDataset(torch.rand(len(targets), 3), torch.as_tensor(targets))


@pytest.mark.parametrize("size", [1, 7, 32])
def test_counts_and_purity_are_those_of_counting(size):
    targets = np.random.default_rng(0).integers(0, 4, 500)
    targets[:200] = np.sort(targets[:200])
    found = data_setup(DataLoader(labelled(targets), size))
    assert found.class_counts == tuple((targets == one).sum() for one in range(4))
    blocks = [targets[at : at + size] for at in range(0, 500 - size + 1, size)]
    if len(blocks) <= MAX_BLOCKS:
        assert found.purity == pytest.approx(np.mean([max(np.bincount(one)) / size for one in blocks]))
    assert (found.sequential, found.batch_size) == (True, size)


def test_the_order_is_known_only_of_sequential_samplers():
    data = labelled(torch.arange(60) // 20)
    in_order = {
        "plain": DataLoader(data, 4),
        "sampler": DataLoader(data, 4, sampler=SequentialSampler(data)),
        "batches": DataLoader(data, batch_sampler=BatchSampler(SequentialSampler(data), 4, drop_last=False)),
        "shuffled": DataLoader(data, 4, shuffle=True),
        "weighted": DataLoader(data, 4, sampler=WeightedRandomSampler(torch.ones(60), 60)),
        "own": DataLoader(data, batch_sampler=[[1, 2], [5, 3]]),
        "unbatched": DataLoader(data, None),
        "stream": DataLoader(Stream(), 4),
    }
    found = {name: data_setup(loader).sequential for name, loader in in_order.items()}
    assert [name for name, known in found.items() if known] == ["plain", "sampler"] or [
        name for name, known in found.items() if known
    ] == ["plain", "sampler", "batches"]


def test_where_nothing_is_known_nothing_is_said():
    assert data_setup(None) == DataSetup()
    for dataset in (Stream(), TensorDataset(torch.rand(6, 3)), list(range(6)), labelled(torch.rand(6))):
        found = data_setup(DataLoader(dataset, 2))
        assert found.class_counts == ()
        assert math.isnan(found.purity)
    unknown = data_setup(DataLoader(labelled([-1, 0, 1, 2]), 2))  # a class index is missing
    assert unknown.class_counts == ()
    large = data_setup(DataLoader(labelled([0, 1]), 64))
    assert math.isnan(large.purity)


def test_subsets_count_their_own_samples_in_their_own_order():
    data = labelled(torch.arange(40) % 2)
    even = Subset(Subset(data, range(10, 30)), [0, 2, 4, 6, 1, 3, 5, 7])
    found = data_setup(DataLoader(even, 4))
    assert (found.class_counts, found.purity) == ((4, 4), 1.0)
    both = data_setup(DataLoader(ConcatDataset([data, even]), 4))
    assert both.class_counts == (24, 24)


def share(train, val):
    return shared_samples(DataLoader(train, 2), DataLoader(val, 2))


def test_shared_samples_of_subsets_are_counted_by_their_origin():
    data = list(range(100))
    inner = Subset(data, range(20, 60))
    assert share(Subset(data, range(50)), Subset(data, range(40, 60))) == 0.5
    assert share(Subset(inner, range(20)), Subset(data, range(30, 50))) == 0.5  # 20…39 and 30…49
    assert share(Subset(inner, range(20)), Subset(inner, range(20, 40))) == 0.0
    assert share(data, Subset(data, [1, 2])) == 1.0
    assert share(data, data) == 1.0
    assert share(Subset(data, [3, 3, 3]), Subset(data, [3, 4])) == 0.5
    assert share(Subset(data, torch.tensor([1, 2]).tolist()), Subset(data, np.array([2, 3]))) == 0.5


def test_two_datasets_of_the_same_files_are_one():
    assert share(Subset(Folder(), range(40)), Subset(Folder(), range(30, 50))) == 0.5
    assert math.isnan(share(Folder(), Folder(path="b")))
    assert math.isnan(share(Folder(60), Folder(59)))
    images = np.random.default_rng(0).random((5000, 2, 2))
    other = images.copy()
    assert share(Subset(Array(images), range(10)), Subset(Array(other), range(5, 15))) == 0.5
    other[::3] += 1
    assert math.isnan(share(Array(images), Array(other)))
    tensors = torch.rand(50, 3)
    assert share(Array(tensors), Array(tensors.clone())) == 1.0
    assert math.isnan(share(Array(tensors), Array(tensors.numpy())))


def test_datasets_larger_than_memory_are_compared_by_some_of_their_samples(tmp_path):
    class Counting(np.ndarray):
        read = 0

        def __getitem__(self, key):
            found = super().__getitem__(key)
            Counting.read += found.size
            return found

    images = np.zeros((100_000, 4)).view(Counting)
    assert share(Subset(Array(images), [0]), Subset(Array(np.zeros((100_000, 4)).view(Counting)), [1])) == 0.0
    assert Counting.read <= 2 * 4 * 1000


def test_nothing_is_known_of_unlike_and_unsized_data():
    data = list(range(10))
    assert math.isnan(share(data, list(range(10))))
    assert math.isnan(share(data, Subset(data, [])))
    assert math.isnan(shared_samples(None, DataLoader(data)))
    assert math.isnan(shared_samples(DataLoader(data), None))
    stream = Stream()
    assert math.isnan(share(stream, stream))
    assert [samples_of(one) for one in (data, stream, Unsized(), None)] == [10, 0, 0, 0]
