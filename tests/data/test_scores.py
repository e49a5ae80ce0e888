"""Class numbers and confidences out of scores, whatever form the scores have."""

import numpy as np
import pytest
import torch

from lightning_cnnviz.data.scores import are_logits, are_scores, confidences, predicted_classes


def test_the_highest_score_is_the_prediction():
    scores = torch.tensor([[0.1, 2.0, -1.0], [5.0, 4.0, 3.0], [-3.0, -2.0, -1.0]])
    assert predicted_classes(scores, 3).tolist() == [1, 0, 2]
    assert predicted_classes(scores.log_softmax(1), 3).tolist() == [1, 0, 2]


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_two_classes_may_have_one_score_a_probability_or_a_logit(shape):
    assert predicted_classes(torch.tensor([0.2, 0.6, 0.5, 0.9]).reshape(shape), 4).tolist() == [0, 1, 0, 1]
    assert predicted_classes(torch.tensor([-0.2, 0.6, 0.1, 3.0]).reshape(shape), 4).tolist() == [0, 1, 1, 1]
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert predicted_classes(torch.tensor([-1.0, 2.0, 1.0, -3.0], dtype=dtype).reshape(shape), 4).tolist() == [
            0,
            1,
            1,
            0,
        ]


@pytest.mark.parametrize(
    "output",
    [
        None,
        torch.zeros(3, 2, 2),
        torch.zeros(4, 2),
        torch.zeros(2),
        torch.tensor(1.0),
        torch.zeros(3, 2, dtype=torch.long),
        torch.zeros(3, 0, 2),
    ],
)
def test_other_outputs_are_no_scores(output):
    assert predicted_classes(output, 3) is None


def test_a_column_that_is_known_to_hold_logits_is_cut_at_zero():
    scores = torch.tensor([0.2, 0.6, 0.4])
    assert predicted_classes(scores, 3).tolist() == [0, 1, 0]
    assert predicted_classes(scores, 3, logits=torch.tensor(True)).tolist() == [1, 1, 1]
    assert predicted_classes(scores - 0.5, 3, logits=torch.tensor(False)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((5, 3), torch.float32, True),
        ((5, 1), torch.float16, True),
        ((5,), torch.float64, True),
        ((5, 0), torch.float32, False),
        ((4, 3), torch.float32, False),
        ((5, 3, 1), torch.float32, False),
        ((), torch.float32, False),
        ((5, 3), torch.int64, False),
        ((5,), torch.bool, False),
    ],
)
def test_scores_are_floating_numbers_with_a_row_per_sample(shape, dtype, expected):
    assert are_scores(torch.zeros(shape, dtype=dtype), 5) is expected


def test_what_lies_outside_of_a_probabilitys_range_or_is_no_number_is_a_logit():
    assert not are_logits(torch.tensor([0.0, 1.0, 0.5]))
    assert all(are_logits(torch.tensor([0.5, value])) for value in (-1e-6, 1.001, float("nan"), float("inf")))


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(6, 4), (3, 6, 4)], ids=["one batch", "several"])
def test_the_confidence_of_logits_is_the_largest_softmax(shape, dtype):
    scores = (3 * torch.randn(shape)).to(dtype)
    expected = softmax(scores.double().numpy()).max(axis=-1)
    found = confidences(scores)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_the_confidence_of_probabilities_is_the_largest_and_each_batch_is_looked_at_on_its_own():
    logits = torch.randn(5, 3)
    both = torch.stack([logits.softmax(dim=1), logits])
    expected = torch.from_numpy(softmax(logits.double().numpy()).max(axis=1)).float()
    torch.testing.assert_close(confidences(both), torch.stack([expected, expected]))
    torch.testing.assert_close(confidences(both[0]), expected)


def test_log_probabilities_are_logits():
    logits = torch.randn(5, 3)
    torch.testing.assert_close(confidences(logits.log_softmax(dim=1)), logits.softmax(dim=1).amax(dim=1))


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)], ids=["flat", "one column"])
def test_the_confidence_of_a_single_score_is_that_of_the_class_it_predicts(shape):
    given = torch.tensor([0.25, 0.75, 1.0]).reshape(shape)
    assert confidences(given).tolist() == [0.75, 0.75, 1.0]
    logits = np.array([-2.0, 0.5, 3.0])
    expected = 1 / (1 + np.exp(-np.abs(logits)))
    np.testing.assert_allclose(confidences(torch.tensor(logits).reshape(shape)), expected, rtol=1e-6)
    forced = confidences(torch.tensor([0.25]), logits=torch.tensor(True))
    np.testing.assert_allclose(forced, 1 / (1 + np.exp(-0.25)), rtol=1e-6)


def test_of_scores_that_are_not_finite_the_confidence_is_unknown_and_the_other_samples_keep_theirs():
    probabilities = torch.tensor([[0.25, 0.75], [float("nan"), 0.5], [0.5, 0.5]])
    found = confidences(probabilities)
    assert found[[0, 2]].tolist() == [0.75, 0.5]
    assert found[1].isnan()
