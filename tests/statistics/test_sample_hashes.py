"""The estimated share of validation samples among those of the training, compared with counting them."""

import math
import pickle

import pytest
import torch

from lightning_cnnviz.statistics.sample_hashes import SampleHashes, hashes_of


def images(number, seed=0, shape=(1, 8, 8)):
    return torch.rand(number, *shape, generator=torch.Generator().manual_seed(seed))


def shared(train, val, samples=None):
    hashes = SampleHashes()
    for part in train.split(16):
        hashes.add(part, "train")
    for part in val.split(16):
        hashes.add(part, "val")
    return hashes.shared(len(train) if samples is None else samples)


@pytest.mark.parametrize("leaked", [0, 20, 50, 100])
def test_the_share_is_that_of_counting_where_all_was_seen(leaked):
    train = images(400)
    val = torch.cat([train[:leaked], images(100 - leaked, seed=1)])
    assert shared(train, val) == pytest.approx(leaked / 100)


def test_of_a_training_seen_in_part_the_share_is_estimated():
    train, val = images(4000), images(4000)[torch.randperm(4000, generator=torch.Generator().manual_seed(2))[:400]]
    assert shared(train[:1000], val, samples=4000) == pytest.approx(1, abs=0.15)
    assert math.isnan(shared(train[:10], val[:100], samples=4000))  # too few to tell


def test_too_little_is_no_number():
    assert math.isnan(SampleHashes().shared(100))
    assert math.isnan(shared(images(50), images(3)))
    assert math.isnan(shared(images(50), images(50), samples=0))


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_a_bit_makes_another_sample_in_every_type(dtype):
    values = (images(32) * 200).to(dtype)
    other = values.clone()
    other[:, 0, 3, 5] += 1 if not dtype.is_floating_point else 2
    one, two = hashes_of(values), hashes_of(other)
    assert len({*one.tolist(), *two.tolist()}) == 64
    assert torch.equal(one, hashes_of(values.clone()))


def test_complex_numbers_and_truth_values():
    values = torch.complex(images(16), images(16, seed=1))
    assert len(set(hashes_of(values).tolist())) == 16
    assert torch.equal(hashes_of(values), hashes_of(values.clone()))
    assert len(set(hashes_of(images(64) > 0.5).tolist())) == 64


def test_what_batch_a_sample_is_in_makes_no_difference():
    values = images(48)
    whole = hashes_of(values)
    assert torch.equal(torch.cat([hashes_of(part) for part in values.split(5)]), whole)
    order = torch.randperm(48)
    assert torch.equal(hashes_of(values[order]), whole[order])
    strided = torch.empty(48, 1, 8, 16)[..., ::2].copy_(values)
    assert torch.equal(hashes_of(strided), whole)


def test_entries_in_another_order_are_another_sample():
    values = images(8)
    assert not set(hashes_of(values).tolist()) & set(hashes_of(values.flip(-1)).tolist())


def test_empty_samples_are_no_evidence():
    blank = torch.stack([torch.full((1, 8, 8), float(level)) for level in range(60)])
    assert (hashes_of(blank) == 0).all()
    assert math.isnan(shared(blank, blank))
    assert math.isnan(shared(torch.rand(60, 3), torch.rand(60, 3)))  # too few entries to be told apart
    whole = SampleHashes()
    whole.add(torch.zeros(0, 8), "train")
    assert math.isnan(whole.shared(10))


def test_many_different_samples_have_many_different_hashes():
    for shape in ((1, 28, 28), (3, 32, 32), (4,), (5000,)):
        values = images(2000, shape=shape)
        assert len(set(hashes_of(values).tolist())) == 2000
        binary = (values > 0.5).float()
        if binary[0].numel() > 100:
            assert len(set(hashes_of(binary).tolist())) == 2000


def test_a_copy_keeps_what_was_read():
    hashes, values = SampleHashes(), images(40)
    hashes.add(values, "train")
    hashes.add(values, "val")
    assert hashes.shared(40) == 1
    assert pickle.loads(pickle.dumps(hashes)).shared(40) == 1
