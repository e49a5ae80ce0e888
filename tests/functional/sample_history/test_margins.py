import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

from lightning_cnnviz.functional import sample_margins


def by_hand(scores, targets):
    """Margin and confidence of each sample, one by one."""
    for row, target in zip(scores, targets, strict=True):
        others = [value for index, value in enumerate(row) if index != target]
        yield row[target] - max(others), softmax(row)[target]


@pytest.fixture
def some():
    generator = torch.Generator().manual_seed(0)
    return 5 * torch.randn(40, 6, generator=generator), torch.randint(6, (40,), generator=generator)


def test_margins_and_confidences_are_those_computed_one_by_one(some):
    scores, targets = some
    found = sample_margins(scores, targets)
    expected = np.array(list(by_hand(scores.numpy(), targets.numpy())))
    np.testing.assert_allclose(found.margin, expected[:, 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.confidence, expected[:, 1], rtol=1e-4, atol=1e-7)
    assert torch.equal(found.predicted, scores.argmax(1))
    assert ((found.margin > 0) == (found.predicted == targets)).all()


@pytest.mark.parametrize("output", [F.softmax, F.log_softmax])
def test_probabilities_and_their_logarithms_give_the_margins_of_the_logits(some, output):
    scores, targets = some[0].clamp(-5, 5), some[1]
    expected, found = sample_margins(scores, targets), sample_margins(output(scores, dim=1), targets)
    torch.testing.assert_close(found.margin, expected.margin, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.confidence, expected.confidence, rtol=1e-3, atol=1e-5)


def test_each_batch_is_judged_by_itself(some):
    scores, targets = some
    batches = torch.stack([scores, scores.softmax(1)])
    found = sample_margins(batches, targets.expand(2, -1))
    assert torch.equal(found.margin[0], sample_margins(scores, targets).margin)
    assert torch.equal(found.margin[1], sample_margins(scores.softmax(1), targets).margin)


def test_a_single_output_is_a_logit_or_a_probability_of_the_second_class():
    logits, targets = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1, 1, 0])
    found = sample_margins(logits, targets, logits=True)
    assert found.margin.tolist() == [2.0, -1.0, -0.5]
    torch.testing.assert_close(found.confidence, torch.tensor([2.0, -1.0, -0.5]).sigmoid())
    assert found.predicted.tolist() == [1, 0, 1]
    torch.testing.assert_close(sample_margins(logits.sigmoid(), targets).margin, found.margin)


def test_what_is_no_class_or_not_finite_has_no_margin():
    scores = torch.tensor([[1.0, 2.0], [1.0, 2.0], [torch.nan, 2.0], [1.0, 2.0]])
    found = sample_margins(scores, torch.tensor([-100, 2, 0, 1]))
    assert found.margin.isfinite().tolist() == [False, False, False, True]
    assert found.confidence.isfinite().tolist() == [False, False, False, True]


def test_large_logits_do_not_overflow():
    found = sample_margins(torch.tensor([[1e4, -1e4]]), torch.tensor([1]))
    assert found.margin.item() == -2e4
    assert found.confidence.item() == 0.0
    assert log_softmax([1e4, -1e4])[1] == -2e4
