"""Scores of batches are those of float64 NumPy, or of PyTorch's own losses in double precision."""

import math
import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lightning_cnnviz.model.score_listener import ScoredBatch
from lightning_cnnviz.statistics.score_looks import MAX_SCORES, ScoreLooks


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def look(scores, targets, logits=None, inputs=None):
    looks = ScoreLooks()
    looks.add(ScoredBatch(torch.ones(len(targets), 4) if inputs is None else inputs, targets, scores, logits), 3)
    found = looks.read()
    assert looks.read() == []
    return found[0] if found else None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_losses_and_ranks_of_logits(dtype):
    scores, targets = (3 * random(50, 7)).to(dtype), torch.arange(50) % 7
    found = look(scores, targets)
    wide = scores.double()
    np.testing.assert_allclose(found.losses, F.cross_entropy(wide, targets, reduction="none"), rtol=1e-9)
    assert found.predicted.tolist() == wide.argmax(1).tolist()
    assert found.true.tolist() == targets.tolist()
    assert (found.step, found.classes, found.samples) == (3, 7, 50)
    for row, target, rank in zip(wide.numpy(), targets.numpy(), found.ranks, strict=True):
        above = (row > row[target]).sum()  # in half precision some are equal
        assert math.isnan(rank) if row.argmax() == target else rank == pytest.approx(max(above - 1, 0) / 5)


def test_probabilities_are_taken_as_they_are():
    shares, targets = random(40, 5).softmax(1), torch.arange(40) % 5
    found = look(shares, targets)
    np.testing.assert_allclose(found.losses, F.nll_loss(shares.double().log(), targets, reduction="none"), rtol=1e-6)
    sure = torch.eye(3)
    assert look(sure, torch.tensor([0, 1, 0])).losses == pytest.approx([0, 0, -math.log(1e-12)])
    logarithms = random(40, 5).log_softmax(1)
    np.testing.assert_allclose(
        look(logarithms, targets).losses, F.nll_loss(logarithms.double(), targets, reduction="none"), rtol=1e-6
    )


@pytest.mark.parametrize("shape", [(30,), (30, 1)])
def test_a_single_logit_or_probability_is_of_two_classes(shape):
    scores, targets = 4 * random(*shape), torch.arange(30) % 2
    found = look(scores, targets, torch.tensor(True))
    wide = scores.double().reshape(-1)
    expected = F.binary_cross_entropy_with_logits(wide, targets.double(), reduction="none")
    np.testing.assert_allclose(found.losses, expected, rtol=1e-9)
    assert found.predicted.tolist() == (wide > 0).long().tolist()
    assert found.classes == 2
    assert np.isnan(found.ranks).all()  # there is no other class to rank
    shares = look(scores.sigmoid(), targets, torch.tensor(False))
    np.testing.assert_allclose(shares.losses, expected, rtol=1e-4, atol=1e-7)


def test_indices_of_no_class_are_left_out():
    scores, targets = random(6, 3), torch.tensor([0, -100, 2, 3, 1, -1])
    found = look(scores, targets)
    assert found.true.tolist() == [0, 2, 1]
    expected = F.cross_entropy(
        scores.double(), targets.where((targets >= 0) & (targets < 3), -100), reduction="none", ignore_index=-100
    )
    np.testing.assert_allclose(found.losses, expected[[0, 2, 4]], rtol=1e-9)
    nothing = look(scores[:2], torch.tensor([-100, -100]))
    assert nothing.samples == 0
    assert math.isnan(nothing.accuracy)


def test_scores_of_places_and_of_other_numbers_of_samples_are_left_out():
    assert look(random(4, 3, 8, 8), torch.zeros(4).long()) is None
    assert look(random(5, 3), torch.zeros(4).long()) is None
    assert look(random(4, 3).long(), torch.zeros(4).long()) is None
    assert look(random(0, 3), torch.zeros(0).long()) is None


