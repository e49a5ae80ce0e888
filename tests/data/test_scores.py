"""Class numbers and confidences out of scores, whatever form the scores have."""

import pytest
import torch

from lightning_cnnviz.data.scores import predicted_classes


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
