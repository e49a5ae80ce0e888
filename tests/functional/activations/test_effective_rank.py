"""The effective rank is that of the definition, and between one and the number of directions."""

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.activations.effective_rank import effective_rank


def of_singular_values(values):
    left, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(60, 5)))
    right, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(20, 5)))
    return left * values @ right.T


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_it_is_the_exponential_of_the_entropy_of_the_singular_values(scale):
    values = np.array([5.0, 3.0, 1.0, 0.5, 0.5])
    shares = values / values.sum()
    matrix = (scale * of_singular_values(values)).astype(np.float32)
    assert effective_rank(matrix) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_of_equal_singular_values_it_is_their_number(rank):
    matrix = of_singular_values(np.array([2.0] * rank + [0.0] * (5 - rank)))
    assert effective_rank(torch.from_numpy(matrix)) == pytest.approx(rank, rel=1e-4)


@pytest.mark.parametrize("matrix", [np.zeros((3, 4)), np.array([[1.0, np.nan]]), np.array([[np.inf, 1.0]])])
def test_where_it_is_not_defined_there_is_none(matrix):
    assert np.isnan(effective_rank(matrix))