def test_scores_that_are_not_finite_give_losses_that_are_not():
    scores = random(4, 3)
    scores[1, 2], scores[2] = math.nan, math.inf
    found = look(scores, torch.tensor([0, 1, 2, 0]))
    assert np.isfinite(found.losses).tolist() == [True, False, False, True]


def test_what_the_module_does_to_its_scores_later_is_nothing_to_us():
    scores, targets, inputs = random(6, 3), torch.tensor([0, 1, 2, 0, 1, 2]), random(6, 2, 4, 4)
    expected = look(scores.clone(), targets.clone(), inputs=inputs.clone())
    looks = ScoreLooks()
    looks.add(ScoredBatch(inputs, targets, scores), 3)
    for tensor in (scores, targets, inputs):
        tensor.zero_()
    found = looks.read()[0]
    for name in ("true", "losses", "means"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_of_very_many_scores_the_first_samples_are_kept():
    classes = MAX_SCORES // 4
    scores, targets = random(9, classes), torch.arange(9)
    found = look(scores, targets)
    assert found.true.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found.losses, F.cross_entropy(scores[:4].double(), targets[:4], reduction="none"))


# ---- inputs


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((10, 3, 8, 6), 3),
        ((10, 1, 28, 28), 1),
        ((10, 2, 50), 2),
        ((10, 4, 3, 5, 5), 4),
        ((10, 30, 8), 1),
        ((10, 7), 1),
    ],
)
def test_channels_are_those_of_numpy(shape, channels):
    inputs = random(*shape) * 3 + 1
    inputs[:, 0] += 5
    found = look(random(10, 3), torch.arange(10) % 3, inputs=inputs)
    array = inputs.double().numpy()
    array = np.moveaxis(array, 1, 0).reshape(channels, -1) if channels > 1 or len(shape) == 4 else array.reshape(1, -1)
    np.testing.assert_allclose(found.means, array.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.deviations, array.std(1), rtol=1e-6)
    if len(shape) > 2 and shape[1] <= 16:
        rough = np.abs(np.diff(inputs.double().numpy(), axis=-1)).mean() / np.sqrt(array.var(1).mean())
        assert found.roughness == pytest.approx(rough, rel=1e-6)


def test_of_large_images_some_rows_of_some_samples_stand_for_all():
    inputs = random(64, 3, 224, 224)
    inputs[:, 1] = 2 * inputs[:, 1] + 7
    looks = ScoreLooks()
    looks.add(ScoredBatch(inputs, torch.arange(64) % 3, random(64, 3)), 1)
    assert sum(tensor.numel() for tensor in vars(looks)["_waiting"][0] if isinstance(tensor, torch.Tensor)) < 2**17
    (found,) = looks.read()
    np.testing.assert_allclose(found.means, [0, 7, 0], atol=0.05)
    np.testing.assert_allclose(found.deviations, [1, 2, 1], rtol=0.02)
    assert found.roughness == pytest.approx(2 / math.sqrt(math.pi) * (1 + 2 + 1) / 3 / math.sqrt(2), rel=0.05)


def test_whole_and_complex_numbers_are_read_too():
    whole = torch.arange(40).reshape(4, 1, 10)
    found = look(random(4, 3), torch.arange(4) % 3, inputs=whole)
    assert (found.means.tolist(), found.roughness * found.deviations[0]) == ([19.5], pytest.approx(1))
    values = torch.complex(random(4, 1, 6), random(4, 1, 6, seed=1))
    found = look(random(4, 3), torch.arange(4) % 3, inputs=values)
    np.testing.assert_allclose(found.means, values.abs().double().mean(), rtol=1e-6)


def test_a_copy_waits_for_nothing():
    looks = ScoreLooks()
    looks.add(ScoredBatch(random(4, 2), torch.arange(4) % 3, random(4, 3)), 1)
    assert pickle.loads(pickle.dumps(looks)).read() == []
    assert looks.waiting == 1
